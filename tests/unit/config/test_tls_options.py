"""The options of TLS and of HTTP's versions in a configuration: their defaults, their bounds, and what they exclude."""

from typing import Any

import pytest

from fastserve import Config
from fastserve._core import LIMITS
from fastserve.config.options import HTTP2, OPTIONS, TLS


def made(**options: Any) -> Config:
    return Config("shop:app", **options)


def test_defaults() -> None:
    config = made()
    assert not config.tls
    assert (config.ssl_min_version, config.ssl_cert_reqs, config.ssl_redirect) == ("1.2", "none", False)
    assert config.ssl_ciphers == "ECDHE+AESGCM:ECDHE+CHACHA20"
    assert (config.http, config.h2_max_streams, config.h2_max_resets) == ("auto", 128, 200)


def test_limits_are_the_cores() -> None:
    options = [each for each in OPTIONS if each.group in (TLS, HTTP2) and each.limit]
    assert len(options) == 9
    limits = made().limits
    assert {each.limit: limits[each.limit] for each in options} == {each.limit: LIMITS[each.limit] for each in options}


@pytest.mark.parametrize(
    "options",
    [
        {"ssl_certfile": ["a.pem"]},
        {"ssl_certfile": ["a.pem", "b.pem"], "ssl_keyfile": ["a.key", "b.key"]},
        {"ssl_context": "own:context"},
        {"ssl_context": "own:context", "ssl_certfile": ["a.pem"]},
        {"ssl_context": "own:context", "ssl_cert_reqs": "required"},
        {"ssl_certfile": ["a.pem"], "insecure_bind": [":80"], "ssl_redirect": True},
        {"ssl_certfile": ["a.pem"], "ssl_ca_certs": "ca.pem", "ssl_cert_reqs": "optional"},
    ],
)
def test_what_goes_together(options: dict[str, Any]) -> None:
    assert made(**options).tls


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ssl_keyfile": ["a.key"]}, "0 certificates and 1 keys"),
        ({"ssl_certfile": ["a.pem", "b.pem"], "ssl_keyfile": ["a.key"]}, "2 certificates and 1 keys"),
        ({"ssl_certfile": ["a.pem"], "ssl_cert_reqs": "required"}, "ssl_cert_reqs: needs ssl_ca_certs"),
        ({"ssl_certfile": ["a.pem"], "ssl_cert_reqs": "optional"}, "ssl_cert_reqs: needs ssl_ca_certs"),
        ({"ssl_certfile": ["a.pem"], "ssl_redirect": True}, "ssl_redirect: needs an insecure_bind"),
        ({"ssl_redirect": True}, "ssl_redirect: there is no TLS"),
        ({"insecure_bind": [":80"]}, "insecure_bind: there is no TLS"),
        ({"ssl_ca_certs": "ca.pem"}, "ssl_ca_certs: there is no TLS"),
        ({"ssl_keyfile_password": "open sesame"}, "ssl_keyfile_password: there is no TLS"),
        ({"ssl_min_version": "1.1"}, "ssl_min_version: "),
        ({"ssl_cert_reqs": "maybe"}, "ssl_cert_reqs: "),
        ({"http": "3"}, "http: "),
        ({"h2_max_frame_size": 16383}, "h2_max_frame_size: "),
        ({"h2_max_frame_size": 1 << 24}, "h2_max_frame_size: "),
        ({"h2_connection_window": 65534}, "h2_connection_window: "),
        ({"h2_stream_window": 1 << 31}, "h2_stream_window: "),
    ],
)
def test_what_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^(ssl_certfile, ssl_keyfile: )?{words}") as caught:
        made(**options)
    assert "\n" not in str(caught.value)
    assert "open sesame" not in str(caught.value)


def test_the_password_is_in_no_text_of_it() -> None:
    assert "open sesame" not in repr(made(ssl_certfile=["a.pem"], ssl_keyfile_password="open sesame"))
