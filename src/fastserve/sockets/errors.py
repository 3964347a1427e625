"""How it is said that an address cannot be listened on."""

import os

from fastserve.errors import StartError


def cannot_listen(place: object, error: OSError | str) -> StartError:
    """place: the address, as the user knows it."""
    return StartError(f"cannot listen on {place}: {error if isinstance(error, str) else reason(error)}")


def reason(error: OSError) -> str:
    """The system's words, as the end of a message."""
    return (error.strerror or os.strerror(error.errno)).lower() if error.errno else str(error)
