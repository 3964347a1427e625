"""A flame graph: an SVG picture of sampled stacks, in which a function is as wide as its share of the samples.

Callers are below, what they have called is on top of them, in the order of names: from left to right is no time. Each
box tells its figures in a tooltip. There is no script in the picture, so that it may be shown anywhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from bench.profile.stacks import KERNEL, Frame, Stacks

WIDTH = 1200.0
ROW = 17
MARGIN = 10
HEADER = 58
CHARACTER = 6.7  # width of one, of the font below
NARROWEST = 0.3  # narrower boxes are left out, and what is on top of them

STYLE = """
text { font: 11px monospace; fill: #1c1c1c; pointer-events: none }
.title { font: bold 15px sans-serif }
.note { font: 12px sans-serif }
rect { stroke: #ffffff; stroke-width: 0.5 }
g:hover > rect { stroke: #000000; stroke-width: 1 }
"""
# Who a function belongs to, by the module that it is in: the first that fits.
OWNERS = (
    (re.compile(r"_(core|task)\.cpython"), "fastserve's core", "#8fcf8a"),
    (re.compile(re.escape(KERNEL)), "kernel", "#f0a58f"),
    (re.compile(r"loop\.cpython|libuv"), "uvloop", "#e8d37c"),
    (re.compile(r"(lib)?python|\w+\.cpython"), "Python and its modules", "#9dbdec"),
    (re.compile(r".+"), "other programs and libraries", "#d0c4dc"),
    (re.compile(r""), "threads", "#dddddd"),
)


@dataclass
class Node:
    """A function, called by the one below it."""

    samples: int = 0
    called: dict[Frame, "Node"] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """Where a function stands: a share of the whole from the left, and how many are below it."""

    frame: Frame
    depth: int
    left: float
    share: float
    samples: int


def draw(stacks: Stacks, title: str, note: str) -> str:
    """The picture. Raises ValueError when there is no sample."""
    root = tree(stacks)
    if not root.samples:
        raise ValueError("no stack was sampled")
    boxes = [box for box in place(root) if box.share * WIDTH >= NARROWEST]
    height = HEADER + ROW * (1 + max(box.depth for box in boxes)) + MARGIN
    full = WIDTH + 2 * MARGIN
    drawn = "\n".join(_box(box, height, root.samples) for box in boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full:g} {height}" width="{full:g}" height="{height}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect width="100%" height="100%" style="fill: #ffffff"/>\n'
        f'<text class="title" x="{MARGIN}" y="20">{escape(title)}</text>\n'
        f'<text class="note" x="{MARGIN}" y="37">{escape(note)}</text>\n'
        f"{_legend()}\n{drawn}\n</svg>\n"
    )


def tree(stacks: Stacks) -> Node:
    """The stacks laid over each other."""
    root = Node()
    for stack, count in stacks.items():
        node = root
        node.samples += count
        for frame in stack:
            node = node.called.setdefault(frame, Node())
            node.samples += count
    return root


def place(root: Node) -> Iterator[Box]:
    """Each function's box; a caller's comes before those on top of it."""
    waiting = [(root, 0, 0)]
    while waiting:
        node, depth, before = waiting.pop()
        for frame, called in sorted(node.called.items()):
            share = called.samples / root.samples
            yield Box(frame, depth, before / root.samples, share, called.samples)
            waiting.append((called, depth + 1, before))
            before += called.samples


def owner(frame: Frame) -> tuple[str, str]:
    """Who the function belongs to, and its colour."""
    return next((name, colour) for module, name, colour in OWNERS if module.match(frame.module))


def _box(box: Box, height: int, samples: int) -> str:
    x, width = MARGIN + box.left * WIDTH, box.share * WIDTH
    y = height - MARGIN - ROW * (box.depth + 1)
    colour = owner(box.frame)[1]
    where = f" in {box.frame.module}" if box.frame.module else ""
    tooltip = f"{box.frame.name}{where}: {box.samples} of {samples} samples, {box.share:.2%}"
    room = int((width - 6) / CHARACTER)
    name = box.frame.name if len(box.frame.name) <= room else box.frame.name[: max(0, room - 1)] + "…"
    label = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(name)}</text>' if room >= 3 else ""
    return (
        f"<g><title>{escape(tooltip)}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" style="fill: {colour}"/>{label}</g>'
    )


def _legend() -> str:
    parts, x = [], float(MARGIN)
    for _, name, colour in OWNERS:
        parts.append(f'<rect x="{x:g}" y="43" width="11" height="11" style="fill: {colour}"/>')
        parts.append(f'<text x="{x + 15:g}" y="53">{escape(name)}</text>')
        x += 32 + CHARACTER * len(name)
    return "".join(parts)
