"""Asks a server once and compares its answer with what the scenario expects, before anything is measured."""

import http.client
import ssl

from bench.plan import Scenario
from bench.process import HOST

TIMEOUT = 10.0


class WrongAnswerError(Exception):
    """The server's answer is not the scenario's; its figures would mean nothing."""


def _connection(scenario: Scenario, port: int) -> http.client.HTTPConnection:
    if not scenario.tls:
        return http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # as the load programs speak with whoever can
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate was made a moment ago, by nobody
    return http.client.HTTPSConnection(HOST, port, timeout=TIMEOUT, context=context)


def check_answer(scenario: Scenario, port: int) -> None:
    """Raises WrongAnswerError, which says what differs."""
    connection = _connection(scenario, port)
    try:
        connection.request(scenario.method, scenario.path, scenario.payload or None, scenario.headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswerError(f"no valid answer: {error!r}") from error
    finally:
        connection.close()
    expected = scenario.answer
    if response.status != expected.status:
        raise WrongAnswerError(f"status {response.status} in place of {expected.status}")
    for name, value in expected.headers.items():
        if response.getheader(name, "").lower() != value.lower():
            raise WrongAnswerError(f"header {name} is {response.getheader(name)!r} in place of {value!r}")
    if len(body) != len(expected.body):
        raise WrongAnswerError(f"a body of {len(body)} bytes in place of {len(expected.body)}")
    if body != expected.body:
        raise WrongAnswerError("a body of the right length with other bytes")
