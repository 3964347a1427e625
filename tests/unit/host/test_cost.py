"""What these parts cost a supervisor."""

from kit.calls import python


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
