"""CPU time from /proc against burns of a known length."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from bench.measure.cputime import VanishedError, read_cpu, resident, spent, tree
from bench.process import stop

pytestmark = pytest.mark.alone(measures=True)

# Each line of input makes the puppet do one thing; it says a line when that is done.
PUPPET = """
import subprocess, sys, threading, time

def burn(seconds, ended=None):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    if ended:
        burnt.wait()
        ended.wait()

burnt = threading.Barrier(3)
ended = threading.Event()
for line in sys.stdin:
    match line.split():
        case ["burn", seconds]:
            burn(float(seconds))
        case ["threads", seconds]:
            threads = [threading.Thread(target=burn, args=(float(seconds), ended)) for _ in range(2)]
            for thread in threads:
                thread.start()
            burnt.wait()
        case ["join"]:
            ended.set()
            for thread in threads:
                thread.join()
        case ["child", seconds]:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], text=True, **pipes)
            child.stdin.write(f"burn {seconds}\\n")
            child.stdin.flush()
            child.stdout.readline()
        case ["kill"]:
            child.kill()
            child.wait()
    print("done", flush=True)
"""

Tell = Callable[[str], None]


@pytest.fixture
def puppet() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PUPPET, PUPPET]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as p:
        try:
            yield p
        finally:
            stop(p)


@pytest.fixture
def tell(puppet: "subprocess.Popen[str]") -> Tell:
    assert puppet.stdin is not None
    assert puppet.stdout is not None
    to, back = puppet.stdin, puppet.stdout

    def say(line: str) -> None:
        to.write(line + "\n")
        to.flush()
        assert back.readline() == "done\n"

    say("ready")
    return say


def test_a_burn_is_counted_to_within_two_percent(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    before = read_cpu(puppet.pid)
    tell("burn 0.5")
    assert spent(before, read_cpu(puppet.pid)) == pytest.approx(0.5e9, rel=0.02)


def test_threads_are_summed(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    before = read_cpu(puppet.pid)
    tell("threads 0.3")
    after = read_cpu(puppet.pid)
    assert len(after.threads) == 3
    assert spent(before, after) == pytest.approx(0.6e9, rel=0.05)


def test_a_child_is_counted_with_its_parent(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    before = read_cpu(puppet.pid)
    tell("child 0.5")
    after = read_cpu(puppet.pid)
    assert len(tree(puppet.pid)) == 2
    assert 0.5e9 <= spent(before, after) < 0.7e9  # the interpreter's own start comes on top
    assert resident(puppet.pid) > resident(tree(puppet.pid)[1]) > 2**20


def test_threads_that_end_are_counted_to_the_tick(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    tell("threads 0.01")
    before = read_cpu(puppet.pid)
    tell("burn 0.3")
    tell("join")
    assert spent(before, read_cpu(puppet.pid)) == pytest.approx(0.3e9, abs=0.03e9)


def test_threads_that_come_and_go_between_two_readings_are_counted(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    before = read_cpu(puppet.pid)
    tell("threads 0.3")
    tell("join")
    while (after := read_cpu(puppet.pid)).threads.keys() != before.threads.keys():
        pass  # Python has joined them, and the kernel is about to let them go
    assert spent(before, after) == pytest.approx(0.6e9, abs=0.05e9)


def test_a_child_that_has_ended_is_not_idle(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    tell("child 0.01")
    before = read_cpu(puppet.pid)
    tell("kill")
    with pytest.raises(VanishedError, match="process"):
        spent(before, read_cpu(puppet.pid))


def test_a_process_that_has_ended_is_not_idle(puppet: "subprocess.Popen[str]", tell: Tell) -> None:
    tell("burn 0.01")
    stop(puppet)
    with pytest.raises(VanishedError, match="has ended"):
        read_cpu(puppet.pid)
