"""What the results remember, and that nothing changes it unsaid."""

import pytest
from made_class import DIVIDED, SOFTMAX

from attncourse.grading.classroom import secret, settings
from attncourse.grading.classroom.handed import ClassError, UnclearError
from attncourse.grading.classroom.settings import Settings
from attncourse.grading.classroom.weights import Scheme


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class/ada.py").write_text(SOFTMAX)
    (tmp_path / "class/bob.py").write_text(DIVIDED)
    return tmp_path / "class"


def test_weights_are_remembered_and_changed_only_if_that_is_said(tmp_path, folder, trusted):
    out = tmp_path / "out"
    first = trusted(folder, out, scheme=Scheme("Week 2", 20, weights={"softmax": 1.0}))
    assert trusted(folder, out).book.rows == first.book.rows
    other = Scheme("Week 2", 10.0, weights={"softmax": 2.0})
    with pytest.raises(UnclearError) as asked:
        trusted(folder, out, scheme=other)
    assert str(asked.value) == (
        "--weights would change what these results were counted by: points 20, weights "
        "softmax = 1 is remembered, now it is points 10, weights softmax = 2"
    )
    assert [(c.option, c.value) for c in asked.value.choices] == [
        ("change", True),
        ("weights", None),
    ]
    assert trusted(folder, out).book.scheme.points == 20
    changed = trusted(folder, out, scheme=other, change=True)
    assert (changed.graded, changed.book.scheme.points) == (0, 10.0)
    assert trusted(folder, out).book.scheme == other


def test_a_secret_is_remembered_and_another_one_grades_anew_only_if_that_is_said(
    tmp_path, folder, trusted
):
    out = tmp_path / "out"
    first = trusted(folder, out, secret=b"0123456789abcdef")
    assert secret.read(out / "secret") == b"0123456789abcdef"
    again = trusted(folder, out, secret=None)
    assert (again.graded, again.book.digest) == (0, first.book.digest)
    with pytest.raises(UnclearError, match=r"^--secret would change .* all would be graded anew$"):
        trusted(folder, out, secret=b"another secret!!")
    changed = trusted(folder, out, secret=b"another secret!!", change=True)
    assert changed.graded == 2
    assert trusted(folder, out, secret=None).graded == 0


def test_settings_are_read_as_they_were_saved(tmp_path):
    for said in (
        Settings(),
        Settings(Scheme("Ü", 3, "x", {"softmax": 0.5}), ("softmax",), "folders", ("final",)),
    ):
        settings.save(tmp_path, said)
        assert settings.load(tmp_path) == said


@pytest.mark.parametrize("text", ["", "[]", '{"scheme": 3}', '{"scheme": {"x": 1}}', "{}"])
def test_damaged_settings_are_said(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ClassError, match=r"settings.json is damaged: delete it, and say again"):
        settings.load(tmp_path)


def test_two_ways_to_say_what_counts_are_refused(tmp_path, folder, trusted):
    with pytest.raises(ClassError, match="both say what counts"):
        trusted(
            folder, tmp_path / "out", scheme=Scheme(weights={"softmax": 1}), exercises=("softmax",)
        )
