"""Which files are whose, in every layout; what is not graded is listed."""

import os

import made_class
import pytest

from attncourse.grading.classroom import listing, names
from attncourse.grading.classroom.archive import ArchiveError
from attncourse.grading.classroom.layouts import collect
from attncourse.grading.classroom.names import Student

PEOPLE = made_class.people(10)
EXPECTED = {
    "notebooks": [Student(name) for name in PEOPLE],
    "folders": [Student(name) for name in PEOPLE],
    "nbgrader": [Student(name) for name in PEOPLE],
    "canvas": [Student(made_class.canvas_name(n), str(1001 + i)) for i, n in enumerate(PEOPLE)],
    "moodle": [Student(name, str(7001 + i)) for i, name in enumerate(PEOPLE)],
    "moodle files": [Student(name, str(7001 + i)) for i, name in enumerate(PEOPLE)],
    "github": [Student(name.replace(" ", "-").lower()) for name in PEOPLE],
}


@pytest.fixture
def temporary(tmp_path):
    made = tmp_path / "temporary"
    made.mkdir()
    return made


def handed(count=10, file="answers.ipynb"):
    return [(name, {file: made_class.notebook(name)}) for name in made_class.people(count)]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", made_class.LAYOUTS)
def test_every_layout_tells_whose_a_file_is(tmp_path, temporary, layout, packed):
    folder = made_class.lay(tmp_path / "class", layout, handed())
    path = made_class.zipped(folder, tmp_path / "class.zip") if packed else folder
    found = collect([path], temporary)
    assert {file.student for file in found.files} == set(EXPECTED[layout])
    assert len(found.files) == 10
    assert (found.refused, found.left_out) == ([], [])


def test_canvas_tells_who_is_late_and_which_file_is_newer():
    told = names.canvas("lovelaceada_LATE_12345_67890_masks-1.ipynb")
    assert (told.student, told.late) == (Student("lovelaceada", "12345"), True)
    assert (told.name, told.number) == ("masks-1.ipynb", 67890)
    assert names.canvas("lovelaceada_12345_67890_my_masks.ipynb").late is False
    assert names.canvas("ada_masks.ipynb") is None


def test_moodle_tells_the_number_of_the_participant():
    told = names.moodle("Ada King_de Lovelace_7001_assignsubmission_file_")
    assert (told.student, told.name) == (Student("Ada King_de Lovelace", "7001"), "")
    assert names.moodle("Ada_7001_assignsubmission_onlinetext_").student == Student("Ada", "7001")
    assert names.moodle("Ada_7001_file_") is None


@pytest.mark.parametrize(
    ("name", "version"),
    [("a.ipynb", 0), ("a-1.ipynb", 1), ("a (2).ipynb", 2), ("b/a_v3.py", 3), ("week-2024.py", 0)],
)
def test_the_version_of_a_file(name, version):
    assert names.version(name) == version


def test_a_name_is_shown_without_control_and_direction_characters():
    assert names.clean("Ada\u202e\x00 \n Lovelace") == "Ada Lovelace"
    assert names.clean("\x07") == "(no name)"


def test_hidden_folders_caches_and_the_results_are_not_looked_at(tmp_path, temporary):
    for part in (".git", ".ipynb_checkpoints", "__pycache__", "venv", "."):
        (tmp_path / "class/ada" / part).mkdir(parents=True, exist_ok=True)
        (tmp_path / "class/ada" / part / "masks.ipynb").write_text("{}")
    (tmp_path / "class/results").mkdir()
    found = collect([tmp_path / "class"], temporary, tmp_path / "class/results")
    assert [(file.student.name, file.name) for file in found.files] == [("ada", "masks.ipynb")]
    assert found.refused == []


def test_the_courses_own_folders_in_a_clone_are_not_a_students(tmp_path, temporary):
    for part in ("attncourse", "solutions", "exercises"):
        (tmp_path / "class/ada" / part).mkdir(parents=True)
        (tmp_path / "class/ada" / part / "masks.ipynb").write_text("{}")
    found = collect([tmp_path / "class"], temporary)
    assert [file.name for file in found.files] == ["exercises/masks.ipynb"]


def test_links_are_never_followed(tmp_path, temporary):
    (tmp_path / "secret.py").write_text("x = 1")
    (tmp_path / "class/ada").mkdir(parents=True)
    (tmp_path / "class/ada/a.py").symlink_to(tmp_path / "secret.py")
    (tmp_path / "class/ada/b").symlink_to(tmp_path)
    (tmp_path / "class/bob.py").symlink_to(tmp_path / "secret.py")
    os.mkfifo(tmp_path / "class/eve.ipynb")
    found = collect([tmp_path / "class"], temporary)
    assert found.files == []
    assert [(entry.student.name, entry.reason) for entry in found.refused] == [
        ("ada", "a.py is a link"),
        ("ada", "b is a link"),
        ("bob", "bob.py is a link or no regular file"),
        ("eve", "eve.ipynb is a link or no regular file"),
    ]


def test_who_hands_in_nothing_to_grade_is_listed(tmp_path, temporary):
    folder = tmp_path / "class"
    made_class.lay(folder, "moodle", handed(1))
    (folder / "Eve Adams_9_assignsubmission_file_").mkdir()
    (folder / "Eve Adams_9_assignsubmission_file_/essay.pdf").write_text("x")
    (folder / "zed_LATE_12_34_report.docx").write_text("x")
    (folder / "grades.csv").write_text("x")
    found = collect([folder], temporary)
    assert [(entry.student, entry.reason) for entry in found.refused] == [
        (Student("Eve Adams", "9"), "essay.pdf is no notebook and no .py file"),
        (Student("zed", "12"), "report.docx is no notebook and no .py file"),
    ]
    assert found.left_out == ["grades.csv"]


def test_a_folder_of_chapters_is_one_students(tmp_path, temporary):
    (tmp_path / "ada").mkdir()
    for chapter in ("masks", "weighted-mean"):
        (tmp_path / "ada" / f"{chapter}.ipynb").write_text("{}")
    found = collect([tmp_path / "ada"], temporary)
    assert [file.student for file in found.files] == [Student("ada")] * 2


def test_a_students_zip_is_unpacked_once(tmp_path, temporary):
    made_class.lay(tmp_path / "work", "folders", [("a", {"masks.ipynb": "{}"})])
    inner = made_class.zipped(tmp_path / "work", tmp_path / "work/inner.zip")
    assert inner.exists()
    (tmp_path / "class").mkdir()
    name = "lovelaceada_LATE_1_2_work.zip"
    made_class.zipped(tmp_path / "work", tmp_path / "class" / name)
    (tmp_path / "class/bob_3_4_work.zip").write_text("no zip")
    found = collect([tmp_path / "class"], temporary)
    assert [(f.student.name, f.name, f.late) for f in found.files] == [
        ("lovelaceada", "work.zip/work/a/masks.ipynb", True)
    ]
    assert [(entry.student.name, entry.reason) for entry in found.refused] == [
        ("bob", "bob_3_4_work.zip cannot be unpacked: it is not a zip, or it is damaged"),
        ("lovelaceada", "work.zip/work/inner.zip is a zip within a zip"),
    ]
    assert all(file.path.is_relative_to(temporary) for file in found.files)


def test_a_zip_of_the_class_that_is_none_is_refused(tmp_path, temporary):
    (tmp_path / "class.zip").write_text("no zip")
    with pytest.raises(ArchiveError, match=r"^class.zip cannot be unpacked: it is not a zip"):
        collect([tmp_path / "class.zip"], temporary)


def test_no_more_files_of_a_student_than_the_limit(tmp_path, temporary, monkeypatch):
    monkeypatch.setattr(listing, "MOST_FILES", 2)
    made_class.lay(
        tmp_path / "c", "folders", [("ada", dict.fromkeys(("a.py", "b.py", "c.py"), ""))]
    )
    found = collect([tmp_path / "c"], temporary, None, "folders")
    assert [file.name for file in found.files] == ["a.py", "b.py"]
    assert [entry.reason for entry in found.refused] == ["c.py is one of more than 2 files"]
