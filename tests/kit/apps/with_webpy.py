"""web.py: classes with a method for each verb, forms, files, a stream, failures, cookies."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import web

web.config.debug = False


def answer(value: dict[str, Any]) -> str:
    web.header("Content-Type", "application/json")
    return json.dumps(value)


class Item:
    def GET(self, number: str) -> str:  # noqa: N802 - web.py calls the method of this name
        name, url = web.input(name=None).name, web.ctx.home + web.ctx.path
        return answer({"number": int(number), "name": name, "client": web.ctx.ip, "url": url})


class Form:
    def POST(self) -> str:  # noqa: N802
        form = web.input(several=[])
        return answer({"name": form.name, "several": form.several})


class Upload:
    def POST(self) -> str:  # noqa: N802
        form = web.input(file={})
        content = form.file.file.read()
        digest = hashlib.sha256(content).hexdigest()
        return answer({"title": form.title, "name": form.file.filename, "size": len(content), "sha256": digest})


class Echo:
    def POST(self) -> bytes:  # noqa: N802
        web.header("Content-Type", "application/octet-stream")
        content: bytes = web.data()
        return content


class File:
    """web.py has no answer for a file, and returns only iterators as they are: the wrapper is read in blocks."""

    def GET(self) -> Iterator[bytes]:  # noqa: N802
        path = Path(web.input().path)
        web.header("Content-Type", "application/octet-stream")
        web.header("Content-Length", str(path.stat().st_size))
        web.header("Content-Disposition", f'attachment; filename="{path.name}"')
        with path.open("rb") as file:
            yield from web.ctx.env["wsgi.file_wrapper"](file, 1 << 16)


class Stream:
    def GET(self) -> Iterator[bytes]:  # noqa: N802
        web.header("Content-Type", "text/plain")
        for number in range(100):
            yield b"%d\n" % number


class Broken:
    def GET(self) -> Iterator[bytes]:  # noqa: N802
        yield b"x" * 1000
        raise RuntimeError("web.py stream fails")


class Crash:
    def GET(self) -> str:  # noqa: N802
        raise RuntimeError("web.py view fails")


class Visits:
    def GET(self) -> str:  # noqa: N802
        count = str(int(web.cookies(visits="0").visits) + 1)
        web.setcookie("visits", count, httponly=True)
        web.setcookie("theme", "dark")
        return count


urls = (
    *(r"/items/(\d+)", Item, "/form", Form, "/upload", Upload, "/echo", Echo, "/file", File),
    *("/stream", Stream, "/broken", Broken, "/crash", Crash, "/visits", Visits),
)
app = web.application(urls).wsgifunc()
