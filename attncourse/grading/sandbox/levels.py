"""How strongly a worker is confined: found out by trying, told in plain words, never weakened.

- ``bubblewrap``: namespaces around the zygote, and all of
- ``kernel``: Landlock, a filter on system calls, no capabilities, and all of
- ``limits``: limits on time, memory, processes and files, a clean environment, a session apart.
"""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Literal

from attncourse.core.errors import CourseError
from attncourse.grading.sandbox import mounts

Level = Literal["bubblewrap", "kernel", "limits"]
LEVELS: tuple[Level, ...] = ("bubblewrap", "kernel", "limits")

PREVENTS = {
    "bubblewrap": (
        "a submission sees no process, no network and no file but Python, its packages and the "
        "visible part of this one"
    ),
    "kernel": (
        "a submission writes no file, reads none but Python's and its packages', opens no "
        "connection, starts no process and no thread, signals none, and holds no right of root"
    ),
    "limits": (
        "processor time, wall time, memory, open files and output are limited; no environment "
        "variable is passed on; what it started is ended with it"
    ),
}

WARNING = (
    "Submissions are not confined here: they run with your rights, and could read and change "
    "your files (the solutions among them) and use the network. Only limits on time and memory "
    "hold. Grade on Linux, with bubblewrap if you can."
)

_TRIAL = "from attncourse.grading.sandbox.levels import trial; trial()"
TRYING = 60  # seconds

_CLEAN = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}


class IsolationError(CourseError):
    """The level that was asked for is not to be had here; the message is one sentence."""


def choose(isolation: str) -> Level:
    """The strongest level to be had, or the one that is named. Raises IsolationError.

    "auto" takes what there is; "require" accepts nothing weaker than "kernel".
    """
    if isolation in ("auto", "require"):
        level = next(level for level in LEVELS if available(level))
        if isolation == "require" and level == "limits":
            raise IsolationError(f"submissions cannot be isolated here: {missing('kernel')}")
        return level
    named = next((level for level in LEVELS if level == isolation), None)
    if named is None:
        names = ", ".join(["auto", "require", *LEVELS])
        raise ValueError(f"isolation must be one of {names}: got {isolation!r}")
    if not available(named):
        raise IsolationError(f"isolation {named!r} is not to be had here: {missing(named)}")
    return named


def available(level: Level) -> bool:
    """Can a worker be confined so on this machine? Tried in a process, once."""
    return missing(level) is None


def confirm(level: str) -> None:
    """Take another process's word, of this machine, that the level is to be had."""
    _CONFIRMED.add(level)


_CONFIRMED: set[str] = set()


@functools.cache
def missing(level: str) -> str | None:
    """What the level lacks here, in a few words; None where nothing."""
    if level == "limits" or level in _CONFIRMED:
        return None
    if sys.platform != "linux":
        return f"it needs Linux, and this is {sys.platform}"
    if level == "kernel":
        return _try([])
    if missing("kernel"):
        return missing("kernel")
    program = shutil.which("bwrap")
    if program is None:
        return "the program bwrap is not installed (apt install bubblewrap)"
    return _try(mounts.bubblewrap(program, "/tmp/job"))


def trial() -> None:
    """Confine this process and see that it holds; exits with 0, or says what does not."""
    from attncourse.grading.sandbox import entrance

    sys.exit(entrance.trial())


def _try(command: list[str]) -> str | None:
    python = [
        mounts.interpreter(),
        "-I",
        "-c",
        f"import sys; sys.path.append({str(mounts.PACKAGE.parent)!r}); {_TRIAL}",
    ]
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                [*command, *python],
                env=_CLEAN,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
        except OSError as error:
            return f"trying it failed ({type(error).__name__})"
        try:
            code = process.wait(timeout=TRYING)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=TRYING)
            return f"trying it took more than {TRYING} s"
        words.seek(0)
        lines = words.read(2**16).decode(errors="replace").strip().splitlines()
    if code == 0:
        return None
    return f"trying it failed ({lines[-1][:160] if lines else f'exit code {code}'})"


def doctor() -> list[str]:
    """What is in force here and what it prevents, for whoever grades."""
    level = choose("auto")
    lines = [f"Isolation of submissions: {level}."]
    for name in LEVELS[LEVELS.index(level) :]:
        lines.append(f"  {name}: {PREVENTS[name]}.")
    for name in LEVELS[: LEVELS.index(level)]:
        lines.append(f"  {name} is not to be had: {missing(name)}.")
    return [*lines, WARNING] if level == "limits" else lines
