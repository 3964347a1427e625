"""`python -m bench.profile.one_connection INTERFACE APP FD [believed]`: the core alone serves one socket, to its end.

APP is a module of bench/apps. No listener, no supervisor, no options: between the socket and the application there is
nothing but fastserve._core. `believed`: the peer is a trusted proxy, and so is one of 10.0.0.0/8. What differs from run
to run is fixed: the garbage collector is off, whose rounds fall now here, now there, and the hash of the core's caches
has the same seed each time. Prints `ready` when it serves.
"""

import gc
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

os.urandom = bytes
from fastserve import _core  # noqa: E402  (the seed is drawn as it is loaded)


def new_driver(interface: _core.Interface, believed: bool) -> _core.Driver:
    forwarding = _core.TrustedProxies(["127.0.0.1", "::1", "10.0.0.0/8", "unix"]) if believed else None
    return _core.Driver(interface, logger=logging.getLogger(__name__), forwarding=forwarding)


def serve_asgi(app: Any, fd: int, believed: bool) -> None:
    import uvloop

    loop = uvloop.new_event_loop()
    interface = _core.ASGI(app, loop=loop)
    driver = new_driver(interface, believed)
    interface.start()
    driver.adopt(fd)
    print("ready", flush=True)
    driver.when_idle(loop.stop)
    loop.run_forever()
    driver.close()
    loop.close()


def serve_wsgi(app: Any, fd: int, believed: bool) -> None:
    interface = _core.WSGI(app, threads=1, watched=False)
    driver = new_driver(interface, believed)
    driver.adopt(fd)
    print("ready", flush=True)
    driver.when_idle(interface.halt)
    interface.serve()
    driver.close()


if __name__ == "__main__":
    gc.disable()
    sys.path.insert(0, str(Path(__file__).parent.parent / "apps"))  # what the modules there have in common
    served = importlib.import_module(f"bench.apps.{sys.argv[2]}").app
    {"asgi": serve_asgi, "wsgi": serve_wsgi}[sys.argv[1]](served, int(sys.argv[3]), "believed" in sys.argv[4:])
