"""Limits that every Unix has: processor time, memory, processes, files, output."""

import resource

GRACE = 1  # seconds between being told that the time is up and the end


def restrict(memory: int, seconds: int, most: int, largest_file: int) -> None:
    """Limit this process, for good: bytes of address space, seconds of processor time.

    seconds are for now, and can be extended from outside to `most`. It may start no process and
    no thread (root may, as far as this limit goes).
    """
    _set("RLIMIT_CPU", seconds, most + GRACE)
    _set("RLIMIT_FSIZE", largest_file, largest_file)
    _set("RLIMIT_CORE", 0, 0)
    _set("RLIMIT_NOFILE", 64, 64)
    _set("RLIMIT_MSGQUEUE", 0, 0)
    _set("RLIMIT_MEMLOCK", 0, 0)
    _set("RLIMIT_NPROC", 0, 0)
    _set("RLIMIT_AS", memory, memory)


def _set(name: str, soft: int, hard: int) -> None:
    """Set a limit, no higher than it is; one that this system does not have is left out."""
    if not hasattr(resource, name):
        return
    kind = getattr(resource, name)
    highest = resource.getrlimit(kind)[1]
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), min(hard, highest)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (ValueError, OSError):  # macOS knows RLIMIT_AS and refuses to set it
        return
