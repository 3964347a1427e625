"""The process's title, as ps and top show it: the service, the role, the state."""


def set_title(proc_name: str, role: str, state: str = "") -> None:
    """Shows "fastserve: worker 2 (draining)", with `proc_name` in place of the service's name."""
    from setproctitle import setproctitle

    setproctitle(f"{proc_name}: {role} ({state})" if state else f"{proc_name}: {role}")
