"""The levels of confinement: what is chosen, what is told, what is asked for and not to be had."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import grimp
import nbformat
import pytest

import attncourse
from attncourse.course import render
from attncourse.course.exercise import all_exercises
from attncourse.grading.confined import surroundings
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.submission import Cell, Submission
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault, Zygote
from attncourse.grading.sandbox import (
    LEVELS,
    WARNING,
    IsolationError,
    available,
    choose,
    doctor,
    levels,
    missing,
    mounts,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def without(monkeypatch):
    """This machine as if it had no level but those named."""

    def only(*kept):
        def lacks(level):
            return None if level in kept else "it is not there"

        monkeypatch.setattr(levels, "missing", lacks)

    return only


# What is chosen


def test_the_strongest_level_is_chosen(without):
    for kept in (LEVELS, LEVELS[1:], LEVELS[2:]):
        without(*kept)
        assert choose("auto") == kept[0]


def test_require_accepts_the_kernel_and_nothing_weaker(without):
    without("kernel", "limits")
    assert choose("require") == "kernel"
    without("limits")
    with pytest.raises(IsolationError) as caught:
        choose("require")
    assert str(caught.value) == "submissions cannot be isolated here: it is not there"


def test_a_level_that_is_named_is_never_weakened(without):
    without("limits")
    with pytest.raises(IsolationError) as caught:
        Zygote("bubblewrap")
    assert str(caught.value) == "isolation 'bubblewrap' is not to be had here: it is not there"
    assert Zygote("limits").level == "limits"


def test_a_level_that_is_none_is_an_error():
    with pytest.raises(ValueError, match=r"^isolation must be one of auto, .*: got 'strong'$"):
        choose("strong")


def test_elsewhere_than_on_linux_there_are_limits_only(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    levels.missing.cache_clear()
    try:
        assert choose("auto") == "limits"
        assert missing("kernel") == "it needs Linux, and this is darwin"
    finally:
        levels.missing.cache_clear()


# What is told


def test_doctor_tells_the_level_and_what_each_prevents(without):
    without(*LEVELS)
    told = doctor()
    assert told[0] == "Isolation of submissions: bubblewrap."
    assert [line.split(":")[0].strip() for line in told[1:]] == list(LEVELS)
    assert WARNING not in told


def test_doctor_warns_where_nothing_is_confined(without):
    without("limits")
    told = doctor()
    assert told[0] == "Isolation of submissions: limits."
    assert "  kernel is not to be had: it is not there." in told
    assert told[-1] == WARNING


# What holds here


@linux
@pytest.mark.parametrize("level", ["kernel", "bubblewrap"])
def test_a_trial_sees_that_the_level_holds(level):
    if not available(level):
        pytest.skip(f"{level}: {missing(level)}")
    assert missing(level) is None


@linux
def test_a_trial_that_finds_a_hole_says_which():
    code = (
        "from attncourse.grading.sandbox import entrance\n"
        "entrance.enter = lambda *a: None\n"
        "print(entrance.trial())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    if "Landlock" not in done.stdout:
        assert done.stdout.strip() == "a file can be read"


def test_of_the_package_a_worker_sees_what_holds_no_answer():
    home = Path(attncourse.__file__).parent
    seen = {path.relative_to(home).as_posix() for path in mounts.visible()}
    assert {
        "__init__.py",
        "__init__.pyi",
        "core/probes.py",
        "measure/cost.py",
        "testing.py",
        "course/kinds.py",
        "grading/confined",
    } <= seen
    for name in (
        "mechanisms",
        "mechanisms.dense.softmax",
        "exercises",
        "core.masks",
        "models.blocks",
        "course.exercise",
        "course.checking",
        "course.diagnose",
        "grading.judge",
        "grading.judge.judging",
        "grading.classroom.task",
    ):
        assert mounts.hidden(f"attncourse.{name}")
    for name in ("attncourse", "attncourse.core.probes", "attncourse.grading", "torch"):
        assert not mounts.hidden(name)
    for path in mounts.readable():
        assert not home.is_relative_to(path)
        assert "mechanisms" not in path.parts
        assert "exercises" not in path.parts


def test_a_worker_sees_what_it_imports_and_no_other_module():
    imports = grimp.build_graph("attncourse")
    given = imports.find_descendants("attncourse.grading.confined")
    given |= {name for name in surroundings.USUAL if name in imports.modules}
    needed = given.union(*map(imports.find_upstream_modules, given))
    needed |= {n.rsplit(".", i)[0] for n in needed for i in range(1, n.count(".") + 1)}
    seen = {name for name in imports.modules if not mounts.hidden(name)}
    assert needed - seen == set()
    assert seen - needed == {"attncourse.grading.sandbox.levels"}  # which tries what it is in
    assert len(needed) > 30


def test_no_module_that_a_worker_sees_holds_a_solution_or_imports_one_that_does():
    modules = {name for name in _modules() if not mounts.hidden(name)}
    for exercise in all_exercises().values():
        assert mounts.hidden(inspect.unwrap(exercise.solution).__module__), exercise.name
    judges = {name for name in modules if name.startswith("attncourse.course.")}
    for name in modules - judges:
        found = importlib.import_module(name)
        own = (v.__module__ for v in vars(found).values() if isinstance(v, FunctionType))
        assert [other for other in own if mounts.hidden(other)] == [], name


def test_what_the_exercises_notebooks_import_a_worker_has(zygote):
    texts = render.notebooks(Path(attncourse.__file__).parents[1])
    imports = sorted(
        {
            line
            for path, text in texts.items()
            if "exercises" in path.parts
            for line in _imports(text)
        }
    )
    assert "from attncourse import check, hint" in imports
    code = "\n".join([*imports, "def names(x): return sorted(globals())"])
    submission = Submission(Path("a.py"), (Cell("a.py", code, script=True),))
    with Worker(submission, Limits(), zygote) as worker:
        found = RemoteAnswer(worker, "names").run(None, [1], {}).value
        assert {"check", "hint", "torch", "Tensor"} <= set(found)
        assert worker.notes == ()


def _imports(notebook):
    """The imports in a notebook's cells, each on a line; the one that installs is left out."""
    for cell in nbformat.reads(notebook, as_version=4).cells:
        if cell.cell_type == "code" and "bootstrap" not in cell.metadata.get("tags", ()):
            for statement in ast.parse(cell.source).body:
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    yield ast.unparse(statement)


def _modules():
    return [m.name for m in pkgutil.walk_packages(attncourse.__path__, "attncourse.")]


READS = """
import os
def reads(place):
    with open(place, 'rb') as file:
        return len(file.read(10))
def lists(place):
    return len(os.listdir(place))
def writes(place):
    with open(place, 'wb') as file:
        return file.write(b'x')
"""
HOME = Path(attncourse.__file__).parent
READABLE = {"Python's own": os.__file__, "a probe": str(HOME / "core" / "probes.py")}
HIDDEN = {
    "a solution": str(HOME / "mechanisms" / "dense" / "softmax.py"),
    "an exercise": str(HOME / "exercises" / "softmax.py"),
    "a mask": str(HOME / "core" / "masks.py"),
    "a test": __file__,
    "a password": "/etc/passwd",
    "a process": "/proc/self/environ",
    "a package that is not needed": pytest.__file__,
}


@linux
@pytest.mark.parametrize("level", ["kernel", "bubblewrap"])
def test_a_worker_reads_what_it_needs_and_no_other_file(level):
    if not available(level):
        pytest.skip(f"{level}: {missing(level)}")
    submission = Submission(Path("a.py"), (Cell("a.py", READS, script=True),))
    with Zygote(level) as zygote, Worker(submission, Limits(), zygote) as worker:

        def outcome(name, place):
            got = RemoteAnswer(worker, name).run(None, [place], {})
            return got.failure.kind if got.failure else got.value

        refused = ("PermissionError", "FileNotFoundError")
        assert {what: outcome("reads", p) for what, p in READABLE.items()} == dict.fromkeys(
            READABLE, 10
        )
        assert [what for what, p in HIDDEN.items() if outcome("reads", p) not in refused] == []
        for folder in ("/", str(HOME), str(HOME / "mechanisms"), "/tmp", "/proc"):
            assert outcome("lists", folder) in refused
        for place in ("x", "/tmp/x", str(HOME / "x"), "/dev/shm/x", "/dev/sda"):
            assert outcome("writes", place) in (*refused, "OSError")
        assert outcome("writes", "/dev/null") == 1


def test_a_zygote_that_cannot_run_is_a_fault_of_the_grader(monkeypatch):
    monkeypatch.setattr("attncourse.grading.judge.launch._RUN", "raise OSError('no torch')")
    with Zygote("limits") as zygote, pytest.raises(GraderFault, match="OSError: no torch$"):
        zygote.start(2**31, 5, 5, (0, 1, 2))
