"""`behind_nginx.py PORT FOLDER [--tls CERTIFICATE KEY] [--http2] -- COMMAND...`: a server with nginx in front of it.

COMMAND listens on the Unix socket FOLDER/server.sock. nginx has one process; its configuration is what the servers'
documentation says for it: connections that are kept, the fields that say who asks, buffers as they are by default.
Both end when one of them does, or by TERM.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CONFIGURATION = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{
        server unix:{folder}/server.sock;
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port}{listen};
{tls}        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
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
START_DEADLINE = 15.0
STOP_DEADLINE = 8.0


def configuration(port: int, folder: Path, options: Sequence[str] = ()) -> str:
    """`options` are those of the command line."""
    tls = options[options.index("--tls") + 1 :][:2] if "--tls" in options else ()
    listen = (" ssl" if tls else "") + (" http2" if "--http2" in options else "")
    return CONFIGURATION.format(folder=folder, port=port, listen=listen, tls=TLS.format(*tls) if tls else "")


def await_server(path: Path, server: "subprocess.Popen[bytes]") -> None:
    """Until it listens. Ends the program where it does not come to that."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"the server does not listen on {path}")


def main() -> None:
    split = sys.argv.index("--")
    port, folder, options = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:split]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    path = folder / "nginx.conf"
    path.write_text(configuration(port, folder, options))
    running = [subprocess.Popen(sys.argv[split + 1 :])]
    try:
        await_server(folder / "server.sock", running[0])
        command = ["nginx", "-c", str(path), "-p", str(folder)]
        running.append(subprocess.Popen(command, env={**os.environ, "PATH": search}))
        os.wait()  # whichever ends first
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(STOP_DEADLINE)


if __name__ == "__main__":
    main()
