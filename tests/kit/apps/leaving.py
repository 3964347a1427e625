"""Leaves threads behind: for ASGI and WSGI, by what is asked for.

/plain, /daemon     a thread that never ends
/brief              one that ends by itself, a moment after the process was told to end
/default            a job that never ends, in the loop's own executor (ASGI)
/executor           one in an executor of the application's
/idle               a job that has ended, in both: their threads wait for more
/watcher            a thread that waits for the end of the main one, and says so
everything else     b"ok"

What is written at the import is written without a line's end, into a buffer; what is left for the end is said there.
"""

import asyncio
import atexit
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

never: queue.Queue[None] = queue.Queue()
ends = threading.Event()
executor = ThreadPoolExecutor(2, thread_name_prefix="own")

sys.stdout.write("buffered ")
atexit.register(sys.stdout.write, "at the end")


def wait_for_the_main_one() -> None:
    threading.main_thread().join()
    sys.stdout.write("seen the end ")


def leave(kind: str) -> None:
    match kind:
        case "plain" | "daemon":
            threading.Thread(target=never.get, name=f"{kind}-one", daemon=kind == "daemon").start()
        case "brief":
            threading.Thread(target=ends.wait, args=(0.5,), name="brief-one", daemon=False).start()
        case "watcher":
            threading.Thread(target=wait_for_the_main_one, name="watcher", daemon=False).start()
        case "executor":
            executor.submit(never.get)
        case "idle":
            executor.submit(int).result()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    kind = scope["path"][1:]
    if kind == "default":
        asyncio.get_running_loop().run_in_executor(None, never.get)
    elif kind == "idle":
        await asyncio.to_thread(int)
    leave(kind)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    leave(environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
