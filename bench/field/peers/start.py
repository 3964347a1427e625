"""`start.py SERVER FOLDER MODULE PORT`: bjoern or fastpysgi, which are started from Python, with MODULE's `app`.

It runs in the peers' environment, so it imports nothing of the benchmark.
"""

import importlib
import sys

LARGEST_BODY = 2**24  # fastpysgi's own limit is just below what `upload` sends


def main() -> None:
    server, folder, module, port = sys.argv[1:]
    peer = importlib.import_module(server)
    if server == "fastpysgi":
        peer.server.max_content_length = LARGEST_BODY
    sys.path.insert(0, folder)
    peer.run(importlib.import_module(module).app, "127.0.0.1", int(port))


if __name__ == "__main__":
    main()
