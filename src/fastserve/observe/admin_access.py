"""Who may read the pages of the admin address: by the host name in the request, and by its token.

A browser on somebody else's page reads from this machine whatever that page likes, once that page's host name resolves
to our address (DNS rebinding). The browser still sends that name. So a request has to name the address by its number,
by localhost, or by a listed name.
"""

import hmac
import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastserve.errors import StartError
from fastserve.host import safe_open

ANY_HOST = "*"

_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::\d*)?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Access:
    """The rule for the protected pages."""

    hosts: Collection[str] = ()
    """Names in lower case, or `ANY_HOST`."""
    tokens: Sequence[bytes] = ()
    """The valid tokens; if there are none, no token is required."""

    def refusal(self, environ: Mapping[str, Any]) -> tuple[str, str]:
        """Returns the status and the reason of a refusal, both empty if the request is answered."""
        if not self._knows(environ):
            return "421 Misdirected Request", "this host name is not known here; --admin-host lists names"
        if self.tokens and not self._is_shown(environ.get("HTTP_AUTHORIZATION", "")):
            return "401 Unauthorized", "a token is needed, as Authorization: Bearer TOKEN"
        return "", ""

    def _knows(self, environ: Mapping[str, Any]) -> bool:
        """Whether the host name is known. No DNS leads to a Unix socket, and a client without Host is not a browser."""
        if "HTTP_HOST" not in environ or not environ.get("REMOTE_ADDR") or ANY_HOST in self.hosts:
            return True
        match = _HOST.fullmatch(environ["HTTP_HOST"])
        if match is None:
            return False
        name = match[1] or match[2]
        return _is_address(name) or name.lower().removesuffix(".") in {"localhost", *self.hosts}

    def _is_shown(self, field: str) -> bool:
        scheme, _, token = field.partition(" ")
        given = token.strip().encode("latin-1", "replace")
        # Every token is compared, in a time that does not depend on where they differ.
        found = [hmac.compare_digest(given, each) for each in self.tokens]
        return scheme.lower() == "bearer" and any(found)


def read_tokens(path: str, user: int | None = None) -> list[bytes]:
    """Returns the tokens of a file, one a line, without blank lines and comments (#). Raises StartError.

    user: who besides root may own the file when root reads it.
    """
    try:
        lines = [line.strip() for line in safe_open.read_text(path, user).splitlines()]
    except OSError as error:
        raise StartError(f"--admin-token-file: cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        lines = ["\0"]
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens or not all(map(_TOKEN.fullmatch, tokens)):
        raise StartError(
            f"--admin-token-file: {path} has to hold a token, or one a line, of ASCII characters without blanks"
        )
    return [token.encode() for token in tokens]


def state(path: str) -> object:
    """Returns the file's state, another one after each change."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
