"""A server as a real process, and a raw client that sees every byte: what the tests over sockets share."""

from collections.abc import Callable

import httpx

from kit.answer import Answer, BrokenAnswer, Reader
from kit.client import Client
from kit.process import APPS, Server, default_command
from kit.script import request, script

Serve = Callable[..., Server]
"""A fixture that gives a server: serve("module:attribute", option=value, ...)."""

Open = Callable[[str], tuple[Server, httpx.Client]]
"""A fixture that gives a server and a client that has its address."""

__all__ = [
    "APPS",
    "Answer",
    "BrokenAnswer",
    "Client",
    "Open",
    "Reader",
    "Serve",
    "Server",
    "default_command",
    "request",
    "script",
]
