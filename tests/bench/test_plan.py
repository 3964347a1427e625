"""The plan's own files, the ratios and the verdicts."""

import email
import email.policy
import itertools
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.measure.rounds import summarize
from bench.measure.sample import Sample
from bench.measure.slow import APP
from bench.measure.thresholds import judge
from bench.plan import HERE, Interface, Scenario, SlowTransfer, Threshold, choose, load_plan, participants
from kit.bench_apps import apart, application, call, run

PLAN = load_plan()
CONFIGURED = ("page", "wsgi_page")  # Django's site can be configured once in a process


def sample(server: str, cpu_us: float, error: str = "", scenario: str = "hello", **figures: Any) -> Sample:
    return Sample(scenario, server, cpu_us=cpu_us, error=error, **figures)


def of(interface: Interface) -> list[Any]:
    """Every scenario of HTTP that the interface has an application for, with that."""
    scenarios = [each for each in PLAN.scenarios.values() if interface in each.interfaces and not each.websocket]
    return [pytest.param(s, s.apps.get(interface, s.app), id=s.name) for s in scenarios]


@pytest.mark.parametrize(("scenario", "app"), of("asgi"))
def test_the_asgi_application_gives_the_answer_of_its_scenario(scenario: Scenario, app: str) -> None:
    for asked in scenario.asked:
        messages = apart(run, app, asked) if app in CONFIGURED else run(app, asked)
        headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        body = b"".join(message["body"] for message in messages[1:])
        assert_answer(asked, messages[0]["status"], {name.lower(): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(("scenario", "app"), of("wsgi"))
def test_the_wsgi_application_gives_the_answer_of_its_scenario(scenario: Scenario, app: str) -> None:
    for asked in scenario.asked:
        arguments = (app, asked.method, asked.path, asked.payload, asked.headers)
        status, headers, body = apart(call, *arguments) if app in CONFIGURED else call(*arguments)
        assert_answer(asked, int(status.split()[0]), headers, body)


def test_a_file_is_left_to_a_server_that_can_send_one() -> None:
    start, message = run("file", PLAN.scenarios["file-100k"], extensions={"http.response.pathsend": {}})
    assert start["status"] == 200
    assert message["type"] == "http.response.pathsend"
    assert Path(message["path"]).read_bytes() == PLAN.scenarios["file-100k"].answer.body


def test_a_file_is_wrapped_by_a_server_that_can_send_one() -> None:
    wrapped: list[bytes] = []

    def wrap(file: Any, _block: int) -> list[bytes]:
        with file:
            wrapped.append(file.read())
        return wrapped

    answer = application("wsgi_file")({"wsgi.file_wrapper": wrap}, lambda _status, _headers: None)
    assert answer is wrapped
    assert wrapped == [PLAN.scenarios["file-100k"].answer.body]


@pytest.mark.parametrize("transfer", PLAN.slow.values(), ids=PLAN.slow)
def test_the_application_of_the_slow_clients_moves_what_is_asked(transfer: SlowTransfer) -> None:
    for size in (0, 1000, 65_536, 200_000):
        small = replace(transfer, bytes=size, path=transfer.path.replace(str(transfer.bytes), str(size)))
        _, _, body = call(APP, small.method, small.path, b"x" * size if small.method == "POST" else b"")
        assert body == (b"%d" % size if small.method == "POST" else b"x" * size)


def assert_answer(scenario: Scenario, status: int, headers: dict[str, str], body: bytes) -> None:
    framing = {"transfer-encoding", "connection"}  # the server's, not the application's
    assert status == scenario.answer.status
    assert headers == {name: value for name, value in scenario.answer.headers.items() if name not in framing}
    assert body == scenario.answer.body


def test_the_work_of_a_call_is_found_by_the_fastest_try(monkeypatch: pytest.MonkeyPatch) -> None:
    module = application("wsgi_cpu").__globals__
    slower, now = itertools.cycle([3.0, 1.0, 2.0]), 0.0

    def burn(turns: int) -> None:
        nonlocal now
        now += turns * 20e-9 * next(slower)

    monkeypatch.setitem(module, "burn", burn)
    monkeypatch.setattr(time, "thread_time", lambda: now)
    assert module["calibrate"]() == pytest.approx(250_000, rel=0.001)  # of 20 ns: 5 ms


def test_a_call_that_waits_waits_for_10_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    application("wsgi_sleep")({}, lambda _status, _headers: None)
    assert waits == [0.010]


def test_the_work_of_a_call_can_be_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    monkeypatch.setenv("WSGI_CPU_TURNS", "4711")
    app = application("wsgi_cpu")
    monkeypatch.setitem(app.__globals__, "burn", turns.append)
    app({}, lambda _status, _headers: None)
    assert turns == [4711]


def test_one_call_in_a_thousand_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    app = application("wsgi_mix")
    for _ in range(2500):
        app({}, lambda _status, _headers: None)
    assert waits == [0.050, 0.050]


def test_scripts_and_servers_exist() -> None:
    for scenario in PLAN.scenarios.values():
        assert (HERE / "loads" / "wrk" / scenario.script).is_file()
        chosen = participants(PLAN, scenario, None)
        everyone = participants(PLAN, scenario, list(PLAN.servers))
        assert {server.interface for server in chosen} <= {None, *scenario.interfaces}
        assert {server.interface for server in everyone} <= {None, *scenario.interfaces}
        assert [server.name for server in chosen] == list(scenario.servers) or not scenario.servers
        assert {"limit"} < {server.name for server in chosen} or scenario.servers
        assert {server.name for server in chosen} <= {server.name for server in everyone}


def test_a_server_takes_part_in_scenarios_of_its_interface_only() -> None:
    asked = ["limit", "fastserve-asyncio", "bjoern"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["hello"], asked)] == ["limit", "fastserve-asyncio"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["wsgi-hello"], asked)] == ["limit", "bjoern"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["json"], asked)] == asked


def test_a_server_loads_the_application_of_its_interface() -> None:
    scenario = PLAN.scenarios["json"]
    assert scenario.app_for(PLAN.servers["fastserve"]) == "json_answer"
    assert scenario.app_for(PLAN.servers["bjoern"]) == "wsgi_json"
    assert PLAN.scenarios["hello"].app_for(PLAN.servers["fastserve"]) == "hello"


def test_by_default_the_servers_of_every_interface_take_part() -> None:
    def names(scenario: str) -> list[str]:
        return [server.name for server in participants(PLAN, PLAN.scenarios[scenario], None)]

    assert names("hello") == ["limit", "fastserve", "uvicorn"]
    assert names("json") == ["limit", "fastserve", "fastserve-wsgi-1", "uvicorn"]
    assert names("flask") == ["limit", "fastserve-wsgi-1"]


def test_who_is_not_there_by_default_takes_part_when_asked_for() -> None:
    asked = ["waitress", "nginx", "uvicorn-2", "robyn"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["wsgi-hello"], asked)] == ["waitress", "nginx"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["two-workers"], asked)] == ["uvicorn-2"]
    assert [s.name for s in participants(PLAN, PLAN.scenarios["hello"], asked)] == ["nginx", "robyn"]
    assert participants(PLAN, PLAN.scenarios["io-10ms"], asked) == []


@pytest.mark.parametrize(
    ("scenario", "taking_part"),
    [
        ("tls-hello", ["nginx", "fastserve", "uvicorn", "granian-asgi", "gunicorn-asgi", "hypercorn"]),
        ("tls-handshake", ["nginx", "fastserve", "uvicorn", "granian-asgi", "gunicorn-asgi", "hypercorn"]),
        ("tls-upload", ["fastserve", "uvicorn", "granian-asgi", "gunicorn-asgi", "hypercorn"]),
        ("h2-hello-1", ["nginx", "fastserve", "granian-asgi", "hypercorn"]),
        ("h2c-hello-32", ["nginx", "fastserve", "granian-asgi", "hypercorn"]),
        ("h2-body-out", ["fastserve", "granian-asgi", "hypercorn"]),
    ],
)
def test_who_speaks_what_a_scenario_asks_for_takes_part(scenario: str, taking_part: list[str]) -> None:
    everyone = [server.name for server in PLAN.servers.values() if server.name != "fastserve-wsgi-1"]
    assert [server.name for server in participants(PLAN, PLAN.scenarios[scenario], everyone)] == taking_part


def test_who_cannot_speak_what_a_scenario_asks_for_takes_no_part() -> None:
    over_tls, by_http2 = (replace(PLAN.scenarios[name], servers=()) for name in ("tls-hello", "h2-hello-1"))
    assert not over_tls.admits(PLAN.servers["daphne"])
    assert over_tls.admits(PLAN.servers["uvicorn"])
    assert not by_http2.admits(PLAN.servers["uvicorn"])


def test_every_server_says_what_it_leaves_out() -> None:
    assert set(PLAN.duties) == set(PLAN.servers)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("scenarios.toml", '[scenario.hello]\napp = "a"\napps = { asgi = "b" }\n', "needs one of `app` and `apps`"),
        ("scenarios.toml", '[scenario.hello]\ntitle = "t"\n', "needs one of `app` and `apps`"),
        ("scenarios.toml", '[scenario.hello]\napp = "a"\nhandshakes = true\n', "has handshakes but no `tls`"),
        ("scenarios.toml", '[scenario.hello]\napp = "a"\nbody = "b"\nform = 1\n', "at most one of"),
        ("duties.toml", '[duty.nowhere]\nprocesses = "1"\n', "duties.toml"),
        ("sets.toml", '[set.own]\nserver = ["own"]\n', "sets.toml"),
        ("sets.toml", '[set.own]\nscenarios = ["helo"]\n', "unknown scenario 'helo'"),
        ("sets.toml", '[set.own]\nsets = ["nobody"]\n', "unknown set 'nobody'"),
        ("sets.toml", '[set.readme]\nscenarios = []\npictures = ["helo"]\n', "unknown scenario 'helo'"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused(file: str, text: str, why: str, tmp_path: Path) -> None:
    for name in ("scenarios.toml", "servers.toml", "duties.toml", "sets.toml"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=why):
        load_plan(tmp_path)


def test_a_form_has_a_field_and_a_file_of_its_size() -> None:
    form = PLAN.scenarios["upload-form"]
    kind = form.headers["Content-Type"].encode()
    message = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + form.payload, policy=email.policy.HTTP)
    title, file = message.iter_parts()
    assert title.get_content().strip() == "A picture"
    assert file.get_filename() == "picture.bin"
    assert file.get_content() == b"x" * form.form
    assert message.defects == []


def test_a_server_answers_as_servers_toml_has_it_where_it_leaves_something_out() -> None:
    scenario = PLAN.scenarios["proxied"]
    assert scenario.under(PLAN.servers["fastserve"]) is scenario
    unread = scenario.under(PLAN.servers["fastserve-unproxied"]).answer
    assert unread.text == "http 127.0.0.1"
    assert unread.headers["content-length"] == "14"
    assert scenario.under(PLAN.servers["gunicorn-8"]).answer.text == "https 127.0.0.1"


def test_paths_are_asked_for_one_by_one_and_answer_by_their_size() -> None:
    scenario = PLAN.scenarios["http2-browser"]
    assert len(scenario.asked) == scenario.http2 == 30
    assert [len(asked.answer.body) for asked in scenario.asked[:2]] == [28672, 2048]
    assert PLAN.scenarios["hello"].asked == [PLAN.scenarios["hello"]]


def test_heads_have_as_many_fields_as_they_say() -> None:
    scenario = PLAN.scenarios["heads"]
    assert (len(scenario.headers) + 1, len(scenario.answer.headers)) == (20, 15)  # and Host


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown scenario 'helo'; there are: hello"):
        choose(PLAN.scenarios, ["helo"], "scenario")


@pytest.mark.parametrize(
    ("cpu_us", "error", "passed"), [(6.5, "", True), (6.51, "", False), (6.0, "2 read errors", False)]
)
def test_a_threshold_is_kept_up_to_its_value_and_never_with_errors(cpu_us: float, error: str, passed: bool) -> None:
    rows = summarize([sample("limit", 5.0), sample("fastserve", cpu_us, error)])
    assert judge(Threshold("hello", "fastserve", most=1.30, reference="limit"), rows).passed is passed


def test_a_threshold_without_figures_is_missed() -> None:
    verdict = judge(Threshold("hello", "fastserve", most=1.30, reference="limit"), summarize([sample("limit", 5.0)]))
    assert not verdict.passed
    assert "fastserve was not measured in hello" in str(verdict)


@pytest.mark.parametrize(
    ("bound", "per_second", "p99_us", "passed"),
    [
        ({"figure": "per_second", "least": 5440}, 5440.0, 1, True),
        ({"figure": "per_second", "least": 5440}, 5439.9, 1, False),
        ({"figure": "p99_us", "most": 5000}, 1.0, 5000, True),
        ({"figure": "p99_us", "most": 5000}, 1.0, 5001, False),
        ({"figure": "p99_us", "most": 5000}, 1.0, 0, False),  # not a latency: nothing was measured
        ({"figure": "cpu_us", "most": 7}, 1.0, 1, True),
        ({"figure": "cpu_us", "most": 6.9}, 1.0, 1, False),
    ],
)
def test_a_figure_is_judged_by_itself(bound: dict[str, Any], per_second: float, p99_us: int, passed: bool) -> None:
    rows = summarize([sample("fastserve", 7.0, per_second=per_second, p99_us=p99_us)])
    assert judge(Threshold("hello", "fastserve", **bound), rows).passed is passed


@pytest.mark.parametrize(("per_second", "passed"), [(800.0, True), (799.0, False)])
def test_a_figure_is_judged_against_another_scenario(per_second: float, passed: bool) -> None:
    own = sample("fastserve", 9.0, scenario="mix", per_second=per_second)
    rows = summarize([sample("fastserve", 9.0, per_second=1000.0), own])
    bound = Threshold(
        "mix", "fastserve", figure="per_second", least=0.8, reference="fastserve", reference_scenario="hello"
    )
    verdict = judge(bound, rows)
    assert verdict.passed is passed
    assert f"fastserve / fastserve in hello, per_second: {per_second / 1000:.3f} (least 0.8)" in str(verdict)
    assert "fastserve was not measured in hello" in str(judge(bound, rows[1:]))


def test_a_figure_of_its_own_is_printed_with_its_bound() -> None:
    rows = summarize([sample("fastserve", 7.0, per_second=12_345.6)])
    verdict = judge(Threshold("hello", "fastserve", figure="per_second", least=5440), rows)
    assert str(verdict) == "pass  hello       fastserve, per_second: 12,346 (least 5,440)"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"most": 1.0, "figure": "p90_us"}, "unknown figure 'p90_us'; there are: cpu_us, per_second, p99_us"),
        ({}, "needs one of `most` and `least`"),
        ({"most": 1.0, "least": 1.0}, "needs one of `most` and `least`"),
        ({"most": 1.0, "reference_scenario": "hello"}, "names a scenario but no reference"),
    ],
)
def test_a_threshold_that_cannot_be_judged_is_refused(table: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        Threshold("hello", "fastserve", **table)


def test_missing_wrk_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "wrk" else which(name))
    assert cli.main(["--servers", "limit", "--scenarios", "hello"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "apt install wrk" in complaint


def test_every_threshold_is_measured_by_default() -> None:
    for threshold in PLAN.thresholds:
        named = [(threshold.scenario, threshold.server), *([threshold.against] if threshold.against else [])]
        for scenario, server in named:
            assert server in {s.name for s in participants(PLAN, PLAN.scenarios[scenario], None)}
