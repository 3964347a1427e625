"""How it is said that an address cannot be listened on."""

import errno

from fastserve.config.address import TCPAddress
from fastserve.sockets.errors import cannot_listen, reason


def test_the_address_and_the_systems_words() -> None:
    error = OSError(errno.EADDRINUSE, "Address already in use")
    assert str(cannot_listen(TCPAddress("::1", 80), error)) == "cannot listen on [::1]:80: address already in use"
    assert str(cannot_listen("unix:/run/a", "not permitted")) == "cannot listen on unix:/run/a: not permitted"


def test_an_error_that_brings_no_words_or_no_number() -> None:
    assert reason(OSError(errno.EACCES, None)) == "permission denied"
    assert reason(OSError("path too long")) == "path too long"
