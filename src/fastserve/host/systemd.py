"""What the server tells systemd: sd_notify's datagrams, and the watchdog's interval."""

import logging
import os
import socket
import time

logger = logging.getLogger("fastserve")

_PATIENCE = 1.0
"""Seconds for a datagram: systemd may be behind with reading, but the supervisor has workers to look after."""

_SOCKET, _INTERVAL, _FOR = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notifier:
    """Sends the service's state to systemd; without NOTIFY_SOCKET it does nothing.

    Takes the variables out of the environment: workers must not speak for the service.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop(_SOCKET, "")
        self._watchdog = os.environ.pop(_INTERVAL, "")
        self._wrong = False
        self.watchdog_interval = _seconds(self._watchdog, os.environ.pop(_FOR, ""))
        """Seconds from one `watchdog` to the next, half of what systemd allows; 0: systemd wants none."""
        if self._address and not self._address.startswith(("/", "@")):
            logger.warning("systemd is not notified: NOTIFY_SOCKET=%s is neither a path nor @name", self._address)
            self._address = ""

    def variables(self) -> dict[str, str]:
        """Returns what a successor needs in its environment. WATCHDOG_PID is left out: it names this supervisor."""
        given = {_SOCKET: self._address, _INTERVAL: self._watchdog if self.watchdog_interval else ""}
        return {name: value for name, value in given.items() if value}

    def ready(self) -> None:
        """Tells that the service serves; also ends a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Tells that a reload begins; `ready` ends it. Type=notify-reload tells it from an earlier one by the time."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tells that the service stops."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Sends a line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.splitlines())}")

    def main_pid(self, pid: int) -> None:
        """Tells that another process becomes the service's main one."""
        self._send(f"MAINPID={pid}")

    def watchdog(self) -> None:
        """Tells that the service is alive; due every `watchdog_interval` seconds."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # The first character @ stands for the zero byte of Linux' abstract namespace.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto(message.encode(), address)
        except OSError as error:
            if not self._wrong:  # once, and again only after it has worked
                logger.warning("cannot notify systemd at %s: %s", self._address, error.strerror or error)
            self._wrong = True
        else:
            self._wrong = False


def _seconds(interval: str, pid: str) -> float:
    """Returns half of the watchdog's time; 0 without a watchdog, or if it is meant for another process."""
    if not interval or (pid and pid != str(os.getpid())):
        return 0.0
    if not (interval.isascii() and interval.isdigit() and int(interval)):
        logger.warning("the watchdog is not served: WATCHDOG_USEC=%s is not a number of microseconds", interval)
        return 0.0
    return int(interval) / 2 / 1_000_000
