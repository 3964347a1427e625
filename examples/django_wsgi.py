"""Django in a single file, through its WSGI handler.

pip install django
fastserve examples.django_wsgi:app
"""

import os
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only-for-this-example"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup(set_prefix=False)


def index(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"hello": "fastserve", "path": request.path})


def item(request: HttpRequest, number: int) -> HttpResponse:
    return JsonResponse({"number": number})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[str]:
        for number in range(1, 6):
            yield f"piece {number}\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def source(request: HttpRequest) -> FileResponse:
    """Goes out through wsgi.file_wrapper, that is by sendfile(2)."""
    return FileResponse(Path(__file__).open("rb"), content_type="text/x-python")


urlpatterns = [path("", index), path("items/<int:number>", item), path("stream", stream), path("source", source)]

app = get_wsgi_application()
