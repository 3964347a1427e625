"""Draws what an application is to do: the steps that stand in a request's target.

The steps are methods of the two applications' `Call`, by their first letter; what follows it is the argument.
"""

import random
from collections.abc import Sequence

SMALL, MEDIUM, LARGE = (1, 2, 4, 30), (100, 257, 1000), (4100, 5000, 9000, 20000)
"""Cells of a piece: below a packet, some packets, and more than the high-water mark (64 KiB)."""


def letters(steps: str) -> list[str]:
    return steps.split()


BEFORE = letters("y w z k G K R r q g d D P v S j o c l h h1 Q i")
BETWEEN = letters("y w z k K G N d D d v j o c B A m f fm fn m P P K O O1 O2 g l r R q x X C S mL dL fmL")
ENDS = ["e"] * 12 + letters("M p x X C c fe fme none ML u t fmeL")
BETWEEN_WSGI = letters("y w k K N d D v B B b b O O1 O2 O3 g l x X P S h h1 dL DL cw cx cz B")
BEFORE_WSGI = letters("k R r q g d D P h l z v c cw cx")
ENDS_WSGI = ["e"] * 12 + letters("x X none B")
SHAPES_WSGI = ["=g"] * 6 + ["=l", "=w", "=p", "=p", "=f"]
IN_WEBSOCKET = letters("y w z k K G N d D v o c B m g l r E E E3 E9 T b b Q q j dL")
ENDS_WEBSOCKET = letters("n n n1 u u u x X C E99 none")


def cells(rng: random.Random) -> int:
    return rng.choice(rng.choice([SMALL, SMALL, MEDIUM, LARGE]))


def complete(rng: random.Random, step: str) -> str:
    """A step with an argument, where it takes one and has none."""
    letter = step[0]
    if (letter in "BANPbTe" and len(step) == 1) or step in ("m", "M", "mL", "ML"):
        return f"{letter}{cells(rng)}{step[1:]}"
    if step == "w":
        return f"w{rng.choice([1, 5, 20, 100, 400])}"
    if step == "z":
        return f"z{rng.choice([1, 5, 20, 20, 120, 400])}"
    if letter in "KGo":
        return f"{letter}{rng.randrange(6000)}"
    if step == "c":
        return rng.choice(["c", "c1"])
    return step


def several(rng: random.Random, steps: Sequence[str], most: int, without: str) -> list[str]:
    chosen = [rng.choice(steps) for _ in range(rng.choice([0, 0, 1, 1, 2, most]))]
    return [complete(rng, step) for step in chosen if step[0] not in without]


def start(rng: random.Random, pieces: int) -> str:
    """`http.response.start`; `pieces`: the cells that follow. One in six says a length, one in twelve a wrong one."""
    status = rng.choice(["200"] * 8 + ["204", "304", "500"])
    kind = rng.random()
    if kind < 0.1:
        return f"s{status}l{pieces}"
    if kind < 0.17:
        return f"s{status}l{max(0, pieces + rng.choice([-1, 1, 100]))}"
    if kind < 0.2:
        return f"s{status}n{rng.choice(['5', '-1', '1e3', '18446744073709551616'])}"
    return f"s{status}{rng.choice(['', '', '', '', 't', 'g', 'a'])}"


def size_of(step: str) -> int:
    """The cells that a plain step sends."""
    return int(step[1:]) if step[0] in "be" and step[1:].isdigit() else 0


def http_program(rng: random.Random, interface: str, waits: bool, without: str = "") -> str:
    """What an answer is made of. `waits`: the client stays for the answer, so nothing waits for its leaving."""
    wsgi = interface == "wsgi"
    if rng.random() < 0.25:
        return f"s200.e{rng.choice([1, 1, 5000])}"
    before = several(rng, BEFORE_WSGI if wsgi else BEFORE, 3, without)
    between = several(rng, BETWEEN_WSGI if wsgi else [*BETWEEN, "b", "b", "b", "b"], 5, without)
    end = complete(rng, rng.choice(ENDS_WSGI if wsgi else ENDS))
    if end[0] in without or (end == "u" and waits):
        end = "e1"
    after = several(rng, BEFORE_WSGI if wsgi else BEFORE, 2, without)
    head = start(rng, sum(map(size_of, [*between, end])))
    steps = [*before, head, *between, *([] if end == "none" else [end]), *after]
    if rng.random() < 0.03:
        steps.remove(head)
    if wsgi:
        steps.insert(0, rng.choice(SHAPES_WSGI))
    return ".".join(steps)


def websocket_program(rng: random.Random, waits: bool, without: str = "") -> str:
    before = several(rng, BEFORE, 2, without)
    between = several(rng, IN_WEBSOCKET, 6, without)
    end = complete(rng, rng.choice(ENDS_WEBSOCKET))
    if end[0] in without or (end == "u" and waits):
        end = "n"
    opening = rng.choice(["a"] * 9 + ["n"])
    return ".".join([*before, opening, *between, *([] if end == "none" else [end])])
