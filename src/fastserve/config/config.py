"""The configuration of a server, checked and unchangeable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastserve.config.option_types import Choice, Seconds
from fastserve.config.options import OPTIONS, Option, Options

_BY_NAME = {option.name: option for option in OPTIONS}

_OF_ADMIN = ("admin_token_file", "admin_host", "admin_queries")

_OF_SUPERVISOR = (
    *("reload", "preload", "admin", *_OF_ADMIN),
    *("max_requests", "max_requests_jitter", "max_worker_age", "max_worker_memory", "timeout_threads"),
)
"""Options that only a supervisor can fulfil."""


@dataclass(frozen=True, init=False, kw_only=True)
class Config(Options):
    """What to serve and how. Making one has no side effect: nothing is imported, opened or logged.

    app: the application, or where it is found: "module:attribute".
    options: every option of the table in docs/options.md, dashes as underscores; environment variables are not read.
    Raises ValueError for an unknown option, a bad value, or options that exclude each other.
    """

    app: str | Callable[..., Any]

    def __init__(self, app: str | Callable[..., Any], **options: Any) -> None:
        if not isinstance(app, str) and not callable(app):
            raise ValueError(f"app: {app!r} is neither callable nor a string 'module:attribute'")
        object.__setattr__(self, "app", app)
        for name in options:
            if name not in _BY_NAME:
                raise ValueError(_unknown(name))
        for option in OPTIONS:
            value = options.get(option.name, option.default)
            object.__setattr__(self, option.name, _checked(option, value))
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        if self.uds is not None and self.fd is not None:
            raise ValueError("uds, fd: only one of them can be given")
        for name in ("host", "port", "uds", "fd") if self.bind else ():
            if self._differs(name):
                raise ValueError(f"bind, {name}: only one of them can be given")
        self._refuse_contradictions_of_tls()
        if not self.supervisor and self.workers != 1:
            raise ValueError("workers: there can only be one without a supervisor")
        for name in _OF_SUPERVISOR if not self.supervisor else ():
            if self._differs(name):
                raise ValueError(f"{name}: cannot be without a supervisor")
        if self.limit_queue and not self.limit_concurrency:
            raise ValueError("limit_queue: needs limit_concurrency, the limit on which requests wait")
        for name in _OF_ADMIN if self.admin is None else ():
            if self._differs(name):
                raise ValueError(f"{name}: there is no admin address without admin")

    def _refuse_contradictions_of_tls(self) -> None:
        if self.ssl_keyfile and len(self.ssl_keyfile) != len(self.ssl_certfile):
            raise ValueError(
                f"ssl_certfile, ssl_keyfile: {len(self.ssl_certfile)} certificates and {len(self.ssl_keyfile)} keys; "
                "each certificate has a key, or none where its file holds it"
            )
        if self.ssl_cert_reqs != "none" and not self.ssl_ca_certs and self.ssl_context is None:
            raise ValueError("ssl_cert_reqs: needs ssl_ca_certs, the authorities that sign clients' certificates")
        if self.ssl_crl and self.ssl_cert_reqs == "none" and self.ssl_context is None:
            raise ValueError("ssl_crl: no certificates of clients are asked for without ssl_cert_reqs")
        if not self.tls:
            for name in ("insecure_bind", "ssl_redirect", "ssl_ca_certs", "ssl_crl", "ssl_keyfile_password"):
                if self._differs(name):
                    raise ValueError(f"{name}: there is no TLS without ssl_certfile or ssl_context")
        if self.ssl_redirect and not self.insecure_bind:
            raise ValueError("ssl_redirect: needs an insecure_bind, the plain address whose clients are redirected")

    @property
    def tls(self) -> bool:
        """Whether anything is served with TLS."""
        return bool(self.ssl_certfile) or self.ssl_context is not None

    def _differs(self, name: str) -> bool:
        return bool(getattr(self, name) != _BY_NAME[name].default)

    @property
    def limits(self) -> Mapping[str, int]:
        """The limits under the core's names, except those that a worker finds out itself; times in milliseconds."""
        values = {option: getattr(self, option.name) for option in OPTIONS if option.limit}
        return {option.limit: _core_unit(option, value) for option, value in values.items() if value is not None}


def _checked(option: Option, value: object) -> object:
    if value is option.default:
        return value
    try:
        return option.kind.convert(value)
    except ValueError as error:
        raise ValueError(f"{option.name}: {error}") from None


def _core_unit(option: Option, value: float | str) -> int:
    if isinstance(value, str):
        assert isinstance(option.kind, Choice)
        return option.kind.names.index(value)
    if isinstance(option.kind, Seconds):
        return max(round(value * 1000), 1) if value else 0  # a time too short for the core is not "off"
    return int(value)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, _BY_NAME, n=1)
    return f"unknown option {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
