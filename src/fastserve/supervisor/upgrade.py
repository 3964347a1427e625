"""The upgrade in place (USR2): another supervisor, of the program's present version, with the same sockets.

Both serve until one of them is told to end: QUIT to the old one completes the upgrade, QUIT to the new one undoes it.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from fastserve.config import directory
from fastserve.errors import StartError
from fastserve.host import open_files
from fastserve.host.service import Service
from fastserve.ipc.after_fork import fork

VARIABLE = "FASTSERVE_UPGRADE"
"""Tells a supervisor whom it follows, and which descriptors it takes over."""

logger = logging.getLogger("fastserve")


class Upgrade:
    """The other supervisor with the same sockets: the one that this one follows, or the one that follows it.

    inherited: what the predecessor left, as `SlotSockets.open` takes it, by name.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.successor = 0
        """The successor's process ID; 0 without a successor."""
        given = json.loads(os.environ.pop(VARIABLE, "{}"))
        self._environment = dict(os.environ)  # before --env and --env-file, which the successor reads itself
        self._predecessor: int = given.get("pid", 0)
        self.slots: int = given.get("slots", 0)
        """How many slots the predecessor has."""
        self.inherited: Mapping[str, Any] = given.get("sockets", {})

    @property
    def follows(self) -> bool:
        """Whether there is still a predecessor."""
        return self._predecessor != 0 and os.getppid() == self._predecessor

    @property
    def others_serve(self) -> bool:
        """Whether another supervisor has the same sockets."""
        return self.successor != 0 or self.follows

    def began_serving(self) -> None:
        """Announces that this supervisor serves."""
        if self._predecessor:
            self._service.is_main()
            logger.info(
                "serving beside supervisor %d: QUIT to it ends the upgrade, QUIT to %d takes it back",
                self._predecessor,
                os.getpid(),
            )

    def alone(self) -> bool:
        """Returns True once, when the predecessor has gone."""
        if self._predecessor and not self.follows:
            logger.info("supervisor %d has gone", self._predecessor)
            self._predecessor = 0
            return True
        return False

    def begin(self, sockets: Mapping[str, Any], slots: int, descriptors: list[int]) -> None:
        """Starts the successor.

        sockets: by name, as `inherited` gives them back.
        slots: the number of slots.
        descriptors: those that the successor needs.
        """
        if self.others_serve:
            logger.error("SIGUSR2 is ignored: supervisor %d serves too", self.successor or self._predecessor)
            return
        try:
            if self._service.pid_file is not None:
                self._service.pid_file.move_aside()
        except StartError as error:
            logger.error("no upgrade: %s", error)
            return
        variables = {name: value for name, value in self._environment.items() if name in os.environ}
        variables |= self._service.variables()
        variables[VARIABLE] = json.dumps({"pid": os.getpid(), "sockets": sockets, "slots": slots})
        try:
            pid = fork()
        except OSError as error:
            logger.error("no upgrade: %s", os.strerror(error.errno or 0).lower())
            self._take_back()
            return
        if pid == 0:
            _exec(descriptors, variables)
        self.successor = pid
        logger.info("supervisor %d starts with the same sockets", pid)

    def reap(self) -> bool:
        """Reaps the successor. Returns whether it has ended, so that this supervisor is the only one again."""
        if not self.successor:
            return False
        pid, _ = os.waitpid(self.successor, os.WNOHANG)
        if not pid:
            return False
        logger.warning("supervisor %d has ended, this one goes on", pid)
        self.successor = 0
        self._take_back()
        return True

    def _take_back(self) -> None:
        if self._service.pid_file is not None:
            self._service.pid_file.move_back()


def _exec(descriptors: list[int], environment: dict[str, str]) -> None:
    """Executes the program again; a failure becomes the exit status."""
    try:
        for fd in descriptors:
            os.set_inheritable(fd, True)
        os.chdir(directory.START)
        open_files.give_back()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    except OSError as error:
        os.write(2, f"fastserve: error: cannot start again: {error}\n".encode())
    finally:
        os._exit(1)
