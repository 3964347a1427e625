"""WSGI applications that answer every request with what they were called with."""

import itertools
from typing import Any

Environ = dict[str, Any]
PLAIN = (str, int, bool, tuple)

calls = itertools.count()


def app(environ: Environ, start_response: Any) -> list[bytes]:
    """The environ as a literal: its own type, plain values as they are, and the types of all."""
    plain = {key: value for key, value in environ.items() if type(value) in PLAIN}
    types = {key: type(value).__name__ for key, value in environ.items()}
    start_response("200 OK", [])
    return [repr((type(environ).__name__, plain, types)).encode()]


def counted(*arguments: Any, **named: Any) -> list[bytes]:
    """How it was called, and how often by now."""
    arguments[1]("200 OK", [])
    return [repr((len(arguments), sorted(named), next(calls))).encode()]


def spoiling(environ: Environ, start_response: Any) -> list[bytes]:
    """Does with its environ what it likes."""
    seen = repr(sorted((key, repr(value)) for key, value in environ.items() if type(value) in PLAIN))
    for key in list(environ):
        environ[key] = "spoilt"
    environ.pop("wsgi.input")
    environ["HTTP_X_SPOILT"] = "spoilt"
    start_response("200 OK", [])
    return [seen.encode()]
