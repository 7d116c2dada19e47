"""The way into the sandbox: what a child does to itself before it runs a line of a submission."""

import os
from pathlib import Path

from attncourse.grading.sandbox import calls, kernel, landlock, limits, mounts, seccomp

SMALL_FILE = 16 * 2**20  # bytes a submission may write, where it can write at all


def rules() -> int:
    """Landlock's rules, made once for all children: a descriptor."""
    return landlock.ruleset(mounts.readable(), [mounts.NULL])


def enter(level: str, rules: int | None, memory: int, seconds: int, most: int) -> None:
    """Confine this process, for good. Raises OSError where anything of it fails.

    It may use `seconds` of processor time, and `most` if its parent extends that.
    """
    confined = level != "limits"
    limits.restrict(memory, seconds, most, 0 if confined else SMALL_FILE)
    if confined and rules is not None:
        kernel.drop_capabilities()
        landlock.restrict(rules)
        os.close(rules)
        seccomp.restrict()


def trial() -> str | None:
    """Enter, and see that what must be refused is; what is not, in a few words."""
    if not calls.known_machine():
        return f"the system calls of {os.uname().machine} are not known"
    if landlock.version() < landlock.OLDEST:
        return "the kernel has no Landlock, or one older than Linux 6.2's"
    here = Path(__file__)
    try:
        enter("kernel", rules(), 4 * 2**30, 60, 60)
        here.read_bytes()
    except OSError as error:
        return f"a process cannot be confined: {error}"
    forbidden = {
        "a file can be read": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "a folder can be listed": lambda: os.listdir("/"),
        "the answers can be read": lambda: os.listdir(mounts.PACKAGE / "exercises"),
        "a file can be written": lambda: os.open("/tmp/attncourse-trial", os.O_WRONLY | os.O_CREAT),
        "a process can be started": os.fork,
        "another process can be signalled": lambda: os.kill(1, 0),
        "a connection can be opened": _socket,
    }
    return next((what for what, act in forbidden.items() if not _refused(act)), None)


def _socket() -> None:
    import _socket

    _socket.socket()


def _refused(act: object) -> bool:
    try:
        act()  # type: ignore[operator]
    except OSError:
        return True
    return False


def close_all_but(kept: tuple[int, ...]) -> None:
    """Close every descriptor but these."""
    first = 0
    for descriptor in sorted(kept):
        if first < descriptor:  # an empty range would close all there are
            os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 2**16)
