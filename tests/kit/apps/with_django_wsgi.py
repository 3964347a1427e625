"""Django through WSGI: the routes of the other frameworks, and the admin with its database, static files and forms."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

folder = tempfile.TemporaryDirectory(prefix="fastserve-django-")

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for the tests only",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(folder.name) / "admin.sqlite3"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    STATIC_URL="/static/",
    USE_TZ=True,
    # Without DEBUG Django writes a view's exception nowhere but into mail.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR", "propagate": False}},
    },
)
django.setup()

from django.contrib import admin  # noqa: E402 - models can be imported once Django is set up
from django.contrib.auth.models import User  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

call_command("migrate", verbosity=0)
User.objects.create_superuser("admin", password="secret")


def item(request: HttpRequest, number: int) -> HttpResponse:
    url = request.build_absolute_uri(request.path)
    client = request.META["REMOTE_ADDR"]
    return JsonResponse({"number": number, "name": request.GET.get("name"), "client": client, "url": url})


def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": request.POST["name"], "several": request.POST.getlist("several")})


def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256(b"".join(file.chunks())).hexdigest()
    return JsonResponse({"title": request.POST["title"], "name": file.name, "size": file.size, "sha256": digest})


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, content_type="application/octet-stream")


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse(Path(request.GET["path"]).open("rb"), as_attachment=True)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse((b"%d\n" % number for number in range(100)), content_type="text/plain")


def broken(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        raise RuntimeError("django stream fails")

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("django view fails")


def visits(request: HttpRequest) -> HttpResponse:
    count = int(request.COOKIES.get("visits", "0")) + 1
    response = HttpResponse(str(count))
    response.set_cookie("visits", str(count), httponly=True)
    response.set_cookie("theme", "dark")
    return response


urlpatterns: list[Any] = [
    path("admin/", admin.site.urls),
    path("items/<int:number>", item),
    path("form", csrf_exempt(form)),
    path("upload", csrf_exempt(upload)),
    path("token", token),
    path("protected", upload),
    path("echo", csrf_exempt(echo)),
    path("file", file),
    path("stream", stream),
    path("broken", broken),
    path("crash", crash),
    path("visits", visits),
]
app = StaticFilesHandler(get_wsgi_application())
