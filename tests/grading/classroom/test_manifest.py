"""What a result depends on is in its manifest: the code that grades, all of it."""

from pathlib import Path

import grimp
import pytest

import attncourse
from attncourse.grading.classroom.manifest import modules

ROOT = Path(attncourse.__file__).parent
HASHED = set(modules(ROOT))

# Where a verdict is made: the record, the worker's process, and what is loaded by its name.
GRADING = [
    "attncourse.grading.classroom.task",
    "attncourse.grading.confined.zygote",
    "attncourse.exercises",
]


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("attncourse")


def files(imports, name):
    """A module, what it holds, all that these import, directly or not, and the packages around."""
    inside = {name, *imports.find_descendants(name)}
    reached = inside.union(*map(imports.find_upstream_modules, inside))
    parents = {".".join(n.split(".")[:i]) for n in reached for i in range(1, n.count(".") + 1)}
    for module in reached | parents:
        path = ROOT.parent.joinpath(*module.split("."))
        found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        yield found.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", GRADING)
def test_all_that_a_verdict_is_made_by_is_hashed(imports, name):
    assert set(files(imports, name)) - HASHED == set()


def test_of_a_class_only_what_makes_the_records_is_hashed(imports):
    of_classes = {name for name in HASHED if name.startswith("grading/classroom/")}
    assert of_classes == {f"grading/classroom/{n}.py" for n in ("__init__", "records", "task")}
    left_out = set(files(imports, "attncourse.grading.classroom.run")) - HASHED
    assert {"grading/classroom/run.py", "grading/classroom/gradebook.py"} <= left_out
