"""The supervisor by itself: what it says can be changed by a reload, and that a start that fails leaves nothing."""

import os
import signal

import pytest

from fastserve import Config
from fastserve.config.options import OPTIONS
from fastserve.errors import StartError
from fastserve.supervisor.supervisor import SET_UP, Supervisor
from kit.descriptors import opened

HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGWINCH,
)


def test_what_a_reload_does_not_change_are_options() -> None:
    assert set(SET_UP) <= {option.name for option in OPTIONS}
    assert len(set(SET_UP)) == len(SET_UP)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"hooks": "no_such_module"}, "no_such_module"),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
        ({"admin": "192.0.2.1:0"}, "cannot listen on 192.0.2.1:0"),
        ({"user": "nobody-of-this-name"}, "nobody-of-this-name"),
        ({"preload": True}, "no_such_application"),
    ],
)
def test_a_start_that_fails_leaves_nothing(options: dict[str, object], why: str) -> None:
    """Whoever has called it goes on with something else, and has every descriptor back."""
    before = opened(os.getpid()), [signal.getsignal(each) for each in HANDLED]
    config = Config("no_such_application:app", **{"port": 0, **options})
    supervisor = Supervisor(config, lambda: config)
    with pytest.raises(StartError, match=why):
        supervisor.run()
    del supervisor
    assert opened(os.getpid()) == before[0]
    for each, handler in zip(HANDLED, before[1], strict=True):
        signal.signal(each, handler)
