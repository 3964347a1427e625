"""The process as a service of the system: its directory, mask, environment, PID file, title, and systemd's messages."""

import logging
import os
from pathlib import Path

from fastserve.config import directory
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import environment_file, privileges, title
from fastserve.host.pidfile import PidFile
from fastserve.host.systemd import Notifier

logger = logging.getLogger("fastserve")


def enter(config: Config) -> None:
    """Sets the working directory and the umask, before anything is opened. Raises StartError."""
    if config.chdir:
        try:
            directory.enter(config.chdir)
        except OSError as error:
            raise StartError(f"--chdir {config.chdir}: {(error.strerror or str(error)).lower()}") from None
    if config.umask is not None:
        os.umask(config.umask)


def reenter() -> bool:
    """Enters the directory again, by its name. Returns whether it is another one now. Raises StartError."""
    try:
        return directory.again()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"the working directory {directory.name()}: {reason}") from None


def set_environment(config: Config) -> None:
    """Sets the variables of --env for the application, and those of --env-file that are not set. Raises StartError."""
    if config.env_file is not None:
        try:
            variables = environment_file.read(config.env_file, privileges.uid_of(config.user))
        except ValueError as error:
            raise StartError(f"--env-file: {error}") from None
        for name, value in variables.items():
            os.environ.setdefault(name, value)
    os.environ.update(config.env)


class Service:
    """What the system knows of this process. Raises StartError if the PID file cannot be taken."""

    def __init__(self, config: Config) -> None:
        self._proc_name = config.proc_name
        self._notifier = Notifier()
        self.pid_file = PidFile(str(Path(config.pid).absolute())) if config.pid is not None else None
        if self.pid_file is not None:
            self.pid_file.write()

    @property
    def watchdog_interval(self) -> float:
        """Seconds from one `watchdog` to the next; 0 if systemd wants none."""
        return self._notifier.watchdog_interval

    def variables(self) -> dict[str, str]:
        """Returns what a successor needs in its environment to go on notifying."""
        return self._notifier.variables()

    def ready(self) -> None:
        self._notifier.ready()

    def reloading(self) -> None:
        self._notifier.reloading()

    def stopping(self) -> None:
        self._notifier.stopping()

    def watchdog(self) -> None:
        self._notifier.watchdog()

    def is_main(self) -> None:
        """Tells systemd that this process has become the service's main process."""
        self._notifier.main_pid(os.getpid())

    def show(self, role: str, state: str) -> None:
        """Shows the state in the list of processes, and in systemd's status."""
        title.set_title(self._proc_name, role, state)
        self._notifier.status(state)

    def leave_behind(self) -> None:
        """In a forked process: lets go of what is the parent's."""
        if self.pid_file is not None:
            self.pid_file.leave_behind()

    def close(self) -> None:
        if self.pid_file is not None:
            self.pid_file.remove()
