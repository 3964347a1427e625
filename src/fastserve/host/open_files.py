"""The limit of open files: a login has 1,024 by default, and each connection takes one.

The soft limit exists for programs that use select(2), which breaks above 1,023. A very high hard limit is not used in
full, since some programs close every number up to the limit when they start others.
"""

import logging
import resource

MOST = 65536

logger = logging.getLogger("fastserve")

_before: int | None = None


def raise_limit() -> None:
    """Raises the soft limit to the hard one, at most to `MOST`. A higher soft limit stays."""
    global _before
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        logger.debug("the limit of %d open files cannot be raised to %d: %s", soft, wanted, error)
        return
    _before = soft
    logger.debug("the limit of open files is raised from %d to %d", soft, wanted)


def give_back() -> None:
    """Restores the earlier limit, for a program that goes on without the server or starts again."""
    global _before
    if _before is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_before, hard))
        _before = None
