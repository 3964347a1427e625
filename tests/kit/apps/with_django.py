"""Django through ASGI: asynchronous and synchronous views, upload, streaming, files."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for the tests only",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={},
    USE_TZ=True,
)
django.setup()

folder = tempfile.TemporaryDirectory()
file_path = Path(folder.name) / "file.bin"
file_path.write_bytes(bytes(range(256)) * 1000)


async def plain(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"path": request.path, "host": request.get_host(), "client": request.META["REMOTE_ADDR"]})


def synchronous(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} {request.GET.get('a')}")


async def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse({name: file.size for name, file in request.FILES.items()})


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


async def stream(_: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()

    return StreamingHttpResponse(pieces())


async def crash(_: HttpRequest) -> HttpResponse:
    raise RuntimeError("django view fails")


def file(_: HttpRequest) -> FileResponse:
    return FileResponse(file_path.open("rb"))


urlpatterns: list[Any] = [
    path("", plain),
    path("sync", synchronous),
    path("upload", upload),
    path("echo", echo),
    path("stream", stream),
    path("crash", crash),
    path("file", file),
]
app = get_asgi_application()
