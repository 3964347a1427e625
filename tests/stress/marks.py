"""A request's mark, by which its bytes are known again: what another request's answer holds is seen at once."""

CELL = 16
"""Bytes of a body come in cells of this size, each with the mark of the request that they belong to."""

FILE_CELL = b"a file's cell...."[:CELL]
"""What the files hold that applications send."""

INJECTED = "/injected/"
"""The target of requests that stand inside of bodies: nobody may ever take them for requests."""


def cell(mark: str) -> bytes:
    """One cell of this mark."""
    return f"{mark:.<{CELL}}"[:CELL].encode()


def belongs(body: bytes, mark: str) -> bool:
    """Whether a body is made of this mark's cells and of files' alone; the last one may be cut."""
    own = cell(mark)
    if body == own * (len(body) // CELL):
        return True
    rest = body.replace(own, b"").replace(FILE_CELL, b"")
    return len(rest) < CELL and (own.startswith(rest) or FILE_CELL.startswith(rest))
