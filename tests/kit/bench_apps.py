"""The bench's applications, asked without a server."""

import asyncio
import importlib.util
import io
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from bench.plan import HERE, Scenario

CLIENT = "203.0.113.7"
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
P = ParamSpec("P")
T = TypeVar("T")


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What it returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def run(app: str, scenario: Scenario, **scope: Any) -> list[dict[str, Any]]:
    """What the application sends for the scenario's request, which comes over a proxy as those of some scenarios do."""
    messages: list[dict[str, Any]] = []
    path, _, query = scenario.path.partition("?")
    headers = {"host": "127.0.0.1", "content-length": str(len(scenario.payload))}
    headers |= {name.lower(): value for name, value in scenario.headers.items()}
    scope |= {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "https", "root_path": ""}
    scope |= {"method": scenario.method, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    scope |= {"server": ("127.0.0.1", 80), "client": (CLIENT, 1)}
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # the client stays
        sent = True
        return {"type": "http.request", "body": scenario.payload, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    asyncio.run(application(app)(scope, receive, send))
    return messages


def call(
    app: str, method: str, target: str, upload: bytes, fields: Mapping[str, str] = NO_FIELDS
) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body of one request, by the rules of PEP 3333."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    environ |= {"SCRIPT_NAME": "", "wsgi.input": io.BytesIO(upload), "wsgi.url_scheme": "https", "REMOTE_ADDR": CLIENT}
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}
    environ |= {"CONTENT_TYPE": environ.pop("HTTP_CONTENT_TYPE", "")}
    environ |= {"CONTENT_LENGTH": str(len(upload))} if method == "POST" else {}
    setup_testing_defaults(environ)
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
        heads.append((status, headers))
        return lambda _data: None

    result = validator(application(app))(environ, start_response)
    body = b"".join(result)
    result.close()  # type: ignore[attr-defined]  # the validator's own iterator has it, and demands the call
    (head,) = heads
    return head[0], {name.lower(): value for name, value in head[1]}, body


def application(name: str) -> Any:
    """The module's `app`; like a server it finds the modules beside it."""
    folder = str(HERE / "apps")
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, HERE / "apps" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app
