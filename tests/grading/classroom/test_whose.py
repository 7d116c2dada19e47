"""Whose a file is, by its name beside the names of the others; who is one, and who is two."""

import re

import made_class
import pytest

from attncourse.grading.classroom import names, roster, whose
from attncourse.grading.classroom.handed import UnclearError
from attncourse.grading.classroom.layouts import collect
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.pages.naming import page_names
from attncourse.grading.classroom.roster import Person

CHAPTERS = ("masks", "weighted-mean", "scores-and-scaling")


@pytest.fixture
def found(tmp_path):
    """What is found in a folder of these files, each empty or with a text."""
    (tmp_path / "temporary").mkdir()

    def collected(*files, folder="class", layout="auto"):
        for file in files:
            path = tmp_path / "class" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x = 1")
        return collect([tmp_path / folder], tmp_path / "temporary", None, layout)

    return collected


def students(collected):
    return sorted({str(file.student) for file in collected.files})


# a flat folder


@pytest.mark.parametrize(
    "form", ["{who} - {what}", "{who}_{what}", "{what} {who}", "{what}--{who}", "{who}. {what} (2)"]
)
def test_a_chapter_beside_a_name_is_not_part_of_it(found, form):
    people = made_class.people(40)
    files = [f"{form.format(who=who, what=what)}.ipynb" for who in people for what in CHAPTERS]
    collected = found(*files[:-1])  # the last of them forgot one
    assert len(collected.files) == 119
    assert students(collected) == sorted(people)


@pytest.mark.parametrize(
    "form", ["{who} - sheet{n}", "{who}_part {n}", "sheet{n}_{who}", "lab{n}-{who}"]
)
def test_what_several_share_is_the_work_and_what_is_left_the_student(found, form):
    files = [form.format(who=who, n=n) + ".py" for who in ("ann", "ben") for n in (1, 2)]
    assert students(found(*files)) == ["ann", "ben"]


@pytest.mark.parametrize(
    "files",
    [
        ("student-1.py", "student-2.py", "student-3.py"),
        ("student (1).py", "student (2).py", "student (3).py"),
        ("a-b.py", "a-c.py", "b-c.py", "b-b.py"),
        ("Ada Byron.py", "Ada Lovelace.py"),
        ("ada.py", "bob.py", "cleo_2.py"),
        ("Copyist.py", "Kopia.py"),
    ],
)
def test_without_a_reason_no_two_files_are_one_students(found, files):
    assert len(students(found(*files))) == len(files)


def test_a_copy_from_a_drive_is_of_the_same_student(found):
    files = ("Ada - masks.ipynb", "Copy of Ada - masks.ipynb", "Kopie von Bob - masks.ipynb")
    assert students(found(*files)) == ["Ada", "Bob"]


def test_a_version_is_one_only_beside_the_file_itself(found):
    assert students(found("ada.py", "ada-1.py", "bob-1.py", "cleo (2).py")) == [
        "ada",
        "bob-1",
        "cleo (2)",
    ]


def test_names_that_only_look_like_canvas_are_none(found):
    assert students(found("sheet_2_1_ann.py", "sheet_2_1_ben.py", "sheet_2_2_cleo.py")) == [
        "sheet_2_1_ann",
        "sheet_2_1_ben",
        "sheet_2_2_cleo",
    ]
    told = whose.of_files(["sheet_2_1_ann.py", "sheet_2_1_ben.py"])
    assert [one.student.name for one in told.values()] == ["ann", "ben"]
    told = whose.of_files(["lab_1_1_ann.py", "lab_1_2_ben.py"])
    assert [one.student.name for one in told.values()] == ["lab_1_1_ann", "lab_1_2_ben"]


def test_canvas_stays_canvas_with_several_files_and_a_second_download():
    names_ = [
        "lovelaceada_1001_5001_masks.ipynb",
        "lovelaceada_1001_5002_weighted-mean.ipynb",
        "lovelaceada_1001_5002_weighted-mean (1).ipynb",
        "king_noel_LATE_1002_5003_masks.ipynb",
    ]
    told = whose.of_files(names_)
    assert [one.student for one in told.values()] == [
        *[Student("lovelaceada", "1001")] * 3,
        Student("king_noel", "1002"),
    ]
    assert told[names_[3]].late is True


def test_canvas_without_names_tells_its_anonymous_ones():
    told = names.canvas("LATE_anon_x1Y2z_5001_masks.ipynb")
    assert (told.student, told.name, told.late) == (Student("anon_x1Y2z"), "masks.ipynb", True)
    assert names.canvas("anon_x1Y2z_5002_2_b.ipynb").student == Student("anon_x1Y2z")
    assert names.canvas("anon_1001_5001_masks.ipynb").student == Student("anon", "1001")


def test_what_nbgrader_collected_is_told_by_its_folders(found):
    collected = found(
        "ada+week-2+2024-05-01 10:20:30.123456 UTC/masks.ipynb",
        "ada+week-2+2024-05-02 10:20:30.123456 UTC/masks.ipynb",
        "ada+week-2+2024-05-02 10:20:30.123456 UTC/timestamp.txt",
        "bob+week-2+2024-05-01 10:20:30.123456 UTC+x7/masks.ipynb",
    )
    assert students(collected) == ["ada", "bob"]
    assert (collected.refused, collected.left_out) == ([], [])
    assert collected.files[0].rank < collected.files[1].rank


def test_what_blackboard_wrote_is_told_by_its_names(found):
    first, second = (f"Week 2_ada_attempt_2024-05-0{day}-10-20-30" for day in (1, 2))
    collected = found(f"{first}_masks.ipynb", f"{second}_masks.ipynb", f"{second}.txt")
    assert students(collected) == ["ada"]
    assert collected.files[0].rank < collected.files[1].rank
    assert (collected.refused, collected.left_out) == ([], [])


def test_a_zip_of_the_class_within_a_zip_or_folder_is_no_student(found, tmp_path):
    found("Ada Byron_7001_assignsubmission_file_/a.py", "Bob_7002_assignsubmission_file_/a.py")
    (tmp_path / "outer").mkdir()
    made_class.zipped(tmp_path / "class", tmp_path / "outer/week-2.zip")
    assert students(found(folder="outer")) == ["Ada Byron (7001)", "Bob (7002)"]
    path = made_class.zipped(tmp_path / "outer", tmp_path / "outer.zip")
    collected = collect([path], tmp_path / "temporary/again")
    assert students(collected) == ["Ada Byron (7001)", "Bob (7002)"]


def test_a_zip_of_one_student_is_theirs(found, tmp_path):
    (tmp_path / "work").mkdir()
    for name in ("Ada - masks.py", "Ada - softmax.py", "notes.py"):
        (tmp_path / "work" / name).write_text("x = 1")
    (tmp_path / "class").mkdir()
    made_class.zipped(tmp_path / "work", tmp_path / "class/Ada.zip")
    assert students(found("Bob.py")) == ["Ada", "Bob"]


# names that look the same


def test_a_name_with_characters_that_are_not_seen_replaces_no_one(found):
    collected = found("ada.py", "ad\u200ba.py", "zoë.py", "zoe\u0308.py", "eve\u200d.py")
    assert students(collected) == ["ada", "ad⟨U+200B⟩a", "eve", "zoe⟨U+0308⟩", "zoë"]
    assert collected.apart == [
        "2 students are called ada: ada, ad⟨U+200B⟩a.",
        "2 students are called zoë: zoë, zoe⟨U+0308⟩.",
    ]


def test_two_of_one_name_in_two_sections_are_two(found):
    files = [f"{s}/{who}/masks.ipynb" for s in "AB" for who in ("Ada", f"Bob {s}")]
    collected = found(*files, layout="sections")
    assert students(collected) == ["Ada [A]", "Ada [B]", "Bob A", "Bob B"]
    assert collected.apart == ["2 students are called Ada: Ada [A], Ada [B]."]


def test_a_number_is_the_same_whatever_stands_before_it(found):
    collected = found(
        "A/Ada_7001_assignsubmission_file_/a.py", "B/Ada_7001_assignsubmission_file_/b.py"
    )
    assert students(collected) == ["Ada (7001)"]


# folders


@pytest.mark.parametrize(
    "files",
    [
        [f"submissions/s{i:02}.ipynb" for i in range(32)],
        [f"submissions/s{i:02}/masks.ipynb" for i in range(32)],
        [f"{section}/{section}{i}.py" for section in "AB" for i in range(4)],
        [f"{section}/{section}{i}/masks.ipynb" for section in "AB" for i in range(4)],
    ],
)
def test_a_folder_that_may_be_a_class_is_asked_for(found, files):
    with pytest.raises(UnclearError) as asked:
        found(*files)
    assert str(asked.value).endswith("hold a class, or one student's work?")
    options = [(choice.option, choice.value) for choice in asked.value.choices]
    assert options == [("layout", "sections"), ("layout", "folders")]
    assert len(students(found(layout="sections"))) == len(files)
    assert len(students(found(layout="folders"))) == len({file.split("/")[0] for file in files})


@pytest.mark.parametrize(
    "files",
    [
        ["x/lovelaceada_1001_5001_masks.ipynb", "x/turingbob_1002_5002_masks.ipynb"],
        ["x/Ada_7001_assignsubmission_file_/a.py", "x/Bob_7002_assignsubmission_file_/a.py"],
        ["x/submitted/ada/week/a.py", "x/submitted/bob/week/a.py"],
        ["x/Ada - masks.ipynb", "x/Bob - masks.ipynb"],
    ],
)
def test_a_folder_too_high_is_seen_where_names_tell(found, files):
    assert len(students(found(*files))) == 2


@pytest.mark.parametrize(
    "files",
    [
        ["ada/masks.ipynb"],
        ["ada/masks.ipynb", "ada/weighted-mean.ipynb", "ada/masks-1.ipynb"],
        ["ada/exercises/masks.ipynb", "ada/solutions/masks.ipynb"],
        ["ada/week-1/a.py", "ada/week-2/a.py", "bob/week-1/a.py", "bob/week-2/a.py"],
        ["ada/answer.py", "ada/tests.py", "bob/answer.py"],
        ["ada/answer.py", "bob/one.py", "bob/two.py", "bob/three.py"],
    ],
)
def test_folders_of_students_are_not_asked_about(found, files):
    assert students(found(*files)) == sorted({file.split("/")[0] for file in files})


def test_the_results_of_an_earlier_run_are_no_student(found, tmp_path):
    for name in ("journal.jsonl", "times.jsonl", "gradebook.csv"):
        (tmp_path / "class/results").mkdir(parents=True, exist_ok=True)
        (tmp_path / "class/results" / name).write_text("")
    collected = found("ada.py", "bob.py")
    assert students(collected) == ["ada", "bob"]
    assert collected.refused == []
    assert collected.left_out == ["results/ (results of an earlier run)"]


# names of files


def test_files_by_other_names_are_read_or_named(found):
    long = "x" * 150
    collected = found(
        *("ada/A.PY", "bob/masks.ipynb.txt", f"cleo/{long}.ipynb", "dan/work.rar", "eve/a.pdf"),
        "flo/masks.ipynb",
        "flo/report.docx",
    )
    assert [(f.student.name, f.name) for f in collected.files] == [
        ("ada", "A.PY"),
        ("bob", "masks.ipynb.txt"),
        ("cleo", f"{'x' * 69}…{'x' * 24}.ipynb"),
        ("flo", "masks.ipynb"),
    ]
    assert [(r.student.name, r.reason) for r in collected.refused] == [
        ("dan", "work.rar is packed in a way that is not opened: a zip is"),
        ("eve", "a.pdf is no notebook and no .py file"),
        ("flo", "report.docx is no notebook and no .py file"),
    ]


@pytest.mark.parametrize(
    "files",
    [
        ("Ada.py", "ada.py", "ADA.py"),
        ("李明.ipynb", "王芳.ipynb", "محمد.ipynb", "🦉.ipynb"),
        ("softmax.py", "attention.py"),
        ("Ada\nLovelace.py", "Ada  Lovelace.py", "Ada Lovelace.py", " Ada Lovelace.py"),
        ("o'neill.py", "O’Neill.py", "-rf.py", "=1+1.py", "con.py"),
        ("a.b.py", "a.py", "b.ipynb.json", "b.ipynb"),
    ],
)
def test_odd_names_are_each_someone_and_have_a_page_of_their_own(found, files):
    collected = found(*files)
    assert len(collected.files) == len(files)
    assert len(students(collected)) == len(set(files) - {"b.ipynb.json"})
    pages = page_names(file.student for file in collected.files)
    assert len(set(pages.values())) == len(students(collected))
    assert all(re.fullmatch(r"[a-z0-9-]+\.html", name) for name in pages.values())


# names from Canvas or Moodle

PEOPLE = [
    Person("Lovelace, Ada", "1001", frozenset({"ada1"})),
    Person("Ångström, Jörg", "1002", frozenset({"joerg"})),
    Person("Curie, Marie Skłodowska", "1003"),
    Person("Smith, John", "1004"),
    Person("Smith, John", "1005"),
]


@pytest.mark.parametrize(
    ("student", "number"),
    [
        (Student("Ada Lovelace"), "1001"),
        (Student("Lovelace, Ada"), "1001"),
        (Student("lovelaceada"), "1001"),
        (Student("ada_lovelace"), "1001"),
        (Student("ada1"), "1001"),
        (Student("someone", "1001"), "1001"),
        (Student("Jorg Angstrom"), "1002"),
        (Student("Marie Skłodowska Curie"), "1003"),
        (Student("John Smith"), None),
        (Student("Ada"), None),
        (Student("(no name)"), None),
    ],
)
def test_a_student_is_found_in_the_export_or_nobody_is(student, number):
    matched = roster.match(PEOPLE, [student]).get(student)
    assert (matched.number if matched else None) == number


def test_two_students_are_never_one_line_of_the_export():
    both = [Student("Ada Lovelace"), Student("lovelaceada")]
    assert roster.match(PEOPLE, both) == {}
    sure = [Student("Ada Lovelace"), Student("x", "1001")]
    assert list(roster.match(PEOPLE, sure)) == [Student("x", "1001")]
