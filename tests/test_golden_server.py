"""The golden cases against the whole server over TCP: whole, byte by byte and at a sample of splits."""

import pytest

from golden.cases import Case, read_all
from kit import Client, Serve

OPTIONS = {
    "max_request_line": "limit_request_line",
    "max_head": "limit_request_head",
    "max_fields": "limit_request_fields",
    "max_body": "limit_request_body",
    "max_requests": "limit_keep_alive_requests",
    "max_pipelined": "limit_pipelined",
}


def is_for_a_server(case: Case) -> bool:
    """Its limits are options, and the application can tell from the scope what the target was."""
    plain = all(request.target.startswith((b"/", b"*")) for request in case.requests)
    return not case.rooms_only and case.limits.keys() <= OPTIONS.keys() and plain


CASES = [case for case in read_all() if is_for_a_server(case)]


def play(case: Case, client: Client, pieces: tuple[bytes, ...]) -> tuple[bytes, bool]:
    """The reply, and whether the connection has ended."""
    try:
        for piece in pieces:
            client.send(piece)
        if case.eof:
            client.half_close()
    except ConnectionError:
        pass  # refused early: the reply may be there nevertheless
    data = b""
    while case.closes or case.mismatch(data) is not None:
        try:
            piece = client.socket.recv(1 << 16)
        except ConnectionResetError:
            return data, True
        if not piece:
            return data, True
        data += piece
    return data, client.readable()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_golden_case(case: Case, serve: Serve) -> None:
    limits = {OPTIONS[name]: value for name, value in case.limits.items()}
    server = serve(
        "answering:app", server_header=False, date_header=False, lifespan="off", access_log=False, ws="none", **limits
    )
    for pieces in case.splits(most=4):
        with server.connect() as client:
            reply, ended = play(case, client, pieces)
            cut = f"in {len(pieces)} pieces, the first {pieces[0]!r}"
            assert case.mismatch(reply) is None, f"{case.mismatch(reply)} ({cut})"
            assert ended == case.closes, cut
    server.tracebacks_matter = False
