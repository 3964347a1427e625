"""The WSGI application under stress: the same as the ASGI one, as far as WSGI has it."""

import gc
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stress.marks import CELL, INJECTED, cell
from stress.witness import Kept, number, step_of, witness

FILE = Path(os.environ.get("STRESS_FILE", "/nonexistent"))


class Abandoned(BaseException):
    """No Exception: what applications raise is not always one."""


class LastWish:
    """It does something when it is destroyed, which is whenever the interpreter likes."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.myself: object = None

    def __del__(self) -> None:
        self.act()


class Call:
    """One call of the application, and what it returns."""

    def __init__(self, mark: str, environ: dict[str, Any], start_response: Any) -> None:
        self.mark = mark
        self.environ = environ
        self.start_response = start_response
        self.write: Any = None
        self.cell = cell(mark)
        self.complete = False
        self.closing = ""

    def act(self) -> None:
        try:
            if self.write is not None:
                self.write(self.cell)
        except Exception as error:
            witness.caught(error, "act")

    def act_at_length(self) -> None:
        try:
            if self.write is not None:
                self.write(self.cell * 6000)
        except Exception as error:
            witness.caught(error, "act_at_length")

    def way(self, argument: str) -> Callable[[], None]:
        return self.act_at_length if argument.endswith("L") else self.act

    # ---- steps; what one returns is a piece of the body

    def step_s(self, argument: str) -> None:
        headers = [("x-mark", self.mark)]
        kind, value = argument[3:4], argument[4:]
        if kind == "l":
            headers.append(("Content-Length", str(int(value) * CELL)))
        elif kind == "n":
            headers.append(("Content-Length", value))
        self.write = self.start_response(f"{argument[:3]} Some Reason", headers)

    def step_S(self, argument: str) -> None:  # noqa: N802 (steps are letters)
        """A second start, after an exception."""
        try:
            raise RuntimeError(self.mark)
        except RuntimeError:
            self.write = self.start_response("500 Again", [("x-mark", self.mark)], sys.exc_info())

    def step_b(self, argument: str) -> bytes:
        return self.cell * number(argument)

    step_e = step_b

    def step_B(self, argument: str) -> None:  # noqa: N802
        self.write(self.cell * number(argument))

    def step_N(self, argument: str) -> None:  # noqa: N802
        """A thread that nobody waits for writes later."""
        thread = threading.Thread(target=self.late, args=(number(argument),), daemon=True)
        witness.left_behind.add(thread)
        thread.start()

    def late(self, cells: int) -> None:
        time.sleep(0.02)
        try:
            if self.write is not None:
                self.write(self.cell * cells)
        except Exception as error:
            witness.caught(error, "a thread left behind")
        finally:
            witness.left_behind.discard(threading.current_thread())

    def step_h(self, argument: str) -> None:
        links: Any = [("Link", "</style.css>; rel=preload")]
        self.environ["wsgi.early_hints"](self.acting(links) if argument else links)

    def acting(self, headers: list[Any]) -> Any:
        for each in headers:
            self.act()
            yield each

    def step_O(self, argument: str) -> None:  # noqa: N802
        """A wrong call."""
        wrong: list[Callable[[], Any]] = [
            lambda: self.start_response("200 OK", []),
            lambda: self.start_response("2000", []),
            lambda: self.start_response("200 OK", [("x", "a\nb")]),
            lambda: self.write("text"),
        ]
        try:
            wrong[number(argument) % len(wrong)]()
        except Exception as error:
            witness.caught(error, "a wrong call")

    def step_r(self, _argument: str) -> None:
        self.environ["wsgi.input"].read(1000)

    def step_R(self, _argument: str) -> None:  # noqa: N802
        while self.environ["wsgi.input"].read(65536):
            pass

    def step_q(self, _argument: str) -> None:
        for _ in self.environ["wsgi.input"]:
            pass

    def step_y(self, _argument: str) -> bytes:
        return b""

    def step_w(self, argument: str) -> None:
        time.sleep(number(argument) / 1000)

    step_z = step_w

    def step_x(self, _argument: str) -> None:
        raise RuntimeError(f"the application raises {self.mark}")

    def step_X(self, _argument: str) -> None:  # noqa: N802
        raise Abandoned(self.mark)

    def step_k(self, _argument: str) -> None:
        witness.kept.append(Kept(self.mark, self.write, self.start_response))

    def step_K(self, argument: str) -> None:  # noqa: N802
        kept = list(witness.kept)
        if not kept:
            return
        other = kept[number(argument) % len(kept)]
        try:
            if other.send is not None:
                other.send(cell(other.mark) * (number(argument) % 5000))
            else:
                other.receive("200 OK", [("x-mark", other.mark)])
        except Exception as error:
            witness.caught(error, "a kept write")

    def step_d(self, argument: str) -> None:
        LastWish(self.way(argument))

    def step_D(self, argument: str) -> None:  # noqa: N802
        wish = LastWish(self.way(argument))
        wish.myself = wish

    def step_P(self, argument: str) -> None:  # noqa: N802
        """It goes with the environ."""
        self.environ["x"] = LastWish(self.way(argument))

    def step_v(self, argument: str) -> None:
        """It acts when the iterable is gone."""
        write, piece = self.write, self.cell
        witness.left_behind.add(weakref.ref(self, lambda reference: done_with(reference, write, piece)))

    def step_g(self, _argument: str) -> None:
        gc.collect()

    def step_l(self, _argument: str) -> None:
        logging.getLogger("fastserve.error").error("what an application logs: %s", self.mark)

    def step_c(self, argument: str) -> None:
        """What its `close` will do: raise, write, wait."""
        self.closing = argument

    # ---- the iterable

    def pieces(self, program: list[str]) -> Iterator[bytes]:
        for text in program:
            letter, argument = step_of(text)
            step = getattr(self, f"step_{letter}", None)
            piece = step(argument) if step is not None else None
            if piece is not None:
                yield piece
            if letter == "e":
                self.complete = True
        witness.note(self.mark, "complete" if self.complete else "returned")

    def close(self) -> None:
        if "w" in self.closing:
            self.act_at_length()
        if "z" in self.closing:
            time.sleep(0.05)
        if "x" in self.closing:
            raise RuntimeError(f"close() raises {self.mark}")


class Pieces:
    """An iterable with `close`, and a length that says what it likes."""

    def __init__(self, call: Call, program: list[str], length: int) -> None:
        self.call = call
        self.steps = call.pieces(program)
        self.length = length

    def __iter__(self) -> Iterator[bytes]:
        return self.steps

    def __length_hint__(self) -> int:
        self.call.act()
        return self.length

    def close(self) -> None:
        self.call.close()


def done_with(reference: Any, write: Any, piece: bytes) -> None:
    witness.left_behind.discard(reference)
    try:
        if write is not None:
            write(piece)
    except Exception as error:
        witness.caught(error, "a weak reference's callback")


class Whole(list[bytes]):
    """A list that is not one on a close look."""


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith(INJECTED):
        witness.faults.append(f"a part of a body was taken for a request: {path}")
    _, _, rest = path.partition("/run/")
    mark, _, program = rest.partition("/")
    call = Call(mark, environ, start_response)
    steps = program.split(".") if program else ["s200", "e1"]
    witness.note(mark, "begun")
    shape, steps = (steps[0], steps[1:]) if steps[0].startswith("=") else ("=g", steps)
    if shape == "=l":
        return list(call.pieces(steps))
    if shape == "=w":
        return Whole(call.pieces(steps))
    if shape == "=p":
        return Pieces(call, steps, 1)
    if shape == "=f":
        list(call.pieces([each for each in steps if each[0] not in "be"]))
        wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](FILE.open("rb"), 4096)
        return wrapper
    # A generator: nothing has happened before its first piece, not even the start.
    return call.pieces(steps)
