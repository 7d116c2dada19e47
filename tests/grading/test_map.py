"""The map of the grader names what is there."""

import importlib.util
import re
from pathlib import Path

import attncourse.grading as grading

MODULES = set(
    re.findall(r"(?:classroom|confined|judge|wire|sandbox|course)(?:\.\w+)+", grading.__doc__)
)


def test_every_module_that_the_map_names_is_there():
    assert len(MODULES) > 12
    for name in MODULES:
        package = "attncourse." if name.startswith("course.") else "attncourse.grading."
        assert importlib.util.find_spec(package + name), name


def test_every_room_is_on_the_map():
    rooms = {path.parent.name for path in Path(grading.__file__).parent.glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}`" not in grading.__doc__} == set()
