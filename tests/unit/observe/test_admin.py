"""The admin address' application, over a real socket and a real scoreboard."""

import http.client
import json
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from fastserve.core_tables import STATUS_FIELDS
from fastserve.errors import StartError
from fastserve.observe import metrics
from fastserve.observe.admin import application, workers
from fastserve.observe.admin_access import Access, read_tokens
from fastserve.observe.scoreboard import REASONS, TOTALS, Cause, Scoreboard, State, WorkerBlock, now
from kit.waiting import PATIENCE

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
ROW = struct.Struct("QB119s")

SILENT_AFTER = 5.0


class Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Asked:
    """An answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read().decode()


Ask = Callable[..., Asked]


@pytest.fixture
def scoreboard() -> Scoreboard:
    """Of a supervisor that serves and is this process's parent, as it is to the process of the admin address."""
    made = Scoreboard(4)
    made.supervisor["pid"] = os.getppid()
    made.supervisor.state = State.SERVING
    return made


@pytest.fixture
def ask(scoreboard: Scoreboard) -> Iterator[Ask]:
    """Asks over a socket: ask("/livez"), ask("/livez", "POST")."""
    server: WSGIServer = make_server(
        "127.0.0.1", 0, validator(application(scoreboard, SILENT_AFTER)), handler_class=Silent
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def asked(target: str, method: str = "GET") -> Asked:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
        try:
            connection.request(method, target)
            return Asked(connection.getresponse())
        finally:
            connection.close()

    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def worker(scoreboard: Scoreboard, state: State = State.SERVING, **words: int) -> WorkerBlock:
    """A worker that has just shown a sign of life."""
    block = scoreboard.take()
    assert block is not None
    block.state = state
    for name, value in {"heartbeat": now(), "spawned": now(), **words}.items():
        block[name] = value
    return block


def metric(text: str, name: str, **labels: str) -> float:
    """The one sample of that name and labels."""
    families: Iterable[Metric] = text_string_to_metric_families(text)
    samples = [each for family in families for each in family.samples if each.name == name and each.labels == labels]
    assert len(samples) == 1, f"{name} {labels}: {samples}"
    return float(samples[0].value)


# health


def test_alive_and_ready(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard)
    for path in ("/livez", "/readyz"):
        found = ask(path)
        assert (found.status, found.body) == (200, "ok\n")
        assert found.fields["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING, State.STOPPING])
def test_a_service_that_does_not_serve_is_alive_and_not_ready(ask: Ask, scoreboard: Scoreboard, state: State) -> None:
    worker(scoreboard)
    scoreboard.supervisor.state = state
    assert ask("/livez").status == 200
    assert (ask("/readyz").status, ask("/readyz").body) == (503, f"{state.name.lower()}\n")


def test_workers_that_do_not_serve_make_nobody_ready(ask: Ask, scoreboard: Scoreboard) -> None:
    assert (ask("/readyz").status, ask("/readyz").body) == (503, "no worker is ready\n")
    for state in (State.STARTING, State.DRAINING, State.STOPPING, State.DEAD):
        worker(scoreboard, state)
    assert (ask("/readyz").status, ask("/readyz").body) == (503, "no worker is ready\n")


def test_one_worker_that_turns_is_enough(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard, heartbeat=now() - 60_000)
    found = ask("/readyz")
    assert (found.status, found.body) == (503, "no worker has shown a sign of life for 5 s\n")
    assert ask("/livez").status == 200
    worker(scoreboard)
    assert ask("/readyz").status == 200


def test_without_its_supervisor_nothing_is_alive(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard)
    scoreboard.supervisor["pid"] = os.getpid()  # whoever's child we are, it is not our own
    for path in ("/livez", "/readyz"):
        assert (ask(path).status, ask(path).body) == (503, "the supervisor is gone\n")


# the rules of the paths


def test_another_path_is_told_which_there_are(ask: Ask) -> None:
    for target in ("/", "/livez/", "/metrics2"):
        found = ask(target)
        assert (found.status, found.body) == (404, "not found; there are /livez, /readyz, /metrics, /workers\n")
    assert ask("/livez?verbose").status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/workers"])
def test_methods_and_fields(ask: Ask, scoreboard: Scoreboard, path: str) -> None:
    worker(scoreboard)
    got, head, posted = ask(path), ask(path, "HEAD"), ask(path, "POST")
    assert (got.status, head.status, posted.status) == (200, 200, 405)
    assert posted.fields["allow"] == "GET, HEAD"
    assert head.body == ""
    assert head.fields["content-type"] == got.fields["content-type"]
    assert {each.fields["cache-control"] for each in (got, head, posted, ask("/none"))} == {"no-store"}
    assert int(got.fields["content-length"]) == len(got.body.encode())


# metrics


CLOSES = (1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012)
"""The codes that the status block has a word for; the others are one."""


def test_the_metrics_are_those_that_the_document_lists(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard)
    found = ask("/metrics")
    assert found.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    types = re.findall(r"^# TYPE (\S+) (\S+)$", found.body, re.MULTILINE)
    rows = re.findall(r"^\| `(fastserve_\w+)` \| (\w+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(types) == sorted(rows)
    assert len(types) == len(dict(types))


def test_the_document_lists_every_cause_and_every_key(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard)
    text = DOCUMENT.read_text(encoding="utf-8")
    [listed] = json.loads(ask("/workers").body)
    for name in [*Cause, *listed]:
        assert f"`{name}`" in text


def test_every_counter_of_the_page_is_a_metric() -> None:
    words = {word for word, _, _ in metrics.COUNTERS} | set(metrics.BUCKETS) | {"duration_sum_us"}
    words |= {f"responses_{each}xx" for each in range(1, 6)} | {"peer_errors", "application_errors"}
    words.add("log_lines_dropped")
    words |= set(REASONS)
    words |= {f"closes_{code}" for code in (*CLOSES, "other")}
    assert words == set(TOTALS)
    assert [name for name in STATUS_FIELDS if name in metrics.BUCKETS] == list(metrics.BUCKETS)


def test_the_values_are_sums_over_the_workers(ask: Ask, scoreboard: Scoreboard) -> None:
    for number, word in enumerate(TOTALS, 1):
        scoreboard.supervisor[word] = 1000 * number  # of workers that are no more
    for _ in range(2):
        worker(
            scoreboard,
            State.SERVING,
            in_flight=3,
            running=4,
            connections=5,
            **{word: number for number, word in enumerate(TOTALS, 1)},
        )
    expected = {word: 1002 * number for number, word in enumerate(TOTALS, 1)}
    text = ask("/metrics").body
    for word, name, _ in metrics.COUNTERS:
        assert metric(text, f"fastserve_{name}_total") == expected[word]
    for each in ("1xx", "2xx", "3xx", "4xx", "5xx"):
        assert metric(text, "fastserve_responses_total", status=each) == expected[f"responses_{each}"]
    for code in (*CLOSES, "other"):
        assert metric(text, "fastserve_websocket_closes_total", code=str(code)) == expected[f"closes_{code}"]
    for fault in ("peer", "application"):
        assert metric(text, "fastserve_errors_total", fault=fault) == expected[f"{fault}_errors"]
    for word, reason in REASONS.items():
        assert metric(text, "fastserve_errors_by_reason_total", reason=reason) == expected[word]
    assert metric(text, "fastserve_requests_in_flight") == 6
    assert metric(text, "fastserve_requests_running") == 8
    assert metric(text, "fastserve_connections_open") == 10


def test_the_histogram_is_cumulative_and_in_seconds(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard, duration_1ms=4, duration_25ms=2, duration_2s5=1, duration_inf=3, duration_sum_us=31_500_000)
    text = ask("/metrics").body
    name = "fastserve_request_duration_seconds"
    bounds = ("0.001", "0.005", "0.01", "0.025", "0.5", "1.0", "2.5", "10.0", "+Inf")
    counts = [metric(text, f"{name}_bucket", le=bound) for bound in bounds]
    assert counts == [4, 4, 4, 6, 6, 6, 7, 7, 10]
    assert metric(text, f"{name}_count") == 10
    assert metric(text, f"{name}_sum") == 31.5


def test_counters_survive_the_end_of_a_worker(ask: Ask, scoreboard: Scoreboard) -> None:
    block = worker(scoreboard, requests_total=7)
    scoreboard.supervisor.count_end(Cause.SIGNAL)
    scoreboard.give_back(block)
    text = ask("/metrics").body
    assert metric(text, "fastserve_requests_total") == 7
    assert metric(text, "fastserve_workers_ended_total", cause="signal") == 1
    assert metric(text, "fastserve_workers_ended_total", cause="stuck") == 0


def test_the_service(ask: Ask, scoreboard: Scoreboard) -> None:
    started = int(time.time())
    for name, value in {"started": started, "wanted": 3, "generation": 2, "reloads": 2, "reloads_failed": 1}.items():
        scoreboard.supervisor[name] = value
    text = ask("/metrics").body
    assert metric(text, "fastserve_start_time_seconds") == started
    assert metric(text, "fastserve_workers_wanted") == 3
    assert metric(text, "fastserve_generation") == 2
    assert [metric(text, "fastserve_reloads_total", result=each) for each in ("ok", "failed")] == [2, 1]


def test_of_the_workers_of_a_slot_the_one_that_serves_counts(ask: Ask, scoreboard: Scoreboard) -> None:
    worker(scoreboard, State.DRAINING, slot=1, resident=1 << 20)
    worker(scoreboard, slot=1, resident=2 << 20, heartbeat=now() - 60_000)
    worker(scoreboard, State.STARTING, slot=0)
    text = ask("/metrics").body
    assert metric(text, "fastserve_worker_resident_memory_bytes", slot="1") == 2 << 20
    assert 60 <= metric(text, "fastserve_worker_heartbeat_age_seconds", slot="1") < 70
    assert 'slot="0"' not in text
    states = ("starting", "serving", "draining", "stopping")
    assert [metric(text, "fastserve_workers", state=each) for each in states] == [1, 1, 1, 0]


# the list of workers


def test_the_workers_with_what_they_serve(ask: Ask, scoreboard: Scoreboard) -> None:
    words = {"pid": 71, "slot": 1, "generation": 4, "requests_total": 9, "connections": 2, "in_flight": 2, "running": 3}
    block = worker(
        scoreboard, State.SERVING, spawned=now() - 5000, bytes_in=10, bytes_out=20, resident=1 << 20, **words
    )
    for row, (text, age) in enumerate([(b"GET /quick", 10), (b"POST /slow?q=\xe9", 3000)]):
        ROW.pack_into(block.memory, 768 + 128 * row, now() - age, len(text), text)
    worker(scoreboard, State.STARTING, pid=70, slot=0, heartbeat=0)
    found = ask("/workers")
    assert found.fields["content-type"] == "application/json"
    first, second = json.loads(found.body)
    assert (first["slot"], first["state"], first["heartbeat_age"], first["serving"]) == (0, "starting", None, [])
    assert 5 <= second.pop("age") < 15
    assert 0 <= second.pop("heartbeat_age") < 10
    slow, quick = second.pop("serving")
    assert (slow["request"], quick["request"]) == ("POST /slow", "GET /quick")
    assert 3 <= slow["seconds"] < 13
    assert second == {
        "slot": 1,
        "pid": 71,
        "generation": 4,
        "state": "serving",
        "requests": 9,
        "connections": 2,
        "in_flight": 2,
        "running": 3,
        "queued": 0,
        "queue_age": None,
        "threads_overdue": None,
        "bytes_in": 10,
        "bytes_out": 20,
        "resident": 1 << 20,
    }


def test_query_strings_are_shown_to_who_asks_for_them(scoreboard: Scoreboard) -> None:
    block = worker(scoreboard)
    ROW.pack_into(block.memory, 768, now(), 15, b"GET /?token=abc")
    shown = [workers(scoreboard)[0], workers(scoreboard, queries=True)[0]]
    assert [each["serving"][0]["request"] for each in shown] == ["GET /", "GET /?token=abc"]


# who may read


def refusals(scoreboard: Scoreboard, access: Access, **environ: str) -> dict[str, str]:
    """The status of each page, over TCP where no REMOTE_ADDR says otherwise."""

    def status(path: str) -> str:
        said: list[str] = []
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1", **environ}
        list(application(scoreboard, SILENT_AFTER, access)(asked, lambda status, _fields: said.append(status)))
        return said[0].partition(" ")[0]

    return {path: status(path) for path in ("/livez", "/readyz", "/metrics", "/workers", "/none")}


ANSWERED = {"/livez": "200", "/readyz": "200", "/metrics": "200", "/workers": "200", "/none": "404"}
MISDIRECTED = {**dict.fromkeys(ANSWERED, "421"), "/livez": "200", "/readyz": "200"}
UNAUTHORIZED = {**dict.fromkeys(ANSWERED, "401"), "/livez": "200", "/readyz": "200"}


KNOWN = """127.0.0.1 127.0.0.1:9000 10.1.2.3:9000 [::1] [::1]:9000 [fe80::1%eth0]:1 localhost:9000 LocalHost localhost.
ops.example OPS.example.:9000"""

UNKNOWN = """evil.example evil.example:9000 ops.example.evil xops.example 127.0.0.1.evil.example localhost.evil :9000
127.0.0.1@evil.example [::1 [evil] 127.0.0.1:9000:evil 0x7f.1 1"""


@pytest.mark.parametrize("host", KNOWN.split())
def test_names_that_are_known(scoreboard: Scoreboard, host: str) -> None:
    worker(scoreboard)
    assert refusals(scoreboard, Access(hosts=["ops.example"]), HTTP_HOST=host) == ANSWERED


@pytest.mark.parametrize("host", ["", *UNKNOWN.split()])
def test_names_that_are_not_known(scoreboard: Scoreboard, host: str) -> None:
    """As those that a browser sends which was led here by a name server (DNS rebinding)."""
    worker(scoreboard)
    assert refusals(scoreboard, Access(hosts=["ops.example"]), HTTP_HOST=host) == MISDIRECTED
    assert refusals(scoreboard, Access(hosts=["*"]), HTTP_HOST=host) == ANSWERED
    assert refusals(scoreboard, Access(), HTTP_HOST=host, REMOTE_ADDR="") == ANSWERED  # a Unix socket is in no DNS


def test_whoever_sends_no_host_is_no_browser(scoreboard: Scoreboard) -> None:
    worker(scoreboard)
    assert refusals(scoreboard, Access()) == ANSWERED


@pytest.mark.parametrize("field", ["Bearer one", "bearer two", "Bearer  two "])
def test_tokens_that_are_good(scoreboard: Scoreboard, field: str) -> None:
    worker(scoreboard)
    assert refusals(scoreboard, Access(tokens=[b"one", b"two"]), HTTP_AUTHORIZATION=field) == ANSWERED


@pytest.mark.parametrize(
    "field", ["", "one", "Bearer", "Bearer three", "Bearer one two", "Basic one", "Bearer \xe9", "Bearer on"]
)
def test_tokens_that_are_not(scoreboard: Scoreboard, field: str) -> None:
    worker(scoreboard)
    access = Access(tokens=[b"one", b"two"])
    assert refusals(scoreboard, access, HTTP_AUTHORIZATION=field) == UNAUTHORIZED
    assert refusals(scoreboard, access) == UNAUTHORIZED


def test_it_is_said_what_is_asked_for(scoreboard: Scoreboard) -> None:
    said = []
    answer = application(scoreboard, SILENT_AFTER, Access(tokens=[b"one"]))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "REMOTE_ADDR": "127.0.0.1"}
    body = answer(environ, lambda _status, fields: said.extend(fields))
    assert ("WWW-Authenticate", 'Bearer realm="fastserve"') in said
    assert b"Authorization: Bearer TOKEN" in b"".join(body)


@pytest.mark.parametrize(
    ("text", "tokens"), [("one\n", [b"one"]), ("# yesterday's\none\n\n  two \n", [b"one", b"two"]), ("one", [b"one"])]
)
def test_a_file_of_tokens(tmp_path: Path, text: str, tokens: list[bytes]) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    assert read_tokens(str(path)) == tokens


@pytest.mark.parametrize("content", [b"", b"\n# none\n", b"two words\n", b"\xff\xfe", "é".encode()])
def test_a_file_without_tokens(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(StartError, match=f"--admin-token-file: {path} has to hold a token") as caught:
        read_tokens(str(path))
    assert "words" not in str(caught.value)


def test_without_workers_the_list_is_empty(ask: Ask) -> None:
    assert ask("/workers").body == "[]\n"
