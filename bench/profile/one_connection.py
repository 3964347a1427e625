"""`python -m bench.profile.one_connection INTERFACE APP FD`: the core alone serves one socket, to its end.

APP is a module of bench/apps. No listener, no supervisor, no options: between the socket and the application there is
nothing but fastserve._core. What differs from run to run is fixed: the garbage collector is off, whose rounds fall now
here, now there, and the hash of the core's caches has the same seed each time. Prints `ready` when it serves.
"""

import gc
import importlib
import logging
import os
import sys
from typing import Any

os.urandom = bytes
from fastserve import _core  # noqa: E402  (the seed is drawn as it is loaded)


def serve_asgi(app: Any, fd: int) -> None:
    import uvloop

    loop = uvloop.new_event_loop()
    interface = _core.ASGI(app, loop=loop)
    driver = _core.Driver(interface, logger=logging.getLogger(__name__))
    interface.start()
    driver.adopt(fd)
    print("ready", flush=True)
    driver.when_idle(loop.stop)
    loop.run_forever()
    driver.close()
    loop.close()


def serve_wsgi(app: Any, fd: int) -> None:
    interface = _core.WSGI(app, threads=1, watched=False)
    driver = _core.Driver(interface, logger=logging.getLogger(__name__))
    driver.adopt(fd)
    print("ready", flush=True)
    driver.when_idle(interface.halt)
    interface.serve()
    driver.close()


if __name__ == "__main__":
    gc.disable()
    served = importlib.import_module(f"bench.apps.{sys.argv[2]}").app
    {"asgi": serve_asgi, "wsgi": serve_wsgi}[sys.argv[1]](served, int(sys.argv[3]))
