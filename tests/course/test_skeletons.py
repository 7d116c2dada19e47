"""Skeletons: what `attncourse new` writes is read and executed, and asks to be filled in."""

import importlib.util

import nbformat
import pytest

from attncourse.course import skeletons
from attncourse.course.bootstrap import repository_url
from attncourse.course.chapters import execute, problems
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import read
from attncourse.course.rules import broken_rules
from attncourse.course.skeletons import Refused


@pytest.fixture
def root(tmp_path):
    """A checkout of nothing but its configuration."""
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    return tmp_path


def loaded(path):
    """The exercise that a file holds, as if it stood in the package."""
    name = f"attncourse.exercises.{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return read(module)


def test_an_exercise_is_read_and_says_what_is_missing(root):
    path = skeletons.exercise(root, "linear", "retention")
    assert path.as_posix() == "attncourse/exercises/linear/retention.py"
    assert (root / path.parent / "__init__.py").read_text().startswith('"""')
    exercise = loaded(root / path)
    assert (exercise.name, exercise.chapter) == ("retention", "linear")
    assert exercise.title == "Retention"
    broken = broken_rules(exercise)
    for needs in ("a statement", "exactly 2 `hints`: it has 0", "at least 4 `check_*`: it has 1"):
        assert any(needs in sentence for sentence in broken), needs
    assert not any("the solution's parameters" in sentence for sentence in broken)
    result = run(exercise, LocalAnswer(exercise.solution))
    assert result.checks[0].message == "write this check"


def test_a_solution_that_the_package_does_not_export_is_found_in_its_module(root):
    module = "attncourse.mechanisms.dense.softmax"
    path = skeletons.exercise(root, "masks", "attention_by_definition", module)
    assert loaded(root / path).solution.__module__ == module


EXERCISES = {
    ("mask", "retention"): "there is no chapter 'mask'; did you mean 'masks'?",
    ("xyz", "retention"): (
        "there is no chapter 'xyz'; the contents are in attncourse/course/contents.py."
    ),
    ("masks", "softmax"): (
        "there is an exercise 'softmax' already, in scores-and-scaling: names are unique"
    ),
    ("masks", "nothing"): (
        "there is no function to be the solution: module 'attncourse' has no attribute 'nothing'"
    ),
}


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_an_exercise_is_refused_with_the_reason(root, chapter, name):
    with pytest.raises(Refused) as caught:
        skeletons.exercise(root, chapter, name)
    assert str(caught.value) == EXERCISES[chapter, name]
    assert not (root / "attncourse").exists()


def test_nothing_is_overwritten(root):
    path = skeletons.exercise(root, "masks", "retention")
    (root / path).write_text("mine")
    with pytest.raises(Refused, match=f"^{path} is there already$"):
        skeletons.exercise(root, "masks", "retention")
    skeletons.chapter(root, "cost")
    with pytest.raises(Refused, match=r"^book/cost.ipynb is there already$"):
        skeletons.chapter(root, "cost")
    assert (root / path).read_text() == "mine"


def test_a_chapter_is_executed_and_has_no_problems(root):
    path = root / skeletons.chapter(root, "masks")
    url = repository_url(root)
    execute(path, url)
    assert problems(path, url) == []
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith("# Masks and numerical safety\n")
    ids = [cell.id for cell in cells]
    assert ids[ids.index("exercises") + 1] == "exercise-causal-mask"


def test_a_chapter_that_the_contents_do_not_name_is_refused(root):
    with pytest.raises(Refused, match="^there is no chapter 'costs'; did you mean 'cost'\\?$"):
        skeletons.chapter(root, "costs")
