"""Metrics in Prometheus' text format, made from the scoreboard at each request (docs/metrics.md)."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from fastserve.core_tables import STATUS_FIELDS
from fastserve.observe.scoreboard import REASONS, Scoreboard, State, WorkerBlock, now
from fastserve.version import version

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS: Mapping[str, str] = {
    "duration_1ms": "0.001",
    "duration_5ms": "0.005",
    "duration_10ms": "0.01",
    "duration_25ms": "0.025",
    "duration_50ms": "0.05",
    "duration_100ms": "0.1",
    "duration_250ms": "0.25",
    "duration_500ms": "0.5",
    "duration_1s": "1.0",
    "duration_2s5": "2.5",
    "duration_5s": "5.0",
    "duration_10s": "10.0",
    "duration_inf": "+Inf",
}
"""The scoreboard's counters of durations with their upper bounds in seconds."""

COUNTERS = (
    ("connections_total", "connections_accepted", "Connections that were accepted."),
    ("requests_total", "requests", "Requests that began."),
    ("bytes_in", "received_bytes", "Bytes received from clients."),
    ("bytes_out", "sent_bytes", "Bytes sent to clients."),
    ("overloaded", "requests_overloaded", "Requests answered 503 because of --limit-concurrency."),
    ("queue_timeouts", "requests_queued_too_long", "Requests answered 503 because of --queue-timeout."),
    ("no_room", "requests_without_room", "Refusals (503) because of --limit-buffered or --limit-body-files."),
    ("never_fits", "requests_never_fitting", "Requests answered 413 because their body exceeds --limit-body-files."),
    ("accept_errors", "accept_errors", "Connections that could not be accepted, such as for want of descriptors."),
    ("handed_over", "connections_handed_over", "Connections that a worker handed over to one with less to do."),
    ("taken_over", "connections_taken_over", "Connections that a worker took over from another one."),
    ("websockets_total", "websockets_accepted", "WebSockets that were accepted."),
    ("websocket_messages_in", "websocket_received_messages", "WebSocket messages received from clients."),
    ("websocket_messages_out", "websocket_sent_messages", "WebSocket messages sent to clients."),
    ("websocket_bytes_in", "websocket_received_bytes", "Bytes of the messages received, uncompressed."),
    ("websocket_bytes_out", "websocket_sent_bytes", "Bytes of the messages sent, uncompressed."),
    ("tls_handshakes", "tls_handshakes", "TLS handshakes that were completed."),
    ("http2_connections", "http2_connections", "Connections that speak HTTP/2."),
    ("http2_resets", "http2_streams_reset", "HTTP/2 streams that clients have reset."),
    ("access_log_dropped", "access_log_dropped_lines", "Lines of the access log that could not be written."),
    ("log_lines_left_out", "log_left_out_lines", "Lines of the log that --log-rate-limit has left out."),
)
"""Words of the scoreboard, the names of the counters made of them, and what they count."""

_CLOSES = tuple(word for word in STATUS_FIELDS if word.startswith("closes_"))
_STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_STATES = (State.STARTING, State.SERVING, State.DRAINING, State.STOPPING)


def render(scoreboard: Scoreboard) -> bytes:
    """Returns all metrics, as a response's body of `CONTENT_TYPE`."""
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector

    class Reading(Collector):
        def collect(self) -> "Iterator[Metric]":
            return _families(scoreboard)

    return generate_latest(Reading())


def _families(scoreboard: Scoreboard) -> "Iterator[Metric]":
    totals = scoreboard.totals()
    workers = list(scoreboard.workers())
    yield from _service(scoreboard)
    yield from _requests(totals)
    yield _gauge("requests_in_flight", "Requests being served.", sum(each["in_flight"] for each in workers))
    yield _gauge(
        "requests_running",
        "Requests whose client waits or whose application has not ended: what --limit-concurrency counts.",
        sum(each["running"] for each in workers),
    )
    yield _gauge(
        "requests_queued",
        "Requests whose application is not called yet: they wait for a thread, or in the queue of --limit-queue.",
        sum(each["queued"] for each in workers),
    )
    since = [each["queued_since"] for each in workers if each["queued_since"]]
    oldest = max(now() - min(since), 0) / 1000 if since else 0
    yield _gauge("queue_oldest_seconds", "How long the oldest of them has waited.", oldest)
    yield _gauge("buffered_bytes", "Memory that holds what clients sent.", sum(each["buffered"] for each in workers))
    yield _gauge("body_file_bytes", "Bodies in files.", sum(each["body_files"] for each in workers))
    yield _gauge("connections_open", "Open connections.", sum(each["connections"] for each in workers))
    yield _gauge("websockets_open", "Open WebSockets.", sum(each["websockets"] for each in workers))
    yield from _workers(scoreboard, workers)


def _service(scoreboard: Scoreboard) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("fastserve", "The server's version.", {"version": version()})
    yield _gauge("start_time_seconds", "When the supervisor started, in Unix time.", scoreboard.supervisor["started"])
    yield _gauge(
        "generation", "The generation of the workers; it grows with each reload.", scoreboard.supervisor["generation"]
    )
    reloads = CounterMetricFamily("fastserve_reloads", "Reloads, by whether they succeeded.", labels=["result"])
    reloads.add_metric(["ok"], scoreboard.supervisor["reloads"])
    reloads.add_metric(["failed"], scoreboard.supervisor["reloads_failed"])
    yield reloads


def _requests(totals: Mapping[str, int]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    for word, name, text in COUNTERS:
        yield CounterMetricFamily(f"fastserve_{name}", text, value=totals[word])
    dropped = CounterMetricFamily(
        "fastserve_log_lines_dropped", "Lines that could not be written, or that nobody read.", labels=["log"]
    )
    dropped.add_metric(["access"], totals["access_log_dropped"])
    dropped.add_metric(["error"], totals["log_lines_dropped"])
    yield dropped
    responses = CounterMetricFamily("fastserve_responses", "Responses, by class of their status.", labels=["status"])
    for each in _STATUS_CLASSES:
        responses.add_metric([each], totals[f"responses_{each}"])
    yield responses
    errors = CounterMetricFamily("fastserve_errors", "Errors in requests, by whose fault they were.", labels=["fault"])
    errors.add_metric(["peer"], totals["peer_errors"])
    errors.add_metric(["application"], totals["application_errors"])
    yield errors
    reasons = CounterMetricFamily(
        "fastserve_errors_by_reason", "Requests and connections that ended badly, by the reason.", labels=["reason"]
    )
    for word, reason in REASONS.items():
        if totals[word]:
            reasons.add_metric([reason], totals[word])
    yield reasons
    closes = CounterMetricFamily(
        "fastserve_websocket_closes",
        "WebSockets that ended, by the code that the application was told.",
        labels=["code"],
    )
    for word in _CLOSES:
        closes.add_metric([word.removeprefix("closes_")], totals[word])
    yield closes
    counts = accumulate(totals[word] for word in BUCKETS)
    yield HistogramMetricFamily(
        "fastserve_request_duration_seconds",
        "From a request's head to the end of its response.",
        buckets=list(zip(BUCKETS.values(), counts, strict=True)),
        sum_value=totals["duration_sum_us"] / 1_000_000,
    )


def _workers(scoreboard: Scoreboard, workers: list[WorkerBlock]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield _gauge("workers_wanted", "Workers that there should be.", scoreboard.supervisor["wanted"])
    states = GaugeMetricFamily("fastserve_workers", "Workers, by state.", labels=["state"])
    for state in _STATES:
        states.add_metric([state.name.lower()], sum(each.state is state for each in workers))
    yield states
    ended = CounterMetricFamily("fastserve_workers_ended", "Workers that ended, by cause.", labels=["cause"])
    for cause, count in scoreboard.supervisor.ended().items():
        ended.add_metric([str(cause)], count)
    yield ended
    age = GaugeMetricFamily(
        "fastserve_worker_heartbeat_age_seconds", "Since the last sign of life of a slot's worker.", labels=["slot"]
    )
    memory = GaugeMetricFamily(
        "fastserve_worker_resident_memory_bytes", "Resident memory of a slot's worker.", labels=["slot"]
    )
    for slot, worker in _one_a_slot(workers):
        age.add_metric([slot], max(now() - worker["heartbeat"], 0) / 1000)
        memory.add_metric([slot], worker["resident"])
    yield age
    yield memory


def _one_a_slot(workers: Iterable[WorkerBlock]) -> Iterator[tuple[str, WorkerBlock]]:
    """Yields the worker that serves each slot: others, which start or drain, would make duplicate series."""
    serving = {worker["slot"]: worker for worker in workers if worker.state is State.SERVING}
    return ((str(slot), serving[slot]) for slot in sorted(serving))


def _gauge(name: str, text: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"fastserve_{name}", text, value=value)
