"""A small answer with fifteen fields."""

from typing import Any

from head_fields import BODY, FIELDS  # type: ignore[import-not-found]  # beside it

HEADERS = [(name.title(), value) for name, value in FIELDS.items()]


def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", list(HEADERS))
    return [BODY]
