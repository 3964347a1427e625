"""gRPC's own client, over HTTP/2: many small messages both ways, each with window updates and pings beside it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any

import grpc
import pytest

from kit import Serve
from kit.certificates import shared

SMALL = 30_000
"""Messages of a stream, a few bytes each."""

DEADLINE = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Echo:
    """The methods of apps/with_grpc.py on one connection."""

    def __init__(self, channel: Any) -> None:
        self._unary = channel.unary_unary("/test.Echo/Unary")
        self._collect = channel.stream_unary("/test.Echo/Collect")
        self._count = channel.unary_stream("/test.Echo/Count")
        self._talk = channel.stream_stream("/test.Echo/Talk")

    def unary(self, message: bytes) -> bytes:
        answer: bytes = self._unary(message, timeout=DEADLINE)
        return answer

    def collect(self, messages: Iterator[bytes]) -> bytes:
        answer: bytes = self._collect(messages, timeout=DEADLINE)
        return answer

    def count(self, most: int) -> list[bytes]:
        return list(self._count(str(most).encode(), timeout=DEADLINE))

    def talk(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        answers: Iterator[bytes] = self._talk(messages, timeout=DEADLINE)
        return answers

    def one_after_another(self, most: int) -> bool:
        """Each message of one stream only when the answer to the last has come."""
        last = [0]

        def messages() -> Iterator[bytes]:
            while last[0] < most:
                yield str(last[0]).encode()
                answered.acquire()

        answered = Semaphore(0)
        for number, answer in enumerate(self.talk(messages())):
            assert answer == str(number).encode()
            last[0] = number + 1
            answered.release()
        return last[0] == most


@pytest.fixture(params=["cleartext", "tls"])
def echo(request: pytest.FixtureRequest, serve: Serve) -> Iterator[Echo]:
    server = serve("with_grpc:app", secure=request.param == "tls")
    address = f"localhost:{server.port}"
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    trust = grpc.ssl_channel_credentials(shared().file.read_bytes())
    with (
        grpc.secure_channel(address, trust, options)
        if server.secure
        else grpc.insecure_channel(address, options) as channel
    ):
        yield Echo(channel)


def small() -> Iterator[bytes]:
    return (str(number).encode() for number in range(SMALL))


def test_many_calls(echo: Echo) -> None:
    for number in range(3000):
        message = str(number).encode()
        assert echo.unary(message) == message


def test_a_stream_of_the_client(echo: Echo) -> None:
    assert echo.collect(small()) == repr((SMALL, sum(map(len, small())))).encode()


def test_a_stream_of_the_server(echo: Echo) -> None:
    assert echo.count(SMALL) == list(small())


def test_streams_both_ways(echo: Echo) -> None:
    assert list(echo.talk(small())) == list(small())


def test_one_message_after_another(echo: Echo) -> None:
    """The client opens two windows and measures the way for each of them."""
    assert echo.one_after_another(5000)


def test_ten_calls_side_by_side(echo: Echo) -> None:
    """On one connection, whose budget they share."""
    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(echo.one_after_another, [1000] * 10))
    with ThreadPoolExecutor(10) as pool:
        assert all(list(answers) == list(small())[:3000] for answers in pool.map(talk_of, [echo] * 10))


def talk_of(echo: Echo) -> list[bytes]:
    return list(echo.talk(iter(list(small())[:3000])))
