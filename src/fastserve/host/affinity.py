"""CPU affinity: the one CPU that a worker is bound to."""

import os

from fastserve.errors import StartError

AUTO = "auto"


def cpu_of(slot: int, setting: str) -> set[int] | None:
    """Returns the CPU of a worker slot, from those that `setting` names in turn; None if workers are not bound.

    setting: `--cpu-affinity` as the configuration keeps it: empty, "auto" for every CPU that this process may use,
    or a list such as "0,2-5". Raises StartError when it names one that this process may not use.
    """
    if not setting:
        return None
    allowed = os.sched_getaffinity(0)
    named = sorted(allowed) if setting == AUTO else _numbers(setting)
    absent = [cpu for cpu in named if cpu not in allowed]
    if absent:
        may = ", ".join(str(cpu) for cpu in sorted(allowed))
        raise StartError(f"--cpu-affinity {setting}: there is no CPU {absent[0]} to be used here, only {may}")
    return {named[slot % len(named)]}


def apply(cpus: set[int] | None) -> None:
    """Binds this process and the threads that it will start. Raises StartError if the kernel refuses."""
    if cpus is None:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        names = ", ".join(str(cpu) for cpu in sorted(cpus))
        raise StartError(f"cannot bind a worker to CPU {names}: {(error.strerror or str(error)).lower()}") from None


def _numbers(setting: str) -> list[int]:
    """Returns the numbers in a setting that `fastserve.config.option_types.CPUs` has checked."""
    spans = [part.partition("-") for part in setting.split(",")]
    return [cpu for first, dash, last in spans for cpu in range(int(first), int(last if dash else first) + 1)]
