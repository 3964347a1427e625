"""`nginx.py PORT RESPONSE [--tls CERTIFICATE KEY] [--http2]`: nginx, one process, answers every request by
`return` with what is in the file RESPONSE.

A floor from another world: no application at all. Its configuration and its files are written beside RESPONSE.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

CONFIGURATION = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ }}
    default_type {content_type};
    server {{
        listen 127.0.0.1:{port}{listen};
{tls}        location / {{
{headers}            return {status} '{body}';
        }}
    }}
}}
"""
# Older releases have no TLS 1.3 by default, which is what the others speak.
TLS = """\
        ssl_certificate {};
        ssl_certificate_key {};
        ssl_protocols TLSv1.2 TLSv1.3;
"""
NOT_ADDED = ("server", "date", "content-type", "content-length", "connection")  # nginx writes them itself


def configuration(port: int, response: bytes, folder: Path, options: Sequence[str] = ()) -> str:
    """What makes nginx answer with the head and the body of `response`; `options` are those of the command line."""
    tls = options[options.index("--tls") + 1 :][:2] if "--tls" in options else ()
    head, _, body = response.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    added = "".join(f"            add_header {n} {_quoted(v)};\n" for n, v in headers.items() if n not in NOT_ADDED)
    return CONFIGURATION.format(
        folder=folder,
        port=port,
        listen=(" ssl" if tls else "") + (" http2" if "--http2" in options else ""),
        tls=TLS.format(*tls) if tls else "",
        content_type=headers["content-type"],
        headers=added,
        status=status.split()[1],
        body=_escaped(body),
    )


def _quoted(text: str) -> str:
    return f"'{_escaped(text)}'"


def _escaped(text: str) -> str:
    """Raises ValueError for what a word of nginx's configuration cannot say: a dollar begins a variable."""
    if "$" in text:
        raise ValueError(f"nginx cannot return a dollar sign: {text!r}")
    return text.replace("\\", "\\\\").replace("'", "\\'")


def main() -> None:
    port, response = int(sys.argv[1]), Path(sys.argv[2])
    path = response.parent / "nginx.conf"
    path.write_text(configuration(port, response.read_bytes(), response.parent, sys.argv[3:]))
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    os.execvpe("nginx", ["nginx", "-c", str(path), "-p", str(response.parent)], {**os.environ, "PATH": search})


if __name__ == "__main__":
    main()
