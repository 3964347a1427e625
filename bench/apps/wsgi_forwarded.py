"""Says what a server makes of a proxy's fields: the scheme and the client's address."""

from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = f"{environ['wsgi.url_scheme']} {environ['REMOTE_ADDR']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
