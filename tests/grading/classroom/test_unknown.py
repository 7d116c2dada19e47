"""What could not be read, or is not clear, has no points: empty in every export, and never 0."""

import csv
import io
import json
import os
from xml.etree import ElementTree

import made_class
import pytest
from made_class import DIVIDED, SOFTMAX, notebook

from attncourse.course import source
from attncourse.course.exercise import get

HEAD = "import torch\nfrom jaxtyping import Bool\nfrom torch import Tensor\n\n\n"
CAUSAL = HEAD + source.whole(get("causal_mask").solution)
BOTH = ("softmax", "causal_mask")


@pytest.fixture
def graded_as(tmp_path, trusted):
    """Grade one class of folders, in which softmax and causal_mask count."""

    def make(handed, layout="folders", **changes):
        folder = made_class.lay(tmp_path / "class", layout, handed)
        changes = {"exercises": BOTH, "layout": "folders"} | changes
        return trusted(folder, tmp_path / "out", **changes).book

    return make


def row_of(book, name="ada"):
    return next(row for row in book.rows if row.student.name == name)


def shares(row):
    return {name: score.share for name, score in row.scores.items()}


def test_what_is_in_a_broken_file_is_not_known_and_what_is_beside_it_is(graded_as, tmp_path):
    row = row_of(graded_as([("ada", {"a.py": SOFTMAX, "masks.ipynb": '{"cells": ['})]))
    assert (row.state, row.points) == ("partly unreadable", None)
    assert shares(row) == {"softmax": 1.0, "causal_mask": None}
    (line,) = csv.DictReader(io.StringIO((tmp_path / "out/gradebook.csv").read_text("utf-8-sig")))
    assert (line["softmax"], line["causal_mask"], line["points"]) == ("50", "", "")
    assert "masks.ipynb is not a Jupyter notebook" in line["notes"]
    told = json.loads((tmp_path / "out/results.json").read_text())["students"][0]
    states = [(e["state"], e["points"], e["hidden"]) for e in told["exercises"]]
    assert states == [("passed", 50.0, []), ("unreadable", None, ["masks.ipynb"])]
    root = ElementTree.parse(tmp_path / "out/junit.xml").getroot()
    errors = {
        case.get("classname") for case in root.iter("testcase") if case.find("error") is not None
    }
    assert errors == {"ada.causal_mask", "ada.partly unreadable"}
    page = (tmp_path / "out/students/ada.html").read_text()
    assert "Could not be read in part" in page


def test_moodle_and_canvas_get_no_grade_for_it(graded_as, tmp_path):
    export = tmp_path / "export.csv"
    export.write_text(
        "Student,ID,SIS Login ID,Section,W (1)\nPoints Possible,,,,10\n"
        '"Lovelace, Ada",7001,,A,\n"Lovelace, Bert",7002,,A,3\n'
    )
    files = [("Ada Lovelace", {"a.py": SOFTMAX, "b.ipynb": "{"}), ("Bert Lovelace", {"a.py": "x"})]
    book = graded_as(files, "moodle", canvas=export)
    assert [row.points for row in book.rows] == [None, None]
    assert len((tmp_path / "out/moodle.csv").read_text().splitlines()) == 1
    lines = list(csv.reader(io.StringIO((tmp_path / "out/canvas.csv").read_text())))
    assert [line[-1] for line in lines[2:]] == ["", "3"]


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"a.py": SOFTMAX + CAUSAL, "b.ipynb": "{"}, True),  # all is there
        ({"a.py": SOFTMAX, "masks.ipynb": "{", "masks-1.ipynb": notebook(CAUSAL)}, True),
        ({"a.py": SOFTMAX, "masks-1.ipynb": "{", "masks.ipynb": notebook("1")}, False),
        ({"a.py": SOFTMAX, "weighted-mean.ipynb": "{"}, True),  # holds none of the two
        ({"a.py": SOFTMAX, "notes.ipynb": "{"}, False),
        ({"a.py": SOFTMAX, "report.pdf": "x"}, True),
        ({"a.py": SOFTMAX, "rest.rar": "x"}, False),
        ({"a.py": SOFTMAX, "rest.zip": "x"}, False),
    ],
)
def test_a_broken_file_hides_only_what_may_be_in_it(graded_as, files, known):
    row = row_of(graded_as([("ada", files)]))
    assert (row.points is not None) == known


def test_two_copies_that_differ_are_not_chosen_between(graded_as, tmp_path):
    files = {
        "draft/scores.ipynb": notebook(DIVIDED),
        "final/scores.ipynb": notebook(SOFTMAX),
        "m.py": CAUSAL,
    }
    row = row_of(graded_as([("ada", files)]))
    assert (row.state, row.points) == ("unclear", None)
    assert shares(row) == {"softmax": None, "causal_mask": 1.0}
    page = (tmp_path / "out/class.html").read_text()
    assert "Say --prefer draft or --prefer final." in page
    row = row_of(graded_as([], prefer=("final",)))
    assert (row.state, row.points) == ("graded", 100.0)
    assert row.versions == ["final/scores.ipynb counts, not draft/scores.ipynb: softmax."]


def test_a_copy_in_no_folder_can_be_preferred(graded_as, tmp_path):
    files = {"s.py": SOFTMAX, "old/s.py": DIVIDED, "m.py": CAUSAL}
    assert row_of(graded_as([("ada", files)])).state == "unclear"
    page = (tmp_path / "out/class.html").read_text()
    assert "Say --prefer old or --prefer s.py." in page
    assert row_of(graded_as([], prefer=("s.py",))).points == 100.0
    assert row_of(graded_as([], prefer=("old",), change=True)).points < 100.0


def test_two_copies_that_do_the_same_are_one(graded_as):
    files = {"a/s.py": SOFTMAX, "b/s.py": SOFTMAX + "# again\n", "m.py": CAUSAL}
    assert row_of(graded_as([("ada", files)])).points == 100.0


def test_the_file_called_after_the_exercise_counts_before_one_with_a_helper(graded_as):
    files = {"softmax.py": SOFTMAX, "other.py": DIVIDED, "m.py": CAUSAL}
    assert row_of(graded_as([("ada", files)])).points == 100.0


def test_the_time_of_a_file_decides_nothing(graded_as, tmp_path):
    graded_as([("ada", {"a/s.py": SOFTMAX, "b/s.py": DIVIDED, "m.py": CAUSAL})])
    os.utime(tmp_path / "class/ada/a/s.py", (2e9, 2e9))
    assert row_of(graded_as([])).state == "unclear"


def test_percent_is_of_points_that_are_not_rounded(tmp_path, trusted):
    folder = made_class.lay(tmp_path / "class", "folders", [("ada", {"a.py": SOFTMAX})])
    names = ("softmax", "attention", "causal_mask")
    book = trusted(folder, tmp_path / "out", exercises=names).book
    (row,) = book.rows
    assert (book.total(row), round(book.percent(row), 6)) == (33.33, 33.333333)
