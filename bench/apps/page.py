"""The site with a page over ASGI. Its view is a plain function, which Django runs in a thread."""

import page_site  # type: ignore[import-not-found]  # noqa: F401 # beside it; configures Django
from django.core.asgi import get_asgi_application

app = get_asgi_application()
