"""A Django site with one page: a template with a loop, for whom a session in a signed cookie names; no database."""

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

AGE = 100 * 365 * 24 * 3600  # the scenario's cookie was signed once
ROW = """\
<tr{% if forloop.first %} class="first"{% endif %}><td>{{ row.name }}</td><td>{{ row.price|floatformat:2 }}</td></tr>
"""
PAGE = f"""\
<!doctype html>
<html lang="en">
<head><title>{{{{ title }}}}</title></head>
<body>
<p>Signed in as {{{{ user }}}}</p>
<table>
{{% for row in rows %}}{ROW}{{% endfor %}}</table>
</body>
</html>
"""
ROWS = [{"name": f"Article <{number}>", "price": number * 1.5} for number in range(1, 6)]


def page(request: HttpRequest) -> HttpResponse:
    user = request.session.get("user", "nobody")
    return render(request, "page.html", {"title": "Orders & more", "user": user, "rows": ROWS})


urlpatterns = [path("", page)]

if not settings.configured:
    templates = ("django.template.loaders.locmem.Loader", {"page.html": PAGE})
    loaders = [("django.template.loaders.cached.Loader", [templates])]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="benchmark",
        SESSION_COOKIE_AGE=AGE,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": loaders}},
        ],
    )
    django.setup()
