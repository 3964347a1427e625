"""A TLS context whose own choice of a certificate fails for some names."""

import ssl
from collections.abc import Callable


def context(default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    made = default()
    made.sni_callback = choose
    return made


def choose(_session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if name is not None and name.startswith("decodes"):
        b"\xff".decode("ascii")
    if name is not None and name.startswith("raises"):
        raise LookupError(f"nobody is called {name}")
