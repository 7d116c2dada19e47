"""Which exercises count: what was said, or what is clear; what others hand in changes no mark."""

import made_class
import pytest
from made_class import SOFTMAX, STUB, notebook

from attncourse.course.exercise import chapters, of_chapter
from attncourse.grading.classroom import assignment
from attncourse.grading.classroom.handed import ClassError, UnclearError

MASKS = [exercise.name for exercise in of_chapter("masks")]
ATTENTION = "def attention(q, k, v):\n    raise NotImplementedError\n"
WEEK = {"softmax": SOFTMAX, "both": SOFTMAX + ATTENTION}


def laid(folder, handed):
    for name, text in handed.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    return folder


def points(report):
    return {row.student.name: row.points for row in report.book.rows}


def test_one_who_hands_in_more_takes_nothing_from_the_others(tmp_path, trusted):
    handed = dict.fromkeys(("ada", "bob", "cleo"), SOFTMAX)
    folder = laid(tmp_path / "class", handed)
    before = points(trusted(folder, tmp_path / "out"))
    assert set(before.values()) == {100.0}
    laid(folder, {"dan": WEEK["both"]})
    with pytest.raises(UnclearError) as asked:
        trusted(folder, tmp_path / "out")
    assert str(asked.value).startswith("which exercises are the assignment?")
    assert [(c.option, c.value, c.meaning) for c in asked.value.choices] == [
        ("exercises", "softmax", "handed in by 4 of 4 students"),
        ("exercises", "attention,softmax", "all that anyone handed in (1 of 4 all of it)"),
    ]
    report = trusted(folder, tmp_path / "out", exercises=("softmax",))
    assert (report.graded, points(report)) == (0, before | {"dan": 100.0})
    again = trusted(folder, tmp_path / "out")  # what was said is remembered
    assert points(again) == points(report)


def test_a_helper_that_is_called_as_an_exercise_is_no_assignment_for_all(tmp_path, trusted):
    """Also if most wrote one."""
    folder = laid(tmp_path / "class", dict.fromkeys("abc", WEEK["both"]) | {"d": ATTENTION})
    with pytest.raises(UnclearError) as asked:
        trusted(folder, tmp_path / "out")
    assert [choice.value for choice in asked.value.choices] == ["attention", "attention,softmax"]


def test_whole_chapters_that_most_handed_in_are_clear(tmp_path, trusted):
    both = {"masks.ipynb": notebook("1", attncourse={"chapter": "masks"})}
    both["weighted-mean.ipynb"] = notebook("2", attncourse={"chapter": "weighted-mean"})
    one = {"masks.ipynb": both["masks.ipynb"]}
    folder = tmp_path / "class"
    made_class.lay(folder, "folders", [("ada", both), ("bob", both), ("eve", one)])
    report = trusted(folder, tmp_path / "out")
    wanted = [e.name for c in ("masks", "weighted-mean") for e in of_chapter(c)]
    assert set(report.book.exercises) == set(wanted)
    made_class.lay(folder, "folders", [("fay", one)])
    with pytest.raises(UnclearError) as asked:
        trusted(folder, tmp_path / "out")
    values = [choice.value for choice in asked.value.choices]
    assert values == ["masks", "weighted-mean,masks"]


def test_what_was_refused_or_holds_nothing_makes_nothing_unclear(tmp_path, trusted):
    folder = laid(tmp_path / "class", {"ada": SOFTMAX, "bob": "x = 1", "eve": STUB})
    (folder / "mal.ipynb").write_text("my homework")
    assert trusted(folder, tmp_path / "out").book.exercises == ("softmax",)


def test_chapters_stand_for_all_of_theirs():
    assert assignment.named(["masks"]) == tuple(sorted(MASKS, key=assignment.named(MASKS).index))
    assert set(assignment.named(["softmax", "masks"])) == {"softmax", *MASKS}
    for chapter in chapters():
        assert assignment.said(assignment.named([chapter])) == chapter
    with pytest.raises(ClassError, match="no exercise and no chapter 'mask'; did you mean 'masks'"):
        assignment.named(["mask"])
