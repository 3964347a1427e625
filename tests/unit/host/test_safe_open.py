"""What root opens where others may write, and what it refuses: every way in which a name can lead elsewhere."""

import logging
import os
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastserve import Config
from fastserve.errors import StartError
from fastserve.host import environment_file, safe_open
from fastserve.host.pidfile import PidFile
from fastserve.observe import logs
from fastserve.sockets.unix import Permissions, bind
from fastserve.tls.certificate import BadCertificateError, Certificate
from fastserve.tls.contexts import TLS
from kit.certificates import Authority

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another user is held to its rights by the kernel")

ATTACKER = 65534
OTHER = 54321
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class Place:
    """A directory of root's, in it one that the attacker owns, and a file that root alone may read and write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.theirs = root / "theirs"
        self.theirs.mkdir()
        os.chown(self.theirs, ATTACKER, ATTACKER)
        self.secret = root / "secret"
        self.secret.write_text("TOKEN of root\n")
        self.secret.chmod(0o600)

    def by_attacker(self, code: str) -> None:
        """Does something in their directory, as they would, in a fork: they could not start this Python."""
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(ATTACKER)
                os.setuid(ATTACKER)
                os.chdir(self.theirs)
                exec(code, {"Path": Path, "os": os, "socket": socket, "safe_open": safe_open})
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0

    def assert_untouched(self) -> None:
        found = self.secret.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode), self.secret.read_text()) == (0, 0o600, "TOKEN of root\n")
        assert sorted(path.name for path in self.root.iterdir()) == ["secret", "theirs"]


@pytest.fixture
def place() -> Iterator[Place]:
    """Not in pytest's own directory, which is closed to other users."""
    with tempfile.TemporaryDirectory(prefix="fastserve-") as name:
        Path(name).chmod(0o755)
        yield Place(Path(name))


def refused(path: Path, flags: int, user: int | None = ATTACKER) -> str:
    try:
        safe_open.open_file(path, flags, user)
    except OSError as error:
        return str(error.strerror)
    pytest.fail("it was opened")


LAID = {
    "a link": ("Path('log').symlink_to('../secret')", "a symbolic link"),
    "an absolute link": ("Path('log').symlink_to(Path('../secret').resolve())", "a symbolic link"),
    "a link to nothing": ("Path('log').symlink_to('../made')", "a symbolic link"),
    "a hard link": ("Path('own').touch(); Path('log').hardlink_to('own')", "another name"),
    "a socket": ("socket.socket(socket.AF_UNIX).bind('log')", "not a regular file"),
    "a directory": ("Path('log').mkdir()", "not a regular file"),
    "a link to itself": ("Path('log').symlink_to('log')", "a symbolic link"),
}


@pytest.mark.parametrize("laid", LAID)
@pytest.mark.parametrize("user", [ATTACKER, None])
def test_a_log_is_not_written_elsewhere(place: Place, laid: str, user: int | None) -> None:
    code, what = LAID[laid]
    place.by_attacker(code)
    assert what in refused(place.theirs / "log", APPEND, user)
    place.assert_untouched()


def test_root_itself_may_not_have_laid_a_link_where_others_write(place: Place) -> None:
    """Whose a link is does not say who put it there."""
    (place.theirs / "log").symlink_to(place.secret)
    assert "a symbolic link" in refused(place.theirs / "log", APPEND)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_of_roots_that_others_may_write(place: Place, mode: int) -> None:
    os.chown(place.theirs, 0, ATTACKER)
    place.theirs.chmod(mode)
    place.by_attacker("Path('log').symlink_to('../secret')")
    assert "a symbolic link" in refused(place.theirs / "log", APPEND)
    os.close(safe_open.open_file(place.theirs / "new", APPEND, ATTACKER))
    place.assert_untouched()


@pytest.mark.parametrize("target", ["..", "../deeper"])
@pytest.mark.parametrize("flags", [APPEND, os.O_RDONLY])
def test_a_directory_on_the_way_is_not_exchanged_for_one_of_roots(place: Place, target: str, flags: int) -> None:
    place.by_attacker(f"Path('logs').symlink_to({target!r})")
    if target != "..":
        (place.root / "deeper").mkdir()
        (place.root / "deeper" / "secret").write_text("")
    assert "symbolic link" in refused(place.theirs / "logs" / "secret", flags)
    assert "symbolic link" in refused(place.theirs / "logs" / "secret", flags, None)


def test_a_link_of_theirs_to_what_is_theirs_is_no_harm(place: Place) -> None:
    """As a deployment has it: `current` leads to the release."""
    place.by_attacker("Path('releases/2').mkdir(parents=True); Path('current').symlink_to('releases/2')")
    os.close(safe_open.open_file(place.theirs / "current" / "log", APPEND, OTHER))
    assert (place.theirs / "releases" / "2" / "log").exists()
    place.by_attacker("Path('releases/2/log2').touch(); Path('current/cert').symlink_to('log2')")
    os.close(safe_open.open_file(place.theirs / "current" / "cert", os.O_RDONLY, OTHER))


def test_a_file_of_somebody_else(place: Place) -> None:
    for owner, allowed in ((0, True), (ATTACKER, True), (OTHER, False)):
        path = place.theirs / f"{owner}"
        path.touch()
        os.chown(path, owner, owner)
        if allowed:
            os.close(safe_open.open_file(path, APPEND, ATTACKER))
        else:
            assert f"a file of user {OTHER}" in refused(path, APPEND)
        os.close(safe_open.open_file(path, APPEND))  # nobody was named to whom it would be given


@pytest.mark.parametrize("laid", ["a link", "an absolute link", "a socket", "a directory", "a link to itself"])
def test_a_file_is_not_read_elsewhere(place: Place, laid: str) -> None:
    place.by_attacker(LAID[laid][0])
    refused(place.theirs / "log", os.O_RDONLY)


def test_a_fifo_holds_nobody(place: Place) -> None:
    place.by_attacker("os.mkfifo('log')")
    assert refused(place.theirs / "log", APPEND) == "nobody reads what is written there"
    assert "not a regular file" in refused(place.theirs / "log", os.O_RDONLY)
    reader = os.open(place.theirs / "log", os.O_RDONLY | os.O_NONBLOCK)
    writer = safe_open.open_file(place.theirs / "log", APPEND, ATTACKER)
    safe_open.give(writer, OTHER, OTHER)
    os.write(writer, b"line\n")
    assert os.read(reader, 100) == b"line\n"
    assert (place.theirs / "log").stat().st_uid == ATTACKER
    os.close(reader)
    os.close(writer)


def test_where_only_root_writes_everything_goes_on(place: Place) -> None:
    """Links are followed there, as images of containers have them for their logs."""
    logs_of_root = place.root / "log"
    logs_of_root.mkdir()
    (logs_of_root / "fifo").symlink_to(place.root / "pipe")
    os.mkfifo(place.root / "pipe")
    reader = os.open(place.root / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    (logs_of_root / "elsewhere").symlink_to(place.root / "made")
    for name, regular in (("plain", True), ("fifo", False), ("elsewhere", True)):
        fd = safe_open.open_file(logs_of_root / name, APPEND, ATTACKER, 0o644)
        before = os.fstat(fd).st_uid
        safe_open.give(fd, ATTACKER, ATTACKER)
        assert (os.fstat(fd).st_uid == ATTACKER) is regular
        assert before == 0
        os.close(fd)
    os.close(reader)
    assert (place.root / "pipe").stat().st_uid == 0
    assert (place.root / "made").stat().st_uid == ATTACKER


def test_the_standard_output_by_its_name(place: Place) -> None:
    """/dev/stdout leads through /proc to what has no name, a pipe."""
    code = (
        "import os; from fastserve.host import safe_open\n"
        "fd = safe_open.open_file('/dev/stdout', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 65534)\n"
        "safe_open.give(fd, 65534, 65534); os.write(fd, b'%d' % os.fstat(fd).st_uid)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"0"


def test_a_descriptor_by_its_name_is_not_reached_by_their_link(place: Place) -> None:
    place.by_attacker("Path('log').symlink_to('/proc/self/fd'); Path('out').symlink_to('/dev/stdout')")
    assert "symbolic link" in refused(place.theirs / "log" / "1", APPEND)
    assert "symbolic link" in refused(place.theirs / "out", APPEND)


def test_a_group_that_may_write_changes_nothing_of_what_root_has_put_there(place: Place) -> None:
    """Ubuntu's /var/log is of root and may be written by the group syslog."""
    place.root.chmod(0o775)
    os.chown(place.root, 0, 4)
    (place.root / "app").mkdir()
    (place.root / "app" / "log").symlink_to("/dev/null")
    (place.root / "link").symlink_to("app")
    os.close(safe_open.open_file(place.root / "link" / "log", APPEND, ATTACKER))


def test_truncation_comes_after_the_look(place: Place) -> None:
    """By a handler with mode w."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    place.by_attacker("Path('log').symlink_to('../secret'); Path('own').write_text('old')")
    refused(place.theirs / "log", flags)
    place.assert_untouched()
    os.close(safe_open.open_file(place.theirs / "own", flags, ATTACKER))
    assert (place.theirs / "own").read_text() == ""


# ---- who opens


def test_the_access_log(place: Place) -> None:
    config = Config("a:b", user="65534", access_logfile=str(place.theirs / "access.log"))
    access = logs.AccessLog(config)
    access.give_to(ATTACKER, ATTACKER)
    place.by_attacker("Path('access.log').unlink(); Path('access.log').symlink_to('../secret')")
    before = os.fstat(access.fd)
    access.reopen()
    assert os.path.samestat(os.fstat(access.fd), before)
    access.close()
    place.assert_untouched()
    with pytest.raises(
        StartError, match=r"cannot open the access log .*: it is a symbolic link where others than root"
    ):
        logs.AccessLog(config)


HANDLERS = """
version = 1
disable_existing_loggers = false
[handlers.file]
class = "{handler}"
filename = "{path}"
[loggers.fastserve]
handlers = ["file"]
"""

LOGGING = """
import logging, os, sys
from fastserve import Config
from fastserve.observe import logs
logs.configure(Config("a:b", user="65534", log_config=sys.argv[1]))
logger = logging.getLogger("fastserve")
logger.info("one")
logs.give_files_to(65534, 65534)
path = logger.handlers[0].baseFilename
os.unlink(path)
os.symlink(sys.argv[2], path)
try:
    logger.info("two")
    logs.reopen_files()
except PermissionError as error:
    print(error)
logs.give_files_to(65534, 65534)
"""


@pytest.mark.parametrize("handler", ["logging.FileHandler", "logging.handlers.WatchedFileHandler"])
def test_the_files_of_log_handlers(place: Place, handler: str) -> None:
    """At the start, after USR1, and by a handler that looks itself whether its file was moved away."""
    settings = place.root / "logging.toml"
    settings.write_text(HANDLERS.format(handler=handler, path=place.theirs / "server.log"))
    arguments = [sys.executable, "-c", LOGGING, str(settings), str(place.secret)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "Unable to configure handler 'file': [Errno 1] it is a symbolic link" in again.stderr
    settings.unlink()
    place.assert_untouched()


def test_an_environment_file_shows_no_file_of_roots(place: Place) -> None:
    place.by_attacker("Path('settings').symlink_to('../secret')")
    with pytest.raises(ValueError, match=r"cannot read .*: it is reached by a symbolic link") as caught:
        environment_file.read(str(place.theirs / "settings"), ATTACKER)
    assert "TOKEN" not in str(caught.value)
    place.by_attacker("Path('settings').unlink(); Path('settings').write_text('A=1')")
    assert environment_file.read(str(place.theirs / "settings"), ATTACKER) == {"A": "1"}
    os.chown(place.theirs / "settings", 0, 0)
    assert environment_file.read(str(place.theirs / "settings"), ATTACKER) == {"A": "1"}


def test_a_certificate_is_no_key_of_somebody_else(place: Place) -> None:
    authority = Authority(place.root)
    certificate, key = authority.certificate("localhost")
    key.chmod(0o600)
    place.by_attacker(f"Path('key.pem').symlink_to({str(key)!r}); Path('ca.pem').symlink_to('../authority.pem')")
    (place.theirs / "server.pem").write_bytes(certificate.read_bytes())
    config = Config("a:b", ssl_certfile=[str(place.theirs / "server.pem")], ssl_keyfile=[str(place.theirs / "key.pem")])
    with pytest.raises(StartError, match=r"TLS: .*key\.pem: it is reached by a symbolic link"):
        TLS.open(config)
    config = Config(
        "a:b", ssl_certfile=[str(certificate)], ssl_keyfile=[str(key)], ssl_ca_certs=str(place.theirs / "ca.pem")
    )
    with pytest.raises(StartError, match=r"TLS: .*ca\.pem: it is reached by a symbolic link"):
        TLS.open(config)


def test_a_certificate_of_theirs_is_renewed_to_nothing_else(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The directory of a client of Let's Encrypt that is a user of its own: its links lead to what it owns."""
    authority = Authority(place.root)
    pair = authority.certificate("localhost", name="server")
    for each in pair:
        (place.theirs / each.name).write_bytes(each.read_bytes())
        os.chown(place.theirs / each.name, ATTACKER, ATTACKER)
    place.by_attacker("Path('live').symlink_to('server.pem'); Path('live-key').symlink_to('server-key.pem')")
    certificate = Certificate(
        str(place.theirs / "live"),
        str(place.theirs / "live-key"),
        None,
        lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    assert not certificate.expired
    place.by_attacker("Path('live-key').unlink(); Path('live-key').symlink_to('../server-key.pem')")
    with pytest.raises(BadCertificateError, match="symbolic link"):
        certificate.renew()


def test_a_unix_socket_that_was_exchanged_is_not_given_away(place: Place) -> None:
    path = place.theirs / "server.sock"
    listener, made = bind(str(path), Permissions())
    assert made is not None
    place.by_attacker("Path('server.sock').unlink(); Path('server.sock').symlink_to('../secret')")
    with pytest.raises(StartError, match="somebody else has put something in its place"):
        Permissions(0o666, "65534").apply(made, None)
    place.by_attacker("Path('server.sock').unlink(); socket.socket(socket.AF_UNIX).bind('server.sock')")
    with pytest.raises(StartError, match="somebody else has put something in its place"):
        Permissions(0o666, "65534").apply(made, None)
    listener.close()
    made.remove()
    assert path.is_socket()
    place.assert_untouched()


def test_a_link_is_no_socket_that_a_dead_server_left(place: Place) -> None:
    place.by_attacker("socket.socket(socket.AF_UNIX).bind('dead'); Path('server.sock').symlink_to('dead')")
    with pytest.raises(StartError, match="the file there is not a socket"):
        bind(str(place.theirs / "server.sock"), Permissions())


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_a_unix_socket_is_never_more_open_than_it_will_be(
    place: Place, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen between bind and what gives it its owner and mode."""
    path = place.root / "server.sock"
    seen = []
    apply = Permissions.apply

    def looking(self: Permissions, *arguments: object) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        apply(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Permissions, "apply", looking)
    before = os.umask(mask)
    try:
        listener, _ = bind(str(path), Permissions(0o660))
    finally:
        os.umask(before)
    listener.close()
    assert seen == [0o660 & ~mask]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize("laid", ["Path('server.pid').symlink_to('../secret')", "os.mkfifo('server.pid')"])
def test_a_pid_file_is_no_other_file(place: Place, laid: str) -> None:
    place.by_attacker(laid)
    with pytest.raises(StartError, match=r"it is (a symbolic link|not a regular file)"):
        PidFile(str(place.theirs / "server.pid")).write()
    place.assert_untouched()


def test_a_pid_file_stays_in_its_directory(place: Place) -> None:
    place.by_attacker("Path('run').symlink_to('..')")
    with pytest.raises(StartError, match="symbolic link"):
        PidFile(str(place.theirs / "run" / "server.pid")).write()
    place.assert_untouched()


def test_a_pid_file_is_removed_where_it_was_written(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.by_attacker("Path('run').mkdir()")
    file = PidFile(str(place.theirs / "run" / "server.pid"))
    file.write()
    place.by_attacker("Path('run').rename('moved'); Path('run').symlink_to('..')")
    (place.root / "server.pid").write_text(f"{os.getpid()}\n")
    with caplog.at_level(logging.ERROR, "fastserve"):
        file.remove()
    assert "cannot remove the PID file" in caplog.text
    assert (place.root / "server.pid").exists()


def test_another_user_is_held_by_the_kernel_alone(place: Place) -> None:
    place.by_attacker("Path('file').touch(); Path('link').symlink_to('file'); safe_open.open_file('link', os.O_WRONLY)")


def test_what_is_not_there(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        safe_open.open_file(place.theirs / "absent", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        safe_open.open_file(place.root / "absent" / "log", APPEND)
    with pytest.raises(IsADirectoryError):
        safe_open.open_file("/", os.O_RDONLY)
