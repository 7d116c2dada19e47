"""Where an exception was raised, in a learner's own words: the cell or file, the line, its code."""

import linecache
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType

MOST_LINES = 4  # of those that led to an exception
WIDEST = 100  # characters of a line of code

# Frames of these files are not the learner's: this package and Python's own, installed packages.
_OURS = (str(Path(__file__).parents[1]), str(Path(linecache.__file__).parent), "<frozen ", "<@")
_INSTALLED = ("site-packages", "dist-packages")
_CELL = re.compile(r"ipython-input-(\d+)-")


def learners_lines(error: BaseException) -> str:
    """The lines of the learner's own code that led to an exception, the innermost last.

    ``code cell 3, line 5: return helper(x) → line 2, in helper: return x / 0``
    """
    told: list[str] = []
    before = ""
    for place, frame in _frames(error.__traceback__):
        same, inside = place == before, f", in {frame.name}" if told else ""
        start = f"line {frame.lineno}" if same else f"{place}, line {frame.lineno}"
        told.append(f"{start}{inside}: {(frame.line or '')[:WIDEST]}")
        before = place
    if len(told) > MOST_LINES:
        told[1 : 1 - MOST_LINES] = ["…"]
    return " → ".join(told)


def learners_codes(error: BaseException) -> list[CodeType]:
    """The code of the learner's functions that an exception passed through, the innermost last."""
    frames = traceback.walk_tb(error.__traceback__)
    return [f.f_code for f, _ in frames if _learners(f.f_code.co_filename)]


def from_the_learners(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the frame that called the learner's code; a debugger begins there."""
    while trace and trace.tb_next and not _learners(trace.tb_next.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, traceback.FrameSummary]]:
    """The learner's frames, each with what its file or cell is called."""
    for frame in traceback.extract_tb(trace):
        if _learners(frame.filename) and frame.line:
            yield _called(frame.filename), frame


def _learners(filename: str) -> bool:
    installed = any(part in filename for part in _INSTALLED)
    return not (filename.startswith(_OURS) or installed)


def _called(filename: str) -> str:
    """``code cell 3`` or the name of a file."""
    cell = _CELL.search(filename)
    if cell:
        return f"code cell {cell[1]}"
    if filename.startswith("<"):
        return filename.strip("<>")
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    known = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return f"code cell {known[filename]}" if filename in known else Path(filename).name
