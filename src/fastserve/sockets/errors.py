"""Error messages for an address that cannot be listened on."""

import os

from fastserve.errors import StartError


def cannot_listen(place: object, error: OSError | str) -> StartError:
    """Returns the error. place: the address, as the user knows it."""
    return StartError(f"cannot listen on {place}: {error if isinstance(error, str) else reason(error)}")


def reason(error: OSError) -> str:
    """Returns the system's words, as the end of a message."""
    return (error.strerror or os.strerror(error.errno)).lower() if error.errno else str(error)
