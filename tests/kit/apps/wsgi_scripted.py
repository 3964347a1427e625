"""A WSGI application that does what the request's query says, step by step, and notes what it saw.

/run/KEY?STEPS      performs the steps, a Python literal; a step may set the result
/journal/KEY        the notes of a run up to now; it waits for nothing, since there may be no second thread
/produced/KEY       bytes that a run's iterable has given
/late/KEY           calls start_response and write of a run that is over
/asked/KEY          what a run's client_disconnected says now
/witness/KEY        whether what a run has put into its environ is gone
/files/KEY          (closed, reads) of each file that a run has opened
/peak               the most ("inside", ...) steps that there were at the same time
/ticker, /reset     (ticks, longest gap in seconds) of a thread that does nothing else than to tick; begins it anew
/nap                sleeps for 10 ms
/thread             the name of the thread
/threads            names of all threads
/stack              the size of the thread's stack
/default_stack      of a thread that the application would start now
/ledger             live objects of the compiled core
/echo               the request's body
everything else     b"ok"
"""

import ast
import ctypes
import gc
import gzip
import io
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

GATE_TIME = 30.0
"""Seconds after which a gate opens by itself: a test that failed must not take a thread of a shared server for ever."""


class Witness:
    """Something that can be watched going away."""


class CountedReader(io.BufferedReader):
    """A file that knows how often it was read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


class Blocks:
    """A file-like object that can be read and nothing else; not even closed."""

    def __init__(self, data: bytes) -> None:
        self.source = io.BytesIO(data)
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.source.read(size)


MOST_NOTES = 1000
"""Of a run that many clients ask for: their memory would hide the server's."""


class Run:
    """What one scripted request did."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.produced = 0
        self.kept: Any = None
        self.witness: Callable[[], Any] = lambda: None
        self.asked: Callable[[], bool] = lambda: False
        self.files: list[Any] = []

    def note(self, *entry: Any) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(entry)

    def note_end(self, error: BaseException | None = None) -> None:
        self.note("end", error and (type(error).__name__, str(error)))

    def note_refusal(self, error: BaseException) -> None:
        self.note("refused", [kind.__name__ for kind in type(error).__mro__], str(error))


runs: dict[str, Run] = {}
barriers: dict[str, threading.Barrier] = {}
local = threading.local()


def run_of(key: str) -> Run:
    return runs.setdefault(key, Run())


class Inside:
    """Counts the steps that are at the same place at the same time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.peak = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.peak = max(self.peak, self.now)

    def __exit__(self, *_error: object) -> None:
        with self.lock:
            self.now -= 1

    def read(self) -> int:
        with self.lock:
            peak, self.peak = self.peak, self.now
        return peak


class Ticker(threading.Thread):
    """A background thread of the application."""

    def __init__(self) -> None:
        super().__init__(name="ticker", daemon=True)
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.ticks, self.gap, self.last = 0, 0.0, time.monotonic()

    def run(self) -> None:
        while True:
            time.sleep(0.002)
            with self.lock:
                now = time.monotonic()
                self.ticks, self.gap, self.last = self.ticks + 1, max(self.gap, now - self.last), now

    def read(self) -> tuple[int, float]:
        with self.lock:
            return self.ticks, max(self.gap, time.monotonic() - self.last)


inside = Inside()
ticker = Ticker()


def digest(value: Any) -> Any:
    """Short bytes as they are, long ones as their length and hash; element by element in a list."""
    if isinstance(value, list):
        return digest(repr(value).encode()) if len(repr(value)) > 500 else value
    if isinstance(value, bytes) and len(value) > 100:
        return len(value), sha256(value).hexdigest()
    return value


class Pieces:
    """An iterable with close(), as a middleware has it."""

    def __init__(self, performer: "Performer", steps: list[Any], closing: list[Any]) -> None:
        self.performer, self.closing = performer, closing
        self.generator = performer.generate(steps)

    def __iter__(self) -> "Pieces":
        return self

    def __next__(self) -> Any:
        try:
            return next(self.generator)
        except StopIteration:
            raise
        except BaseException as error:
            self.performer.run.note("raised", type(error).__name__, str(error))
            raise

    def close(self) -> None:
        self.generator.close()
        self.performer.run.note("closed", sys.exc_info()[0] is None)
        try:
            self.performer.perform(self.closing)
        finally:
            self.performer.run.note_end()


class Sized:
    """An iterable of a known length, which is no list."""

    def __init__(self, length: int, pieces: list[bytes], note: Callable[..., None]) -> None:
        self.length, self.pieces, self.note = length, pieces, note

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.note("closed")


class Indexed:
    """Iterable by the old protocol alone: indices from 0 until IndexError."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __getitem__(self, index: int) -> bytes:
        return self.pieces[index]


class Performer:
    """Performs the steps of one request."""

    def __init__(self, key: str, environ: Environ, start_response: Any) -> None:
        self.key, self.environ, self.start_response = key, environ, start_response
        self.run = run_of(key)
        self.write: Any = None
        self.result: Any = ()

    def perform(self, steps: list[Any]) -> Any:
        for step in steps:
            self.do(step)
        result, self.result = self.result, ()
        return result

    def do(self, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        getattr(self, "do_" + name)(*arguments)

    def generate(self, steps: list[Any]) -> Generator[Any, None, None]:
        for step in steps:
            match step:
                case ("yield", *pieces):
                    for piece in pieces:
                        yield self.counted(piece)
                case ("pieces", count, size):
                    for _ in range(count):
                        yield self.counted(bytes(size))
                case ("endless", size):
                    while True:
                        yield self.counted(bytes(size))
                case _:
                    self.do(step)

    def counted(self, piece: Any) -> Any:
        self.run.produced += len(piece) if isinstance(piece, bytes) else 0
        return piece

    # ---- start_response and write

    def do_start(self, status: Any, headers: Any) -> None:
        self.write = self.start_response(status, headers)

    def do_start_by_name(self, status: Any, headers: Any) -> None:
        self.write = self.start_response(headers=headers, exc_info=None, status=status)

    def do_start_subclass(self, status: Any, headers: Any) -> None:
        class Headers(list[Any]):
            """As frameworks have it."""

        self.write = self.start_response(status, Headers(headers))

    def do_restart(self, status: Any, headers: Any, text: str = "first failure") -> None:
        """Error handling as PEP 3333 shows it."""
        try:
            raise LookupError(text)
        except LookupError:
            self.write = self.start_response(status, headers, sys.exc_info())

    def do_forget(self, status: Any, headers: Any) -> None:
        """Notes whether the frame of a traceback that was passed on is gone afterwards."""
        witness = self.restart_with_witness(status, headers)
        self.run.note("forgotten", witness() is None)

    def restart_with_witness(self, status: Any, headers: Any) -> Callable[[], Any]:
        witness = Witness()
        try:
            raise LookupError("forget me")
        except LookupError:
            try:
                self.start_response(status, headers, sys.exc_info())
            except LookupError:
                self.run.note("raised again")
        return weakref.ref(witness)

    def do_write(self, *pieces: Any) -> None:
        for piece in pieces:
            returned = self.write(piece)
            self.run.note("written", returned)

    def do_write_pieces(self, count: int, size: int) -> None:
        for _ in range(count):
            self.write(bytes(size))
            self.run.produced += size

    def do_write_until_refused(self, size: int) -> None:
        try:
            while True:
                self.write(bytes(size))
                self.run.produced += size
        except Exception as error:
            self.run.note_refusal(error)
            raise

    def do_write_in_threads(self, threads: int, count: int, size: int) -> None:
        """From threads of the application's own, while this one waits for them."""

        def write() -> None:
            for _ in range(count):
                self.write(bytes(size))
                self.run.produced += size

        writers = [threading.Thread(target=write) for _ in range(threads)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    def do_write_behind(self, count: int, size: int) -> None:
        """From a thread that goes on when the call has returned."""

        def write() -> None:
            for _ in range(count):
                self.write(bytes(size))

        self.behind = threading.Thread(target=write, daemon=True)
        self.behind.start()

    def do_join_behind(self) -> None:
        self.behind.join()

    def do_hint(self, headers: Any) -> None:
        self.environ["wsgi.early_hints"](headers)

    def do_try(self, step: Any) -> None:
        """A step that may be refused: notes "done", or the exception's classes and text."""
        try:
            self.do(step)
        except Exception as error:
            self.run.note_refusal(error)
        else:
            self.run.note("done")

    def do_keep(self) -> None:
        """Keeps what nobody should keep."""
        self.run.kept = self.start_response, self.write

    # ---- results

    def do_return(self, result: Any) -> None:
        self.result = result

    def do_generator(self, steps: list[Any], closing: list[Any] | None = None) -> None:
        self.result = Pieces(self, steps, closing or [])

    def do_plain_generator(self, steps: list[Any]) -> None:
        def pieces() -> Iterator[Any]:
            try:
                yield from self.generate(steps)
            finally:
                self.run.note("closed")

        self.result = pieces()

    def do_sized(self, length: int, pieces: list[bytes]) -> None:
        self.result = Sized(length, pieces, self.run.note)

    def do_indexed(self, pieces: list[bytes]) -> None:
        self.result = Indexed(pieces)

    def do_file(self, kind: str, source: Any, before: int = 0, block: int | None = None) -> None:
        """A file_wrapper around a file of this kind, of which `before` bytes have been read."""
        file = open_file(kind, source)
        if before:
            file.read(before)
        self.run.files.append(file)
        wrapper = self.environ["wsgi.file_wrapper"]
        self.result = wrapper(file) if block is None else wrapper(file, block)

    def do_wrapped_again(self) -> None:
        """What a middleware does that knows nothing of files."""
        self.result = (block for block in [*self.result])

    def do_on_wrapper(self, name: str, *arguments: Any) -> None:
        """Calls a method that the wrapper may have; notes what it gives."""
        method = getattr(self.result, name, None)
        self.run.note(name, method and method(*arguments))

    def do_blocks(self) -> None:
        """Takes the wrapper for the iterable that it is; notes the lengths of its blocks."""
        self.run.note("blocks", [len(block) for block in self.result])
        self.result.close()

    # ---- input and errors

    def do_input(self, calls: list[Any]) -> None:
        """Calls methods of wsgi.input, ("iterate",) goes through it; notes what they give."""
        stream = self.environ["wsgi.input"]
        for name, *arguments in calls:
            value = [*stream] if name == "iterate" else getattr(stream, name)(*arguments)
            self.run.note(name, digest(value))

    def do_errors(self, text: str) -> None:
        errors = self.environ["wsgi.errors"]
        errors.write(text + " written\n")
        errors.writelines([text + " one\n", text + " two\n"])
        errors.flush()

    def do_environ(self, *names: str) -> None:
        self.run.note(*[self.environ.get(name, "absent") for name in names])

    def do_drop(self, *names: str) -> None:
        for name in names:
            del self.environ[name]

    def do_witness(self) -> None:
        witness = self.environ["test.witness"] = Witness()
        self.run.witness = weakref.ref(witness)

    def do_await_departure(self) -> None:
        """Asks whether the client has gone until it has, and notes what was said first and last."""
        gone = self.environ["fastserve.client_disconnected"]
        assert gone is self.environ["waitress.client_disconnected"]
        self.run.note("gone", gone())
        self.do_say("asks")
        until = time.monotonic() + GATE_TIME
        while not gone() and time.monotonic() < until:
            time.sleep(0.002)
        self.run.note("gone", gone())

    def do_keep_asking(self) -> None:
        """Keeps what tells it; asked by /asked."""
        self.run.asked = self.environ["fastserve.client_disconnected"]

    # ---- time and threads

    def do_note(self, *entry: Any) -> None:
        self.run.note(*entry)

    def do_say(self, text: str) -> None:
        """To stderr: for what happens while no other request is answered."""
        sys.stderr.write(text + "\n")  # in one write, other than print

    def do_wait(self, gate: str) -> None:
        """Until the test has made this file."""
        until = time.monotonic() + GATE_TIME
        while not Path(gate).exists() and time.monotonic() < until:
            time.sleep(0.002)

    def do_compute(self, gate: str) -> None:
        """Until the test has made this file. Others get the interpreter when they ask for it: a call that looked
        all the time would give it away and take it back at once, so often that nobody else gets it."""
        until = time.monotonic() + GATE_TIME
        while not Path(gate).exists() and time.monotonic() < until:
            look = time.monotonic() + 0.05
            while time.monotonic() < look:
                pass

    def do_fork(self) -> None:
        """A process that ends at once; notes its exit status."""
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        self.run.note("forked", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def do_inside(self, step: Any) -> None:
        with inside:
            self.do(step)

    def do_pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def do_hold(self) -> None:
        """For ever."""
        while True:
            time.sleep(0.05)

    def do_no_more_threads(self) -> None:
        """From here on none can be started: their stacks are larger than all memory that there could be."""
        threading.stack_size(1 << 47)

    def do_spoil_logging(self) -> None:
        """From here on what the server logs meets a handler that raises."""

        class Spoilt(logging.Handler):
            def handle(self, record: logging.LogRecord) -> bool:
                raise LookupError("a handler that fails")

        logging.getLogger("fastserve").addHandler(Spoilt())

    def do_barrier(self, name: str, parties: int) -> None:
        barriers.setdefault(name, threading.Barrier(parties)).wait(60)

    def do_raise(self, text: str) -> None:
        raise RuntimeError(text)

    def do_exit(self, text: str) -> None:
        raise SystemExit(text)

    def do_thread(self) -> None:
        """Notes the thread, and how often it came by here."""
        local.count = getattr(local, "count", 0) + 1
        self.run.note(threading.current_thread().name, threading.get_native_id(), local.count)


def watched(file: Any) -> Any:
    """Its descriptor's position can be seen when it is closed."""
    file.witness = os.dup(file.fileno())
    return file


def patched(file: Any) -> Any:
    """What is read of it is not what there is."""
    read = file.read
    file.read = lambda size: read(size).swapcase()
    return file


def reads_of(file: Any) -> Any:
    """How often it was read, or up to where; None where that is not known."""
    if hasattr(file, "witness"):
        return os.lseek(file.witness, 0, os.SEEK_CUR)
    return getattr(file, "reads", None)


def open_file(kind: str, source: Any) -> Any:
    match kind:
        case "buffered":
            return Path(source).open("rb")
        case "raw":
            return Path(source).open("rb", buffering=0)
        case "watched":
            return watched(Path(source).open("rb"))
        case "patched":
            return patched(Path(source).open("rb"))
        case "counted":
            return CountedReader(io.FileIO(source))
        case "gzip":
            return gzip.open(source)
        case "memory":
            return io.BytesIO(source)
        case "blocks":
            return Blocks(source)
        case "pipe":
            reading, writing = os.pipe()
            with os.fdopen(writing, "wb") as file:
                file.write(source)
            return os.fdopen(reading, "rb")
    raise ValueError(kind)


def run(key: str, environ: Environ, start_response: Any) -> Any:
    steps = ast.literal_eval(unquote_to_bytes(environ["QUERY_STRING"]).decode())
    try:
        result = Performer(key, environ, start_response).perform(steps)
    except BaseException as error:
        run_of(key).note_end(error)
        raise
    if not isinstance(result, Pieces):
        run_of(key).note_end()
    return result


def late(key: str) -> list[Any]:
    """What start_response and write say when their request is over."""
    start_response, write = run_of(key).kept
    said: list[Any] = []
    for call, arguments in ((start_response, ("200 OK", [("X-Late", "1")])), (write, (b"late",))):
        try:
            said.append(("returned", repr(call(*arguments))))
        except Exception as error:
            said.append(("refused", [kind.__name__ for kind in type(error).__mro__], str(error)))
    return said


def ledger() -> dict[str, int]:
    from fastserve import _core

    gc.collect()  # a generator of ours and the performer in it hold each other, and start_response with them
    counts: dict[str, int] = _core.ledger()
    return counts


def stack_size() -> int:
    """Of the calling thread, as the C library has it."""
    library: Any = ctypes.CDLL(None)
    attributes: Any = ctypes.create_string_buffer(256)
    library.pthread_self.restype = ctypes.c_void_p
    library.pthread_getattr_np.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    assert library.pthread_getattr_np(library.pthread_self(), attributes) == 0
    size = ctypes.c_size_t()
    assert library.pthread_attr_getstacksize(attributes, ctypes.byref(size)) == 0
    library.pthread_attr_destroy(attributes)
    return size.value


def default_stack_size() -> int:
    size = threading.stack_size()
    threading.stack_size(size)  # to ask is to set it to 0
    return size


def begin_ticker() -> bytes:
    if not ticker.is_alive():
        ticker.start()
    ticker.reset()
    return b"ticks"


def literal(value: Any) -> bytes:
    return repr(value).encode()


def report(word: str, key: str) -> bytes:
    """The answers about runs and threads."""
    of_run: dict[str, Callable[[str], Any]] = {
        "journal": lambda key: list(run_of(key).notes),
        "produced": lambda key: run_of(key).produced,
        "late": late,
        "asked": lambda key: run_of(key).asked(),
        "witness": lambda key: run_of(key).witness() is None,
        "files": lambda key: [(getattr(f, "closed", None), reads_of(f)) for f in run_of(key).files],
    }
    of_process: dict[str, Callable[[], Any]] = {
        "peak": inside.read,
        "ticker": ticker.read,
        "nap": lambda: time.sleep(0.01),
        "thread": lambda: threading.current_thread().name,
        "threads": lambda: sorted(thread.name for thread in threading.enumerate()),
        "stack": stack_size,
        "default_stack": default_stack_size,
        "ledger": ledger,
    }
    if word in of_run:
        return literal(of_run[word](key))
    if word in of_process:
        return literal(of_process[word]())
    return begin_ticker() if word == "reset" else b"ok"


def app(environ: Environ, start_response: Any) -> Any:
    _, word, key, *_ = f"{environ['PATH_INFO']}//".split("/")
    if word == "run":
        return run(key, environ, start_response)
    data = environ["wsgi.input"].read() if word == "echo" else report(word, key)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [data]
