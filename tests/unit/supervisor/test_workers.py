"""Each step of the workers: started, followed, replaced, covered for, more and fewer of them, and ended.

A step compares what should be with what is. So a test says what is (a worker is ready, silent or dead, time has
passed), steps, and looks at what was done.
"""

import logging
import signal
from collections.abc import Iterator

import pytest

from fastserve.ipc.worker_spec import STACKS_SIGNAL
from fastserve.supervisor.slots import Closing
from unit.supervisor.fakes import TAKEN, FakeSockets, NewWorld, World, letter, letters

TERM, QUIT, KILL, ABRT, USR1 = signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGABRT, signal.SIGUSR1
STACKS = signal.Signals(STACKS_SIGNAL)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[NewWorld]:
    """world(2, max_requests=100): two workers that are not started yet."""
    caplog.set_level(logging.DEBUG, "fastserve")
    made: list[World] = []

    def new(workers: int = 2, sockets: FakeSockets | None = None, **options: object) -> World:
        made.append(World(monkeypatch, workers, sockets or FakeSockets(workers), **options))
        return made[-1]

    yield new
    for each in made:
        each.close()


def slots(world: World) -> list[int]:
    """The slots of the workers that there are."""
    return sorted(child.slot for child in world.workers.children.values())


# ---- the start


def test_each_slot_gets_a_worker_and_they_have_booted_when_all_are_ready(world: NewWorld) -> None:
    one = world(2).step()
    assert slots(one) == [0, 1]
    one.ready(one.processes[0])
    assert not one.booted()
    assert one.workers.serving == 1
    one.ready(one.processes[1])
    assert one.booted()
    assert (one.scoreboard.supervisor["wanted"], one.scoreboard.supervisor["generation"]) == (2, 0)
    assert one.step(60).processes == one.processes[:2], "nothing more is started"


def test_a_worker_that_is_ready_has_no_deadline_any_more(world: NewWorld) -> None:
    one = world(1, timeout_startup=10).step()
    assert one.workers.due() == one.clock.now + 10
    one.ready()
    assert one.workers.due() is None


def test_a_fork_that_fails_is_tried_again_later_and_later(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1)
    one.cannot_fork = "cannot allocate memory"
    one.step()
    assert caplog.messages == ["worker 0 cannot be started: cannot allocate memory; another attempt in 1 s"]
    slept = [one.until_due() for _ in range(3)]
    assert slept == [1, 2, 2], "doubled; while nobody serves, two seconds at most"
    one.cannot_fork = ""
    one.until_due()
    one.ready()
    assert one.workers.slots[0].failed_starts == 0


def test_with_others_that_serve_the_pause_grows_to_half_a_minute(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.cannot_fork = "cannot allocate memory"
    one.step(60)
    second.ends(1)
    one.step()
    slept = [one.until_due() for _ in range(7)]
    assert slept == [1, 2, 4, 8, 16, 30, 30]


def test_a_worker_that_cannot_start_ends_the_first_start(world: NewWorld) -> None:
    """With the reason that it gives itself; no other one is started."""
    one = world(2).step()
    first, second = one.processes
    first.end.send("failed", reason="no module named served", traceback="Traceback ...")
    first.ends(1)
    one.step()
    assert one.failure() == ("no module named served", "Traceback ...")
    second.ends(1)
    one.step(60)
    assert one.reason() == "no module named served", "the first reason stays"
    assert one.processes == [first, second]
    assert one.count_end("start_failed") == 2
    assert [slot for slot, _ in one.ended] == [0, 1]


def test_a_worker_that_says_nothing_and_ends(world: NewWorld) -> None:
    one = world(1).step()
    one.born().ends(by=signal.SIGSEGV)
    one.step()
    assert one.reason().endswith("ended before it was ready: killed by SIGSEGV (Segmentation fault)")


def test_under_reload_a_start_that_fails_waits_for_a_change(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1, reload=True).step()
    one.born().end.send("failed", reason="a syntax error", traceback="")
    one.born().ends(1)
    one.step()
    assert "worker 0 did not start, waiting for a change: a syntax error" in caplog.text
    assert one.failure() is None
    assert one.workers.due() is None
    one.step(3600)
    assert slots(one) == []
    one.reload(reload=True)
    assert slots(one) == [0], "the change has come"


def test_a_start_that_takes_too_long(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Its stacks, SIGABRT, SIGKILL; and it is the reason that the first start fails."""
    one = world(1, timeout_startup=10).step()
    born = one.born()
    assert one.until_due() == 10
    assert born.signals == [STACKS]
    assert "did not become ready within 10 s; its stacks follow" in caplog.text
    born.faults("File served.py in import_me")
    assert one.until_due() == 0.5
    assert "File served.py in import_me" in caplog.text
    assert born.signals == [STACKS, ABRT]
    assert one.until_due() == 2
    assert born.signals == [STACKS, ABRT, KILL]
    born.ends(by=KILL)
    one.step()
    assert "did not become ready within 10 s" in one.reason()
    assert not one.workers.clean


def test_a_worker_that_is_ready_while_its_stacks_are_written_serves(world: NewWorld) -> None:
    one = world(1, timeout_startup=10).step(0)
    one.until_due()
    one.ready()
    assert one.workers.due() is None
    one.step(60)
    assert one.born().signals == [STACKS]
    assert one.booted()
    assert one.failure() is None


# ---- sockets that listen when a worker can answer


def test_the_first_that_is_ready_has_the_sockets_listen_and_all_are_told(world: NewWorld) -> None:
    one = world(2, FakeSockets(2, listening=False)).step()
    assert not one.listening()
    one.ready(one.processes[1])
    assert one.listening()
    assert [len(each.heard("listening")) for each in one.processes] == [1, 1]
    one.ready(one.processes[0])
    assert [len(each.heard("listening")) for each in one.processes] == [0, 0]


def test_sockets_that_cannot_listen_end_the_start(world: NewWorld) -> None:
    one = world(1, FakeSockets(1, listening=False)).step()
    one.sockets.cannot_listen = "cannot listen on 127.0.0.1:80: permission denied"
    one.born().end.send("ready")
    one.step()
    assert one.born().signals == [QUIT]
    one.born().ends(1)
    one.step()
    assert one.failure() == ("cannot listen on 127.0.0.1:80: permission denied", "")


# ---- the end of a worker that nobody has told to


def test_a_worker_that_dies_is_followed_at_once(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(2)
    first, second = one.boot()
    one.step(60)
    first.handle.block["connections"] = 7
    first.faults("Fatal Python error: Segmentation fault")
    first.ends(by=signal.SIGSEGV)
    one.step()
    assert f"worker 0 (pid {first.handle.pid}) ended unexpectedly: killed by SIGSEGV" in caplog.text
    assert "connections: 7, requests in flight: 0" in caplog.text
    assert "Fatal Python error: Segmentation fault" in caplog.text
    assert one.ended == [(0, "killed by SIGSEGV (Segmentation fault)")]
    assert one.count_end("signal") == 1
    assert [each.handle.slot for each in one.processes] == [0, 1, 0]
    assert len(second.heard("look")) == 1, "what the dead one was woken for is accepted by its sibling"


@pytest.mark.parametrize(("code", "counted"), [(0, "exit"), (3, "exit")])
def test_a_worker_that_exits_by_itself(world: NewWorld, code: int, counted: str) -> None:
    one = world(1)
    (first,) = one.boot()
    one.step(60)
    first.ends(code)
    one.step()
    assert one.count_end(counted) == 1
    assert slots(one) == [0]


def test_a_worker_whose_exit_status_somebody_else_has_taken(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    one.step(60)
    first.status = TAKEN
    one.step()
    assert one.born() is not first
    assert slots(one) == [0]


def test_workers_that_live_only_shortly_are_followed_later_and_later(
    world: NewWorld, caplog: pytest.LogCaptureFixture
) -> None:
    one = world(1)
    one.boot()
    slept = []
    for _ in range(6):
        one.born().ends(1)
        one.step(0.5)
        slept.append(round(one.until_due(), 3))
        one.ready()
    assert slept == [0.2, 0.4, 0.8, 1.6, 2, 2]
    assert "worker 0 was ready only shortly, another one follows in 0.2 s" in caplog.text
    one.step(1.5)
    one.born().ends(1)
    one.step()
    assert one.workers.slots[0].short_lives == 0
    assert slots(one) == [0], "one that has lived is followed at once"


def test_memory_that_was_used_up_is_named(world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world(1)
    (first,) = one.boot()
    one.step(60)
    monkeypatch.setattr(one.workers._memory, "happened", lambda: True)
    first.ends(by=KILL)
    one.step()
    assert one.ended == [(0, "killed by the kernel: the memory of its control group was used up")]
    assert one.count_end("out_of_memory") == 1


def test_what_a_worker_says_before_it_ends_is_heard(world: NewWorld) -> None:
    """It comes by the channel, and its end by SIGCHLD: in no order."""
    one = world(1).step()
    one.born().end.send("ready")
    one.born().ends(0)
    one.clock.now += 1
    one.workers.reap()
    assert one.count_end("exit") == 1
    assert one.count_end("start_failed") == 0


def test_totals_of_a_worker_that_ended_are_kept(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    first.handle.block["requests_total"] = 1000
    first.ends(0)
    one.step(60)
    assert one.scoreboard.totals()["requests_total"] == 1000
    assert len(list(one.scoreboard.workers())) == 1


# ---- a worker that somebody else has told to end


def test_a_worker_that_drains_by_somebody_elses_signal_is_followed(
    world: NewWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """A moment later: if it was the whole group that was told, the supervisor hears it too."""
    one = world(2)
    first, second = one.boot()
    first.end.send("draining")
    one.step()
    assert second.heard("parted")[0].values == {"number": first.handle.pid}
    assert first.signals == []
    assert one.until_due() == 0.25
    assert f"worker 0 (pid {first.handle.pid}) was told to end by somebody else, another one follows" in caplog.text
    assert [each.handle.slot for each in one.processes] == [0, 1, 0]
    first.ends(0)
    one.step()
    assert one.count_end("drained") == 1
    assert one.workers.clean


def test_a_signal_to_the_whole_group_is_no_news(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1)
    (first,) = one.boot()
    first.end.send("draining")
    one.step()
    one.workers.end_all()
    one.step(1)
    assert "somebody else" not in caplog.text
    assert slots(one) == [0]
    assert len(one.processes) == 1


def test_while_the_supervisor_leaves_it_is_said_quietly(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1)
    (first,) = one.boot()
    one.workers.leaving = True
    first.end.send("draining")
    one.step()
    one.step(0.25)
    (record,) = [each for each in caplog.records if "somebody else" in each.message]
    assert record.levelno == logging.DEBUG


def test_a_worker_that_drains_before_it_was_ready(world: NewWorld) -> None:
    one = world(1).step()
    one.born().end.send("draining")
    one.step()
    assert one.born().handle.cause is None
    assert not one.born().handle.listening


# ---- the end of a worker that was told to


def test_a_worker_that_does_not_end_in_time_is_killed(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1, timeout_graceful_shutdown=30)
    (first,) = one.boot()
    one.workers.end_all()
    assert first.signals == [TERM]
    one.step()
    assert one.until_due() == 30 + 8
    assert "did not end in time and is killed" in caplog.text
    assert first.signals == [TERM, KILL]
    assert one.workers.due() is None
    assert not one.workers.clean


def test_a_worker_that_is_not_ready_has_no_requests_to_end(world: NewWorld) -> None:
    one = world(1, timeout_graceful_shutdown=30).step()
    one.workers.end_all()
    one.step()
    assert one.until_due() == 8


def test_a_worker_that_is_told_to_end_as_it_becomes_ready(world: NewWorld) -> None:
    one = world(1).step()
    one.born().end.send("ready")
    one.workers.end_all()
    one.step()
    assert not one.born().handle.serving
    assert one.workers.slots[0].current is None


def test_a_worker_that_ends_with_an_error_though_told(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    one.workers.end_all()
    assert one.clean()
    first.ends(0)
    second.ends(1)
    one.step()
    assert not one.clean()
    assert one.count_end("stop") == 2
    assert one.workers.children == {}


def test_end_all_and_resume(world: NewWorld) -> None:
    one = world(2)
    one.boot()
    one.workers.end_all()
    one.workers.end_all()
    assert [each.signals for each in one.processes] == [[TERM], [TERM]], "each is told once"
    for each in one.processes:
        each.ends(0)
    one.step(60)
    assert slots(one) == []
    assert not one.sockets.given_up, "the sockets stay"
    one.workers.resume()
    one.step()
    assert slots(one) == [0, 1]


def test_force_ends_all_at_once(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    one.workers.force()
    assert first.signals == [TERM, QUIT]
    one.step()
    assert one.until_due() == 2
    assert first.signals == [TERM, QUIT, KILL]


def test_a_signal_to_all(world: NewWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world(2)
    first, second = one.boot()
    first.status = TAKEN
    one.workers.signal_all(USR1)
    assert second.signals == [USR1], "one that is gone hinders nobody"

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.kill", refused)
    one.workers.signal_all(USR1)
    assert f"{second.handle.name} cannot be sent SIGUSR1: not permitted" in caplog.text


# ---- the reload


def test_a_reload_replaces_one_after_the_other(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(2)
    first, second = one.boot()
    sockets = one.reload(timeout_startup=20)
    assert one.reloading()
    assert len(one.processes) == 3, "never two at a time"
    third = one.born()
    assert (third.handle.slot, third.handle.generation, third.handle.config.timeout_startup) == (0, 1, 20)
    assert first.signals == []
    one.ready()
    assert first.signals == [TERM], "it goes when its successor is there"
    fourth = one.born()
    assert (fourth.handle.slot, second.signals) == (1, [])
    one.ready()
    assert second.signals == [TERM]
    assert "reloaded" in caplog.messages
    assert not one.reloading()
    assert (one.workers.sockets, one.sockets.given_up, sockets.given_up) == (sockets, True, False)
    assert one.scoreboard.supervisor["reloads"] == 1
    assert one.scoreboard.supervisor["generation"] == 1
    for each in (first, second):
        each.ends(0)
    one.step()
    assert one.count_end("reload") == 2
    assert one.workers.config.timeout_startup == 20


def test_a_reload_whose_first_worker_does_not_start_changes_nothing(
    world: NewWorld, caplog: pytest.LogCaptureFixture
) -> None:
    one = world(1)
    (first,) = one.boot()
    sockets = one.reload(workers=2)
    assert one.workers.wanted == 2
    for each in one.processes[1:]:
        each.end.send("failed", reason="no such module", traceback="")
        each.ends(1)
    one.step()
    assert "the reload failed, the workers go on as they are: no such module" in caplog.text
    assert one.workers.wanted == 1
    assert first.signals == []
    assert (one.workers.sockets, one.sockets.given_up, sockets.given_up) == (one.sockets, False, True)
    assert one.scoreboard.supervisor["reloads_failed"] == 1
    assert one.failure() is None


def test_a_reload_that_fails_later_keeps_what_has_come(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(2)
    _, second = one.boot()
    sockets = one.reload()
    third = one.ready()
    one.born().ends(1)
    one.step()
    assert "the reload failed after 1 workers, the others go on as they are" in caplog.text
    assert one.current(0) is third
    assert one.current(1) is second
    assert one.workers.sockets is sockets, "the new configuration holds for all that follow"


def test_a_reload_that_overtakes_another(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    earlier = one.reload()
    overtaken = one.born()
    later = one.reload()
    assert overtaken.signals == [TERM]
    assert earlier.given_up
    one.ready()
    assert first.signals == [TERM]
    assert one.born().handle.generation == 2
    assert one.workers.sockets is later


def test_a_reload_starts_what_waits_for_its_time(world: NewWorld) -> None:
    one = world(1)
    one.boot()
    one.born().ends(1)
    one.step()
    assert slots(one) == []
    one.reload()
    assert slots(one) == [0]


def test_a_reload_while_all_rest(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1)
    (first,) = one.boot()
    one.workers.end_all()
    first.ends(0)
    one.step()
    one.reload()
    assert slots(one) == [0]
    one.born().ends(1)
    one.step()
    assert "the reload failed: " in caplog.text, "there is nobody who goes on"


def test_workers_of_a_reload_have_its_sockets_listen(world: NewWorld) -> None:
    one = world(1)
    one.boot()
    sockets = one.reload()
    sockets.is_listening = False
    one.ready()
    assert sockets.listening


def test_a_stop_ends_a_reload(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    sockets = one.reload()
    one.workers.end_all()
    assert not one.reloading()
    assert sockets.given_up
    assert [each.signals for each in (first, one.born())] == [[TERM], [TERM]]


# ---- a worker that is replaced


@pytest.mark.parametrize(
    ("options", "field", "value", "said"),
    [
        ({"max_requests": 100}, "requests_total", 100, "max requests"),
        ({"max_worker_age": 600}, "", 0, "max age"),
        ({"max_worker_memory": 1 << 30}, "resident", 0, "max memory"),
    ],
)
def test_a_worker_that_has_served_long_enough_is_replaced(
    world: NewWorld, caplog: pytest.LogCaptureFixture, options: dict[str, int], field: str, value: int, said: str
) -> None:
    one = world(1, **options)
    (first,) = one.boot()
    assert one.step(599).processes == [first]
    if field == "resident":
        one.resident[first.handle.pid] = (1 << 30) + 1
    elif field:
        first.handle.block[field] = value
    one.step(1)
    assert f"is replaced: {said}" in caplog.text
    assert first.signals == [], "until its successor is ready"
    one.ready()
    assert first.signals == [TERM]
    first.ends(0)
    one.step()
    assert one.count_end(said.replace(" ", "_")) == 1


def test_workers_are_replaced_one_at_a_time(world: NewWorld) -> None:
    one = world(2, max_requests=100)
    for each in one.boot():
        each.handle.block["requests_total"] = 100
    one.steps(1, 3)
    assert len(one.processes) == 3
    one.ready()
    one.step(1)
    assert [each.handle.slot for each in one.processes] == [0, 1, 0, 1]


def test_a_replacement_that_does_not_start_is_tried_again(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1, max_requests=100)
    (first,) = one.boot()
    first.handle.block["requests_total"] = 100
    one.step(1)
    one.born().ends(1)
    one.step()
    assert f"{first.handle.name} goes on, its successor did not start: " in caplog.text
    assert one.failure() is None
    assert len(one.step(29).processes) == 2
    assert len(one.step(1).processes) == 3


def test_a_worker_whose_threads_are_all_late_is_replaced(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Its stacks are logged, and it goes on until its successor is there."""
    one = world(1, timeout_worker=10)
    (first,) = one.boot()
    first.handle.block["threads_overdue_since"] = one.clock.monotonic_ns() // 1_000_000
    assert one.step(10).processes == [first]
    one.step(0.5)
    assert "is replaced: all its threads are late, and none has come back for 10.5 s; its stacks follow" in caplog.text
    assert first.signals == [STACKS]
    first.faults("Thread 1: File served.py in wait")
    assert one.until_due() == 0.5
    assert "Thread 1: File served.py in wait" in caplog.text
    one.ready()
    assert first.signals == [STACKS, TERM]
    caplog.clear()
    first.ends(1)
    one.step()
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == [], (
        "that it does not end well is known"
    )
    assert one.count_end("stuck_threads") == 1


# ---- a worker that does not turn


def test_a_worker_that_is_stuck_is_followed_and_ended(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(2, timeout_worker=10)
    first, _ = one.boot()
    first.turns = False
    one.step(10)
    assert first.signals == []
    one.step(0.5)
    assert f"{first.handle.name} has not turned for 10.5 s and is stopped; its stacks follow" in caplog.text
    assert one.born().handle.slot == 0, "its successor starts at once"
    assert one.until_due() == 0.5
    assert one.until_due() == 2
    assert first.signals == [STACKS, ABRT, KILL]
    first.ends(by=ABRT)
    one.step()
    assert one.count_end("stuck") == 1
    assert not one.workers.clean


def test_without_a_deadline_nobody_is_stuck(world: NewWorld) -> None:
    one = world(1, timeout_worker=0)
    (first,) = one.boot()
    first.turns = False
    one.step(36000)
    assert first.signals == []


# ---- a slot that nobody serves


def test_the_sockets_of_a_worker_that_is_gone_are_served_by_a_sibling(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    first.ends(1)
    one.step()
    (cover,) = second.heard("cover")
    assert cover.values == {"slot": 0, "count": 1}
    assert len(cover.descriptors) == 1
    one.until_due()
    one.ready()
    assert second.heard("uncover")[0].values == {"slot": 0}
    assert second.handle.releasing == {0}
    second.end.send("uncovered", slot=0)
    one.step()
    assert second.handle.releasing == set()


def test_a_worker_that_is_silent_is_helped_out(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    first.turns = False
    one.step(2)
    assert second.heard("cover") == []
    one.step(1)
    assert second.heard("cover")[0].values["slot"] == 0
    first.turns = True
    one.step(1)
    assert second.heard("uncover")[0].values == {"slot": 0}


def test_cover_goes_to_who_has_the_least_and_can_be_told(world: NewWorld) -> None:
    one = world(3)
    first, second, third = one.boot()
    second.end.close()
    first.turns = False
    one.step(3)
    assert len(third.heard("cover")) == 1, "the other one cannot be told"
    assert second.handle.covers == {}
    one.step(3)
    assert third.heard("cover") == [], "once"


def test_cover_is_spread(world: NewWorld) -> None:
    one = world(4)
    first, second, third, fourth = one.boot()
    first.turns = second.turns = False
    one.step(3)
    assert [len(each.heard("cover")) for each in (third, fourth)] == [1, 1]


def test_who_covers_and_falls_silent_is_covered_for_in_turn(world: NewWorld) -> None:
    one = world(3)
    first, second, third = one.boot()
    first.turns = False
    one.step(3)
    (helper,) = [each for each in (second, third) if each.heard("cover")]
    other = third if helper is second else second
    helper.turns = False
    one.step(3)
    assert sorted(each.values["slot"] for each in other.heard("cover")) == sorted([0, helper.handle.slot])
    assert helper.heard("uncover")[0].values == {"slot": 0}


def test_a_sibling_that_cannot_be_told_to_uncover_is_told_later(
    world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world(2)
    first, second = one.boot()
    first.turns = False
    one.step(3)
    first.turns = True
    with monkeypatch.context() as full:
        full.setattr(second.handle.channel, "send", lambda *_, **__: False)
        one.step(1)
    assert 0 in second.handle.covers
    one.step(1)
    assert second.handle.covers == {}
    assert second.handle.releasing == {0}


# ---- connections that wait for a worker that hangs


def test_a_worker_that_hangs_while_connections_wait_is_covered_for_at_once(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    watched = one.workers.watched()
    assert sorted(watched.values()) == [0, 0, 1, 1], "its socket and its mailbox, by slot"
    first.turns = False
    one.step(0.04)
    assert not one.workers.note_waiting({0}), "it has turned just now"
    one.step(0.02)
    assert one.workers.note_waiting({0})
    assert not one.workers.note_waiting({0}), "known"
    with letter(first, b"one"):
        one.step()
        assert second.heard("cover")[0].values["slot"] == 0
        assert letters(second) == [b"one"]
    assert one.workers.due() == pytest.approx(one.clock.now + 0.05)
    first.turns = True
    one.step(0.05)
    assert second.heard("uncover")[0].values == {"slot": 0}
    assert not first.handle.hangs


def test_nobody_is_watched_whom_no_sibling_could_help(world: NewWorld) -> None:
    one = world(2)
    first, _ = one.boot()
    first.ends(1)
    one.step()
    assert one.workers.watched() == {}


def test_without_mailboxes_only_sockets_are_watched(world: NewWorld) -> None:
    one = world(2, balance_connections=False)
    first, second = one.boot()
    assert sorted(one.workers.watched().values()) == [0, 1]
    first.ends(1)
    one.step()
    assert second.heard("parted") == []
    assert list(one.workers.mailboxes()) == []


# ---- connections that workers hand over


def test_workers_of_a_generation_know_each_other(world: NewWorld) -> None:
    one = world(2).step()
    first, second = one.processes
    one.ready(first)
    assert first.heard("sibling") == []
    one.ready(second)
    (to_first,), (to_second,) = first.heard("sibling"), second.heard("sibling")
    assert (to_first.values["number"], to_second.values["number"]) == (second.handle.pid, first.handle.pid)
    assert len(to_first.descriptors) == len(to_second.descriptors) == 1
    one.reload()
    third = one.ready()
    assert third.heard("sibling") == [], "those of another configuration do not"


def test_what_lies_in_the_mailbox_of_one_that_ended_goes_to_a_sibling(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    with letter(first, b"one"), letter(first, b"two"):
        first.ends(by=KILL)
        one.step()
        assert letters(second) == [b"one", b"two"]
    assert first.handle.mailbox is not None
    assert first.handle.mailbox in list(one.workers.mailboxes()), "it may still be watched"
    one.step()
    assert first.handle.mailbox not in list(one.workers.mailboxes())
    assert first.handle.mailbox.box.fileno() == -1


def test_it_waits_while_nobody_can_take_it(world: NewWorld) -> None:
    one = world(1)
    (first,) = one.boot()
    one.step(60)
    with letter(first, b"one"):
        first.ends(by=KILL)
        one.step()
        assert first.handle.mailbox in list(one.workers.mailboxes())
        second = one.ready()
        one.step()
        assert letters(second) == [b"one"]


def test_it_goes_first_to_those_of_the_same_configuration(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    one.reload()
    third = one.ready()
    assert second.heard("parted")[0].values == {"number": first.handle.pid}
    assert first.signals == [TERM]
    assert third.heard("parted") == []


# ---- more workers, and fewer


def test_more_workers(world: NewWorld) -> None:
    one = world(1)
    one.boot()
    one.workers.scale(3)
    one.step()
    assert slots(one) == [0, 1, 2]
    assert one.sockets.slots == 3
    assert one.scoreboard.supervisor["wanted"] == 3


def test_no_more_than_there_can_be_sockets_of(world: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    one = world(1)
    one.boot()
    one.sockets.most_slots = 2
    one.workers.scale(5)
    one.step()
    assert "no more than 2 workers: too many open files" in caplog.text
    assert one.workers.wanted == 2
    assert slots(one) == [0, 1]


def test_fewer_workers(world: NewWorld) -> None:
    """Handshakes come to their end, the worker goes, what waits is taken, and then the socket is closed."""
    one = world(2)
    _, second = one.boot()
    one.workers.scale(1)
    one.step()
    assert (one.sockets.steered, one.closing(1)) == (1, Closing.STEERED)
    assert second.signals == []
    assert one.until_due() == 1
    assert second.signals == [TERM]
    assert one.sockets.slots == 2
    second.goes()
    one.step()
    assert one.count_end("scaled_down") == 1
    assert one.sockets.slots == 2, "a sibling takes what waits there"
    assert one.until_due() == 1
    assert one.sockets.slots == 2, "and still has the socket"
    assert one.processes[0].uncovers() == [1]
    one.step()
    assert one.sockets.closed_slots == [(1, False)]
    assert one.sockets.steered is None
    assert slots(one) == [0]
    assert len(one.processes) == 2


def test_a_slot_in_which_connections_wait_is_not_closed(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.sockets.queued[1] = 1
    one.workers.scale(1)
    one.step(1)
    second.goes()
    one.steps(1, 5)
    assert one.closing(1) is Closing.EMPTYING
    one.sockets.queued.clear()
    one.step(1)
    assert one.closing(1) is Closing.RELEASING
    one.processes[0].uncovers()
    one.step()
    assert one.sockets.slots == 1


def test_a_slot_whose_worker_still_listens_is_not_closed(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.workers.scale(1)
    one.steps(1, 5)
    assert second.signals == [TERM]
    assert one.closing(1) is Closing.EMPTYING
    second.end.send("draining")
    one.steps(1, 2)
    one.processes[0].uncovers()
    one.step()
    assert one.sockets.slots == 1, "it goes on with what it has begun, though its socket is gone"
    second.ends(0)
    one.step()
    assert one.count_end("scaled_down") == 1


def test_without_steering_a_slot_is_closed_at_once(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.sockets.can_steer = False
    one.workers.scale(1)
    one.step()
    assert second.signals == [TERM]


def test_more_again_before_a_slot_is_closed(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.workers.scale(1)
    one.step()
    one.workers.scale(2)
    one.step(60)
    assert one.sockets.steered is None
    assert second.signals == []
    assert one.closing(1) is None
    assert one.current(1) is second


def test_more_again_while_a_slot_empties(world: NewWorld) -> None:
    one = world(2)
    _, second = one.boot()
    one.workers.scale(1)
    one.step()
    one.step(1)
    assert second.signals == [TERM]
    one.workers.scale(2)
    one.step()
    assert one.born() is not second
    assert one.born().handle.slot == 1
    assert one.sockets.slots == 2


def test_several_fewer(world: NewWorld) -> None:
    one = world(3)
    first, *others = one.boot()
    one.workers.scale(1)
    one.step()
    one.step(1)
    for each in others:
        each.goes()
    one.steps(1, 2)
    assert first.uncovers() == [2], "the last one first"
    one.step()
    assert one.sockets.slots == 2
    assert first.uncovers() == [1]
    one.step()
    assert one.sockets.slots == 1
    assert one.sockets.steered is None
    assert [slot.index for slot in one.workers.slots] == [0]


def test_a_worker_that_dies_in_a_slot_that_is_closed_is_not_followed(world: NewWorld) -> None:
    one = world(2, max_requests=100)
    first, second = one.boot()
    second.handle.block["requests_total"] = 100
    one.step(60)
    third = one.born()
    one.workers.scale(1)
    second.ends(1)
    third.ends(1)
    one.steps(1, 4)
    assert one.processes == [first, second, third]


def test_with_another_supervisor_the_sockets_are_only_let_go(world: NewWorld) -> None:
    one = world(2)
    first, second = one.boot()
    one.workers.shared = True
    one.workers.scale(1)
    one.step(1)
    second.goes()
    one.steps(1, 2)
    first.uncovers()
    one.step()
    assert one.sockets.closed_slots == [(1, True)]


def test_a_reload_with_more_workers_opens_slots_of_both_sets(world: NewWorld) -> None:
    one = world(1)
    one.boot()
    sockets = one.reload(workers=2)
    assert (one.sockets.slots, sockets.slots) == (2, 2)
    assert slots(one) == [0, 0, 1], "the old one, its successor, and one more"


def test_a_stop_leaves_the_slots_as_they_are(world: NewWorld) -> None:
    one = world(2)
    one.boot()
    one.workers.scale(1)
    one.step()
    one.workers.end_all()
    assert [slot.closing for slot in one.workers.slots] == [None, None]
