"""A Django site with one view that answers with JSON; the middleware that adds Content-Length, no database."""

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path


def hello(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "Hello, World!"})


urlpatterns = [path("", hello)]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="benchmark",
    )
    django.setup()
