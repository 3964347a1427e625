"""The site with a page over WSGI."""

import page_site  # type: ignore[import-not-found]  # noqa: F401 # beside it; configures Django
from django.core.wsgi import get_wsgi_application

app = get_wsgi_application()
