"""web.py: a class for each address, a form with a file, a streamed answer.

pip install web.py
fastserve examples.webpy_app:app
"""

import json
from collections.abc import Iterator

import web

web.config.debug = False  # its debug mode reloads modules that have changed and shows tracebacks to the client


class Index:
    def GET(self) -> str:  # noqa: N802 - web.py calls the method of this name
        web.header("Content-Type", "application/json")
        return json.dumps({"hello": web.input(name="fastserve").name})


class Item:
    def GET(self, number: str) -> str:  # noqa: N802
        web.header("Content-Type", "application/json")
        return json.dumps({"number": int(number)})


class Upload:
    def POST(self) -> str:  # noqa: N802
        file = web.input(file={}).file
        web.header("Content-Type", "application/json")
        return json.dumps({"name": file.filename, "size": len(file.file.read())})


class Stream:
    def GET(self) -> Iterator[bytes]:  # noqa: N802
        web.header("Content-Type", "text/plain")
        for number in range(1, 6):
            yield b"piece %d\n" % number


urls = ("/", Index, r"/items/(\d+)", Item, "/upload", Upload, "/stream", Stream)

app = web.application(urls).wsgifunc()
