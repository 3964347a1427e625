"""Django in a single file, through its ASGI handler.

pip install django
fastserve examples.django_asgi:app
"""

import os
from collections.abc import AsyncIterator

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only-for-this-example"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup(set_prefix=False)


async def index(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"hello": "fastserve", "path": request.path})


def synchronous(request: HttpRequest) -> HttpResponse:
    """Django runs a view like this one in a thread."""
    return HttpResponse("from a thread\n", content_type="text/plain")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[str]:
        for number in range(1, 6):
            yield f"piece {number}\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


urlpatterns = [path("", index), path("sync", synchronous), path("stream", stream)]

app = get_asgi_application()
