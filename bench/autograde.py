"""nbgrader's autograde on the notebooks of `made`, with the course's checks in its test cells."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from attncourse.course.exercise import all_exercises

KERNEL = "attncourse-bench"
NAME = "ps"

_TEST = """\
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import get
_result = run(get("{name}"), LocalAnswer({name}, get("{name}").forbidden))
assert _result.state == "passed", [check.message for check in _result.checks]"""


def seconds(environment: Path, folder: Path, paths: list[Path], jobs: int) -> tuple[float, float]:
    """Seconds to autograde the notebooks, in as many processes, each with a course of its own.

    Those that pass, and those of processor time.
    """
    jobs = min(jobs, len(paths))
    program = (environment / "bin" / "nbgrader").resolve()
    settings = os.environ | {"JUPYTER_PATH": str(_kernel(folder / "jupyter"))}
    settings |= {"OMP_NUM_THREADS": "1", "JUPYTER_CONFIG_DIR": str(folder / "config")}
    settings["PATH"] = os.pathsep.join([str(program.parent), settings["PATH"]])
    courses = [_course(folder / f"course{job}", paths[job::jobs]) for job in range(jobs)]
    for course in courses:
        command = [program, "generate_assignment", NAME, "--force"]
        subprocess.run(command, cwd=course, env=settings, check=True, capture_output=True)
    before, used = time.monotonic(), processor_time()
    running = [
        subprocess.Popen(
            [program, "autograde", NAME, "--force"],
            cwd=course,
            env=settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for course in courses
    ]
    for process in running:
        process.wait()
    took = time.monotonic() - before
    done = sum(len(list(course.glob(f"autograded/*/{NAME}/*.ipynb"))) for course in courses)
    if done != len(paths):
        raise RuntimeError(f"nbgrader graded {done} of {len(paths)} notebooks")
    return took, processor_time() - used


def processor_time() -> float:
    """Seconds of processor time that processes started here have used, and theirs."""
    with contextlib.suppress(ChildProcessError):
        while True:  # what they had started, and left to be waited for
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kernel(folder: Path) -> Path:
    """Have notebooks executed by this interpreter, which has the course."""
    place = folder / "kernels" / KERNEL
    place.mkdir(parents=True, exist_ok=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": KERNEL, "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return folder


def _course(folder: Path, paths: list[Path]) -> Path:
    """The folders that nbgrader expects: the assignment, and what was submitted."""
    _put(folder / "source" / NAME, paths[0])
    for path in paths:
        _put(folder / "submitted" / path.stem / NAME, path)
    (folder / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    return folder


def _put(folder: Path, path: Path) -> None:
    """The notebook in nbgrader's format."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["kernelspec"] = {"name": KERNEL, "display_name": KERNEL}
    notebook["cells"] = [made for cell in notebook["cells"] for made in _cells(cell)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def _cells(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """The cell; after one that answers an exercise, a cell that tests it."""
    name = next((n for n in all_exercises() if f"def {n}(" in "".join(cell["source"])), None)
    last = "".join(cell["source"]).rpartition("\ndef ")[2] if name else ""
    name = next((n for n in all_exercises() if last.startswith(f"{n}(")), name)
    if name is None:
        return [cell]
    return [
        cell | {"metadata": {"nbgrader": _grading(name, solution=True)}},
        cell
        | {
            "id": f"check-{name}",
            "source": _TEST.format(name=name),
            "metadata": {"nbgrader": _grading(f"check-{name}", solution=False)},
        },
    ]


def _grading(name: str, *, solution: bool) -> dict[str, Any]:
    kind = {"grade": not solution, "solution": solution, "locked": not solution, "task": False}
    points = {} if solution else {"points": 1}
    return {"schema_version": 3, "grade_id": name} | kind | points
