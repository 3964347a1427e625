"""Metrics that are asked for once a second beside the load, as a collector does."""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from bench.loads.counted import LoadError
from bench.process import HOST, cores

EVERY = 1.0
TIMEOUT = 5.0
METRIC = re.compile(rb"[a-zA-Z_:][\w:]*(\{.*\})? [-+.\w]+$")
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Scrapes:
    """How many answers there were; with `error` set the last one was none."""

    count: int = 0
    error: str = ""


@contextlib.contextmanager
def scraping(address: str) -> Iterator[Scrapes]:
    """Of a Unix socket's path or a port, until the block ends. Raises LoadError where an answer has no metrics."""
    scrapes, ended = Scrapes(), threading.Event()
    thread = threading.Thread(target=_scrape, args=(address, scrapes, ended))
    thread.start()
    try:
        yield scrapes
    finally:
        ended.set()
        thread.join()
    if scrapes.error:
        raise LoadError(f"metrics: {scrapes.error}")


def _scrape(address: str, scrapes: Scrapes, ended: threading.Event) -> None:
    os.sched_setaffinity(0, {cores()[1]})  # of this thread: the server has the other core to itself
    while not scrapes.error:
        try:
            _require_metrics(_answer(address))
            scrapes.count += 1
        except (OSError, ValueError) as error:
            scrapes.error = str(error)
        if ended.wait(EVERY):
            return


def _answer(address: str) -> bytes:
    with socket.socket(socket.AF_INET if address.isdigit() else socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect((HOST, int(address)) if address.isdigit() else address)
        connection.sendall(REQUEST)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def _require_metrics(answer: bytes) -> None:
    """Raises ValueError for what is not the text format: a status of 200, and lines with a name and a number."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    if status.split()[1:2] != ["200"]:
        raise ValueError(f"{status!r} in place of 200")
    if not any(METRIC.match(line) for line in body.splitlines()):
        raise ValueError("an answer without any")
