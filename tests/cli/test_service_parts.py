"""The parts around the supervisor, each by itself: what systemd hears, whose a process is, which CPUs, which hooks."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastserve.app import hooks
from fastserve.app.hooks import Hooks, SupervisorInfo, WorkerInfo
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import affinity, cpus, environment_file, privileges, source_watch
from fastserve.host.pidfile import PidFile
from fastserve.host.systemd import Notifier
from fastserve.ipc.channel import Channel
from kit.process import Output
from kit.waiting import PATIENCE

IS_ROOT = os.geteuid() == 0
SUPERVISOR = SupervisorInfo(pid=1, workers=2, addresses=("http://127.0.0.1:8000",))
WORKER = WorkerInfo(slot=1, pid=2, generation=3, exit="exit status 0")


def python(code: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own, run to its end."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def reason(call: Callable[[], object], kind: type[Exception] = StartError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


# systemd


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind(str(tmp_path / "notify"))
        yield receiver


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets systemd's variables; those that are not named are not there."""

    def given(**values: str) -> None:
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.setenv(name, values.get(name, ""))
            if name not in values:
                monkeypatch.delenv(name)

    return given


def test_what_systemd_hears(systemd: socket.socket, variables: Callable[..., None]) -> None:
    variables(NOTIFY_SOCKET=systemd.getsockname())
    notifier = Notifier()
    notifier.ready()
    notifier.status("serving,\n4 workers")
    notifier.main_pid(17)
    notifier.watchdog()
    notifier.stopping()
    heard = [systemd.recv(1024).decode() for _ in range(5)]
    assert heard == ["READY=1", "STATUS=serving, 4 workers", "MAINPID=17", "WATCHDOG=1", "STOPPING=1"]


def test_a_reload_carries_the_time_at_which_it_began(systemd: socket.socket, variables: Callable[..., None]) -> None:
    import time

    variables(NOTIFY_SOCKET=systemd.getsockname())
    before = time.monotonic_ns() // 1000
    Notifier().reloading()
    first, second = systemd.recv(1024).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_an_abstract_address(variables: Callable[..., None]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind("")  # Linux chooses an abstract name
        variables(NOTIFY_SOCKET="@" + receiver.getsockname()[1:].decode())
        Notifier().ready()
        assert receiver.recv(1024) == b"READY=1"


def test_workers_do_not_inherit_the_variables_but_a_successor_gets_them(variables: Callable[..., None]) -> None:
    variables(NOTIFY_SOCKET="/run/x", WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    notifier = Notifier()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert notifier.watchdog_interval == 1.5
    assert notifier.variables() == {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000"}


def test_without_systemd_nothing_is_said(variables: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    variables()
    notifier = Notifier()
    notifier.ready()
    assert (notifier.watchdog_interval, notifier.variables(), caplog.records) == (0, {}, [])


@pytest.mark.parametrize(
    ("values", "warnings"),
    [
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 1),
        ({"WATCHDOG_USEC": "0"}, 1),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, 1),
    ],
)
def test_what_is_not_for_us_is_not_served(
    variables: Callable[..., None], values: dict[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    variables(**values)
    notifier = Notifier()
    notifier.ready()
    assert (notifier.watchdog_interval, notifier.variables(), len(caplog.records)) == (0, {}, warnings)


def test_a_socket_that_is_gone_is_logged_once_and_again_after_it_was_back(
    variables: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gone"
    variables(NOTIFY_SOCKET=str(path))
    notifier = Notifier()
    notifier.ready()
    notifier.ready()
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot notify systemd at {path}: No such file or directory"
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        notifier.ready()
    notifier.ready()
    assert len(caplog.records) == 2


def test_a_systemd_that_does_not_read_holds_the_supervisor_for_a_second_at_most(
    systemd: socket.socket, variables: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    variables(NOTIFY_SOCKET=systemd.getsockname())
    notifier = Notifier()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sender.sendto(b"x", systemd.getsockname())
    notifier.ready()
    assert len(caplog.records) == 1


# user and group

DROP = """
import os, sys
from fastserve.errors import StartError
from fastserve.host.privileges import resolve
if sys.argv[3:]:
    os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))
try:
    found = resolve(sys.argv[1] or None, sys.argv[2] or None)
    if found is not None:
        found.drop()
except StartError as error:
    sys.exit(str(error))
print(*os.getresuid(), *os.getresgid(), *os.getgroups())
for call in (os.setuid, os.seteuid, os.setgid):
    try:
        call(0)
        print("back")
    except PermissionError:
        pass
"""

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")


@needs_root
@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        ("nobody", "", "65534 65534 65534 65534 65534 65534"),
        ("65534", "", "65534 65534 65534 65534 65534 65534"),
        ("nobody", "daemon", "65534 65534 65534 1 1 1"),
        ("54321", "54322", "54321 54321 54321 54322 54322 54322"),
    ],
)
def test_a_process_becomes_another_user_for_good(user: str, group: str, expected: str) -> None:
    done = python(DROP, user, group)
    assert done.returncode == 0, done.stderr
    ids, *back = done.stdout.splitlines()
    assert " ".join(ids.split()[:6]) == expected
    assert "0" not in ids.split()  # nor among the further groups
    assert back == []


@needs_root
def test_a_group_alone(tmp_path: Path) -> None:
    done = python(DROP, "", "daemon")
    assert done.stdout.split()[:7] == ["0", "0", "0", "1", "1", "1", "1"]


@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        ("no-such-user", None, "--user no-such-user: there is no such user"),
        (None, "no-such-group", "--group no-such-group: there is no such group"),
        ("4294967295", None, "--user 4294967295: there is no such user"),
        ("54321", None, "--user 54321: the user database has no group for that number; add --group"),
    ],
)
def test_who_cannot_be_found(user: str | None, group: str | None, expected: str) -> None:
    assert reason(lambda: privileges.resolve(user, group)) == expected


@needs_root
def test_only_root_can_become_another_user() -> None:
    done = python(DROP, "nobody", "", "54321")
    assert (done.returncode, done.stderr) == (
        1,
        "cannot become user nobody (uid 65534, gid 65534): only root can, and this process has uid 54321, gid 54321\n",
    )
    own = python(DROP, "54321", "54321", "54321")
    assert (own.returncode, own.stdout.split()[:6]) == (0, ["54321"] * 6)


def test_nothing_given_nothing_changed() -> None:
    assert privileges.resolve(None, None) is None


# the PID file


@pytest.fixture
def another() -> Iterator[int]:
    """The ID of a live process that is not ours."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def ended() -> int:
    """The ID of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


OWN = f"{os.getpid()}\n"


def test_a_pid_file_from_its_writing_to_its_removal(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    file = PidFile(str(path))
    before = os.umask(0o077)
    try:
        file.write()
    finally:
        os.umask(before)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (OWN, 0o644)
    file.remove()
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys
from fastserve.host.pidfile import PidFile
PidFile(sys.argv[1]).write()
print("held", flush=True)
input()
"""


def test_the_pid_file_that_a_server_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"held\n"
        file = PidFile(str(path))
        assert reason(file.write) == (
            f"the PID file {path} belongs to process {server.pid}, which is alive; stop it, or choose another --pid"
        )
        file.remove()
        assert path.read_text() == f"{server.pid}\n"
        server.kill()
        server.wait()
        file.write()
        assert path.read_text() == OWN
        file.remove()


def test_the_pid_file_of_a_live_process_that_holds_none_is_taken_over(tmp_path: Path, another: int) -> None:
    path = tmp_path / "server.pid"
    path.write_text(f"{another}\n")
    PidFile(str(path)).write()
    assert path.read_text() == OWN


RACE = """
import sys
from fastserve.errors import StartError
from fastserve.host.pidfile import PidFile
input()
try:
    PidFile(sys.argv[1]).write()
    print("mine", flush=True)
except StartError as error:
    print(error, flush=True)
input()
"""


@pytest.mark.parametrize("left", [False, True])
def test_of_servers_that_start_together_one_has_the_pid_file(tmp_path: Path, left: bool) -> None:
    path = tmp_path / "server.pid"
    if left:
        path.write_text("1\n")
    command = [sys.executable, "-c", RACE, str(path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        for each in started:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        said = {each.pid: each.stdout.readline() for each in started if each.stdout is not None}
        (mine,) = [pid for pid, line in said.items() if line == "mine\n"]
        assert path.read_text() == f"{mine}\n"
        assert all("which is alive" in line for pid, line in said.items() if pid != mine)
        assert [path] == list(tmp_path.iterdir())
    finally:
        for each in started:
            each.kill()
            each.communicate()


def test_the_pid_file_of_a_dead_process_is_taken_over(tmp_path: Path, ended: int) -> None:
    path = tmp_path / "server.pid"
    for text in (f"{ended}\n", "", OWN):
        path.write_text(text)
        PidFile(str(path)).write()
        assert path.read_text() == OWN


def test_a_file_that_is_no_pid_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("import os\n")
    assert "holds something else than a process ID" in reason(PidFile(str(path)).write)
    assert path.read_text() == "import os\n"


def test_a_pid_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / f"server.pid.{os.getpid()}").symlink_to(victim)
    PidFile(str(tmp_path / "server.pid")).write()
    assert (victim.read_text(), (tmp_path / "server.pid").read_text()) == ("", OWN)


def test_a_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "server.pid"
    assert reason(PidFile(str(path)).write) == f"cannot write the PID file {path}: no such file or directory"


def test_a_successor_gets_the_path_and_gives_it_back(tmp_path: Path, ended: int) -> None:
    path, aside = tmp_path / "server.pid", tmp_path / "server.pid.oldbin"
    file = PidFile(str(path))
    file.write()
    file.move_aside()
    assert (path.exists(), aside.read_text()) == (False, OWN)
    path.write_text(f"{ended}\n")  # the successor's, which was killed
    file.move_back()
    assert (path.read_text(), aside.exists()) == (OWN, False)


def test_a_predecessor_removes_only_what_is_its_own(tmp_path: Path, another: int) -> None:
    path = tmp_path / "server.pid"
    file = PidFile(str(path))
    file.write()
    file.move_aside()
    path.write_text(f"{another}\n")
    file.remove()
    assert [each.name for each in tmp_path.iterdir()] == ["server.pid"]
    file.move_back()
    assert path.read_text() == f"{another}\n"


# the environment file


def test_an_environment_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# the database\n"
        "HOST=db.example\n"
        "\n"
        "export PORT = 5432  # a comment\n"
        'URL="pg://${HOST}:5432/a b"\n'
        "PLAIN='a $1 # b'\n"
        'KEY="one\n'
        'two"\n'
        "EMPTY=\n"
    )
    assert environment_file.read(str(path)) == {
        "HOST": "db.example",
        "PORT": "5432",
        "URL": "pg://db.example:5432/a b",
        "PLAIN": "a $1 # b",
        "KEY": "one\ntwo",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n\n\n=2\nB=3\n", "line 4: it is not of the form NAME=VALUE"),
        ("A='1\nB=2\n", "line 1: it is not of the form NAME=VALUE"),
        ("A=1\nDEBUG\n", "line 2: DEBUG has no value; write DEBUG= for an empty one"),
        ("A=1\nB=2\0\n", "line 2: a NUL"),
    ],
)
def test_a_bad_line_of_an_environment_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    assert reason(lambda: environment_file.read(str(path)), ValueError) == f"{path}, {expected}"


def test_an_environment_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert reason(lambda: environment_file.read(str(path)), ValueError) == (
        f"cannot read {path}: no such file or directory"
    )
    path.write_bytes(b"A=\xff\n")
    assert reason(lambda: environment_file.read(str(path)), ValueError) == f"{path}: not UTF-8 at byte 2"


# CPUs


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A root with /proc/self/cgroup and the given files of control groups, and eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))

    def made(group: str, **files: str) -> Path:
        for name, text in {"proc/self/cgroup": group, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/cpu,cpuacct/"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {}, 8),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "400000 100000\n", V2 + "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "1600000 100000\n"}, 8),
        ("0::/docker/of-the-host\n", {V2 + "cpu.max": "200000 100000\n"}, 2),
        ("0::/../../a\n", {V2 + "cpu.max": "200000 100000\n", V2 + "a/cpu.max": "100000 100000\n"}, 2),
        ("0::/\n", {V2 + "cpu.max": "lots\n"}, 8),
        (
            "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n",
            {V1 + "a/cpu.cfs_quota_us": "250000\n", V1 + "a/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/a\n",
            {V1 + "a/cpu.cfs_quota_us": "-1\n", V1 + "a/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        (
            "4:cpu:/a\n",
            {V2 + "cpu/cpu.cfs_quota_us": "100000\n", V2 + "cpu/cpu.cfs_period_us": "50000\n"},
            2,
        ),
    ],
)
def test_how_many_cpus_there_are(
    machine: Callable[..., Path], group: str, files: dict[str, str], expected: int
) -> None:
    assert cpus.available(machine(group, **files)) == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert cpus.available(tmp_path) == len(os.sched_getaffinity(0))
    assert 1 <= cpus.available() <= len(os.sched_getaffinity(0))


def test_a_worker_gets_a_cpu_of_its_own_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 3, 4, 5, 9})
    assert [affinity.cpu_of(slot, "auto") for slot in range(6)] == [{1}, {3}, {4}, {5}, {9}, {1}]
    assert [affinity.cpu_of(slot, "3-5,9") for slot in range(5)] == [{3}, {4}, {5}, {9}, {3}]
    assert affinity.cpu_of(0, "") is None
    assert reason(lambda: affinity.cpu_of(0, "1,7-9")) == (
        "--cpu-affinity 1,7-9: there is no CPU 7 to be used here, only 1, 3, 4, 5, 9"
    )


def test_a_process_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    last = max(os.sched_getaffinity(0))
    code = (
        "import os\nfrom fastserve.host.affinity import apply, cpu_of\n"
        f"apply(None)\napply(cpu_of(0, '{last}'))\nprint(os.sched_getaffinity(0))"
    )
    assert python(code).stdout == f"{{{last}}}\n"
    assert "cannot bind a worker to CPU 4095: " in reason(lambda: affinity.apply({4095}))


# hooks

Module = Callable[[str, str], Path]


@pytest.fixture
def hook_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Hooks]]:
    """Loads hooks from a source."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def loaded(source: str) -> Hooks:
        (tmp_path / "the_hooks.py").write_text(source)
        return hooks.load("the_hooks", str(tmp_path))

    yield loaded
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_hooks_are_called_with_what_they_are_told(hook_module: Callable[[str], Hooks]) -> None:
    source = "".join(f"def {name}(info): CALLS.append(({name!r}, info))\n" for name in hooks.HOOKS)
    found = hook_module(f"CALLS = []\n{source}")
    told = [(name, SUPERVISOR if kind is SupervisorInfo else WORKER) for name, kind in hooks.HOOKS.items()]
    for name, info in told:
        found.call(name, info)
    assert told == sys.modules["the_hooks"].CALLS
    assert found.failures == 0


def test_a_hook_that_is_not_there_is_not_called(hook_module: Callable[[str], Hooks]) -> None:
    for found in (hooks.load(None, ""), hook_module("x = 1")):
        for name, kind in hooks.HOOKS.items():
            found.call(name, SUPERVISOR if kind is SupervisorInfo else WORKER)
        assert found.failures == 0


@pytest.mark.parametrize("failure", ["1 / 0", "raise SystemExit(3)"])
def test_a_hook_that_fails_is_logged_with_its_traceback_and_counted(
    hook_module: Callable[[str], Hooks], failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = hook_module(f"def post_fork(worker):\n    {failure}\n")
    found.call("post_fork", WORKER)
    found.call("post_fork", WORKER)
    assert found.failures == 2
    assert [record.getMessage() for record in caplog.records] == ["the hook post_fork failed"] * 2
    assert failure in caplog.text


def test_on_starting_can_refuse_the_start(hook_module: Callable[[str], Hooks]) -> None:
    found = hook_module("def on_starting(supervisor):\n    raise ValueError('no database')\n")
    assert reason(lambda: found.call("on_starting", SUPERVISOR)) == (
        "the hook on_starting failed: ValueError: no database"
    )
    assert found.failures == 1


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        ("def on_start(s): pass", "the_hooks.on_start is not a hook and is never called; is on_starting meant?"),
        ("def postfork(w): pass", "the_hooks.postfork is not a hook and is never called; is post_fork meant?"),
        (
            "def on_monday(s): pass",
            f"the_hooks.on_monday is not a hook and is never called; there are {', '.join(hooks.HOOKS)}",
        ),
        ("def connect(): pass\nfrom os.path import join as on_join\non_call = 3", ""),
    ],
)
def test_a_misspelt_hook_is_a_warning(
    hook_module: Callable[[str], Hooks], source: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook_module(source)
    assert [record.getMessage() for record in caplog.records] == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("on_exit = 3", "the hook the_hooks.on_exit is not a function but 3"),
        ("def pre_fork(server, worker): pass", "the hook the_hooks.pre_fork has to take one argument, the worker"),
        ("def on_exit(): pass", "the hook the_hooks.on_exit has to take one argument, the supervisor"),
        (
            "async def on_exit(s): pass",
            "the hook the_hooks.on_exit is a coroutine function; hooks are called outside of any event loop",
        ),
        ("1 / 0", "cannot import 'the_hooks': ZeroDivisionError: division by zero"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(
    hook_module: Callable[[str], Hooks], source: str, expected: str
) -> None:
    assert reason(lambda: hook_module(source)) == expected


def test_a_module_of_hooks_that_is_not_there(hook_module: Callable[[str], Hooks], tmp_path: Path) -> None:
    assert reason(lambda: hooks.load("no_such_module", str(tmp_path))) == (
        f"there is no module 'no_such_module' in {tmp_path} or the module search path"
    )
    assert reason(lambda: hooks.load("the_hooks:on_exit", str(tmp_path))) == (
        "--hooks the_hooks:on_exit: it is a module that is named, without an attribute"
    )


# the title


def test_the_title_is_what_ps_shows() -> None:
    code = (
        "from pathlib import Path\nfrom fastserve.host.title import set_title\n"
        "def shown(): return Path('/proc/self/cmdline').read_bytes().rstrip(b'\\0').decode()\n"
        "set_title('shop', 'supervisor', 'serving, 4 workers'); print(shown())\n"
        "set_title('shop', 'worker 2'); print(shown())\n"
    )
    assert python(code).stdout == "shop: supervisor (serving, 4 workers)\nshop: worker 2\n"


# the watch over source files


@pytest.mark.parametrize(
    ("name", "include", "exclude", "counts"),
    [
        ("app.py", (), (), True),
        ("package/deep/app.py", (), (), True),
        ("page.html", (), (), False),
        ("page.html", ("*.html",), (), True),
        ("app.py", ("*.html",), (), True),
        ("templates/page.html", ("templates/*.html",), (), True),
        ("other/page.html", ("templates/*.html",), (), False),
        (".hidden.py", (), (), False),
        (".env", (".env",), (), True),
        ("app.pyc", ("app.*",), (), True),
        (".venv/lib/x.py", (), (), False),
        ("venv/lib/python3/site-packages/x.py", (), (), False),
        ("__pycache__/x.py", (), (), False),
        (".git/x.html", ("*.html",), (), False),
        ("app.py", (), ("app.*",), False),
        ("app.py", ("app.py",), ("app.*",), False),
        ("data/x.py", (), ("data",), False),
        ("a/data/x.py", (), ("a/data",), False),
        ("b/data/x.py", (), ("a/data",), True),
        ("app.py", (), ("*.py",), False),
    ],
)
def test_which_files_count(name: str, include: tuple[str, ...], exclude: tuple[str, ...], counts: bool) -> None:
    roots = [Path("/.hidden/project"), Path("/elsewhere")]
    assert source_watch.source_filter(roots, include, exclude)(f"/.hidden/project/{name}") is counts


def test_of_many_names_some_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_watch.line([str(tmp_path / "b.py"), str(tmp_path / "a\n.py")]) == "a?.py, b.py\n"
    assert source_watch.line(f"{index:02}.py" for index in range(10)) == (
        "00.py, 01.py, 02.py, 03.py, 04.py, 05.py, 06.py, 07.py and 2 more\n"
    )


WATCH = """
import signal, sys
from fastserve.host import source_watch
from fastserve.config.config import Config
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
source_watch.run(Config("a:b", reload_dir=(sys.argv[1],)), 1)
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts a watch over tmp_path whose reports are its standard output; ended by the test or here."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", WATCH, str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def change_until_reported(path: Path, output: Output) -> None:
    """The watch says nothing when it begins: the file is changed until a change is reported."""
    for attempt in range(100):
        path.write_text(f"x = {attempt}\n")
        try:
            output.wait_for("\n", timeout=0.2)
        except AssertionError:
            continue
        return
    pytest.fail("no change was ever reported")


def test_a_change_is_reported_and_sigterm_ends_the_watch(watched: Callable[[], Any], tmp_path: Path) -> None:
    process = watched()
    output = Output(process.stdout)
    (tmp_path / "notes.txt").write_text("not source")
    change_until_reported(tmp_path / "app.py", output)
    assert set(output.text.splitlines()) == {"app.py"}
    process.send_signal(signal.SIGINT)  # Ctrl-C is the supervisor's business
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_watch_ends_when_nobody_listens(watched: Callable[[], Any], tmp_path: Path) -> None:
    process = watched()
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == b""


def test_why_a_watch_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    assert reason(lambda: source_watch.check(Config("a:b", reload_dir=(str(missing),)))) == (
        f"--reload-dir {missing}: there is no such directory"
    )
    source_watch.check(Config("a:b", app_dir=str(tmp_path)))
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    needed = "--reload needs watchfiles: pip install 'fastserve[reload]'"
    assert reason(lambda: source_watch.check(Config("a:b"))) == needed


# what they cost


def test_the_parts_leave_the_supervisor_small() -> None:
    code = (
        "import sys\n"
        "from fastserve.app import hooks\n"
        "from fastserve.host import affinity, cpus, environment_file, pidfile, privileges\n"
        "from fastserve.host import source_watch, systemd, title\n"
        "print(*sys.modules)"
    )
    heavy = {"asyncio", "uvloop", "fastserve._core", "prometheus_client", "watchfiles", "setproctitle", "dotenv"}
    loaded = set(python(code).stdout.split())
    assert "fastserve.app.hooks" in loaded
    assert heavy & loaded == set()


# between supervisor and worker


def test_what_a_worker_said_before_its_end_is_heard() -> None:
    """It leaves with a message of ours unread, which the kernel tells before what it had said itself."""
    ours, theirs = Channel.pair()
    assert ours.send("look")
    assert theirs.send("draining")
    theirs.close()
    said = ours.receive()
    assert said is not None
    assert said.kind == "draining"
    assert ours.receive() is None
    assert ours.fileno() == -1
