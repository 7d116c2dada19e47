"""The tables and files, read back as the systems that take them read them."""

import csv
import io
import json
from xml.etree import ElementTree

import jsonschema
import made_class
import pytest
from made_class import DIVIDED, SOFTMAX, STUB

from attncourse.course.exercise import get
from attncourse.grading.classroom import weights
from attncourse.grading.classroom.exports import canvas, moodle, results
from attncourse.grading.classroom.exports.canvas import ExportError
from attncourse.grading.classroom.files import cell, table
from attncourse.grading.classroom.weights import WeightsError
from attncourse.grading.classroom.words import without_expected

CHECKS = len(get("softmax").checks)
RAISES = "def softmax(x):\n    raise ValueError('<script>alert(1)</script>')\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory, trusted):
    """A class in Canvas's layout and the same in Moodle's, with their results."""
    root = tmp_path_factory.mktemp("exports")
    texts = [
        SOFTMAX,
        DIVIDED,
        STUB,
        SOFTMAX + "#\n",
        RAISES,
        *[DIVIDED + f"#{i}\n" for i in range(5)],
    ]
    handed = [(n, {"a.py": t}) for n, t in zip(made_class.people(10), texts, strict=True)]
    export = root / "export.csv"
    export.write_text(EXPORT)
    found = {}
    for layout in ("canvas", "moodle"):
        folder = made_class.lay(root / layout / "class", layout, handed)
        if layout == "canvas":
            (folder / "=cmd|' C calc'!A0_1999_2999_a.ipynb").write_text("my homework")
        out = root / layout / "out"
        scheme = weights.Scheme("Week 2", 20, "", {"softmax": 3, "attention": 1})
        change = {"canvas": export if layout == "canvas" else None}
        found[layout] = (trusted(folder, out, scheme=scheme, **change), out)
    return found


EXPORT = (
    "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Week 1 (11),Week 2 (12),Final Score\n"
    ",,,,,Manual Posting,,\n"
    "    Points Possible,,,,,10,40,(read only)\n"
    '"Lovelace, Ada",1001,s1,ada,A,7,,50\n'
    '"Lovelace, Bert",,s2,bert,A,7,,50\n'
    '"Lovelace, Chloé",9,s3,chloe,A,7,,50\n'
    '"Nobody, Here",77,s4,nobody,"=1+1",7,3.5,50\n'
)


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_the_gradebook_has_a_line_for_each_student(written):
    _, out = written["canvas"]
    found = {row["student"]: row for row in rows(out / "gradebook.csv")}
    assert len(found) == 11
    ada = found["Lovelace, Ada"]
    assert list(ada) == [
        *("student", "number", "late", "state", "softmax", "attention"),
        *("points", "points_possible", "percent", "files", "notes"),
    ]
    assert list(ada.values()) == (
        ["Lovelace, Ada", "1001", "no", "graded", "15", "0", "15", "20", "75", "a.py", ""]
    )
    assert found["lovelacedan"]["late"] == "yes"
    strange = found["'=cmd|' C calc'!A0"]
    assert (strange["state"], strange["points"], strange["softmax"]) == ("unreadable", "", "")
    assert strange["notes"] == "a.ipynb is not a Jupyter notebook: it is not JSON"


def test_canvas_gets_its_own_export_back_with_one_column_filled(written):
    report, out = written["canvas"]
    found = list(csv.reader(io.StringIO((out / "canvas.csv").read_text())))
    assert found[0] == [*canvas.COLUMNS, "Week 2 (12)"]
    assert found[1] == ["", "", "", "", "", ""]
    assert found[2] == ["    Points Possible", "", "", "", "", "40"]
    assert found[3] == ["Lovelace, Ada", "1001", "s1", "ada", "A", "30"]
    assert found[6] == ["Nobody, Here", "77", "s4", "nobody", "'=1+1", "3.5"]
    stranger, absent = report.notes
    assert stranger.startswith("export.csv does not name: =")
    assert "Ada" not in stranger
    assert absent == "1 of 3 in the course handed in nothing: Nobody, Here."


def test_canvas_knows_a_student_by_number_login_or_name(tmp_path, trusted):
    names = {"ada": SOFTMAX, "Bert Lovelace": SOFTMAX + "#", "lovelacechloé": SOFTMAX + "##"}
    for name, text in names.items():
        (tmp_path / "class").mkdir(exist_ok=True)
        (tmp_path / "class" / f"{name}.py").write_text(text)
    (tmp_path / "export.csv").write_text(
        EXPORT.replace("Lovelace, Bert", "BertLovelace").replace(",,s2", ",8,s2")
    )
    scheme = weights.Scheme("Week 2")
    report = trusted(
        tmp_path / "class", tmp_path / "out", scheme=scheme, canvas=tmp_path / "export.csv"
    )
    found = list(csv.reader(io.StringIO((tmp_path / "out/canvas.csv").read_text())))
    assert [row[-1] for row in found[3:]] == ["40", "40", "40", "3.5"]
    assert report.notes == ["1 of 4 in the course handed in nothing: Nobody, Here."]


def test_canvas_may_export_with_semicolons(written, tmp_path):
    lines = csv.reader(io.StringIO(EXPORT))
    with (tmp_path / "export.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    text, _ = canvas.text(written["canvas"][0].book, tmp_path / "export.csv")
    filled = (written["canvas"][1] / "canvas.csv").read_text(encoding="utf-8")
    assert text.splitlines() == filled.splitlines()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n", "export.csv is not Canvas's export: it lacks Student, ID or Section"),
        ("", "export.csv is not Canvas's export: it lacks Student, ID or Section"),
        ('Student,ID,Section\n"', "export.csv is not a CSV file in UTF-8"),
        (
            EXPORT.replace("Week 2", "Other"),
            'export.csv: which column is this assignment\'s? Say canvas = "Name (id)" in the file '
            "of --weights; there are: 'Week 1 (11)', 'Other (12)'",
        ),
    ],
)
def test_an_export_that_cannot_be_filled_is_refused(written, tmp_path, text, sentence):
    (tmp_path / "export.csv").write_text(text)
    with pytest.raises(ExportError) as refusal:
        canvas.text(written["canvas"][0].book, tmp_path / "export.csv")
    assert str(refusal.value).replace(f"{tmp_path}/", "") == sentence


def test_moodle_always_gets_a_grade_and_feedback(written):
    _, out = written["moodle"]
    found = rows(out / "moodle.csv")
    assert len(found) == 10
    assert list(found[0]) == [
        *("Identifier", "Full name", "Grade", "Maximum grade"),
        *("Last modified (grade)", "Feedback comments"),
    ]
    assert all(row["Grade"] and row["Feedback comments"] for row in found)
    bert = next(row for row in found if row["Full name"] == "Bert Lovelace")
    assert (bert["Identifier"], bert["Grade"]) == ("Participant 7002", "0")
    words = bert["Feedback comments"]
    assert words.startswith(f"0 of 20 points<br>\n✘ softmax: 0 of {CHECKS} checks passed<br>\n")
    assert "You divided the scores by their sum." in words
    assert words.endswith("○ attention: not handed in")


WORKSHEET = (
    "Identifier,Full name,Status,Grade,Maximum grade,Last modified (grade),Feedback comments\n"
    "Participant 7001,Ada Lovelace,Submitted,,50.00,-,\n"
    "Participant 7099,Nobody Here,,3.00,50.00,-,well\n"
)


def test_a_worksheet_that_was_downloaded_is_filled_and_nothing_else_is_changed(written, tmp_path):
    (tmp_path / "w.csv").write_text(WORKSHEET)
    report, _ = written["moodle"]
    text, notes = moodle.text(report.book, tmp_path / "w.csv")
    header, ada, nobody = csv.reader(io.StringIO(text))
    assert ",".join(header) + "\n" == WORKSHEET.splitlines(keepends=True)[0]
    assert ada[:6] == ["Participant 7001", "Ada Lovelace", "Submitted", "37.5", "50.00", "-"]
    assert ada[6].startswith("15 of 20 points<br>")
    assert nobody == ["Participant 7099", "Nobody Here", "", "3.00", "50.00", "-", "well"]
    assert notes[0].startswith("moodle.csv leaves out, for want of a grade: Bert")
    (tmp_path / "w.csv").write_text("a,b\n")
    with pytest.raises(ExportError, match="w.csv is not Moodle's grading worksheet: it lacks one"):
        moodle.text(report.book, tmp_path / "w.csv")


SPLIT = (
    "LastName,FirstName,ID,SIS Login ID,Section,Week 2 (12),Final Score\n"
    ",,,,,Manual Posting,\n"
    "    Points Possible,,,,,40,(read only)\n"
    "Lovelace,Ada,1001,ada,A and B,,\n"
)


def test_an_export_with_last_and_first_names_is_filled_as_canvas_takes_it(written, tmp_path):
    (tmp_path / "export.csv").write_text(SPLIT)
    text, _ = canvas.text(written["canvas"][0].book, tmp_path / "export.csv")
    found = list(csv.reader(io.StringIO(text)))
    assert found[0] == ["LastName", "FirstName", "ID", "SIS Login ID", "Section", "Week 2 (12)"]
    assert found[2][0] == "    Points Possible"
    assert found[3] == ["Lovelace", "Ada", "1001", "ada", "A and B", "30"]


def test_tables_for_people_say_that_they_are_utf_8_and_imports_do_not(written):
    for name in ("gradebook.csv", "similarity.csv"):
        assert (written["canvas"][1] / name).read_bytes().startswith(b"\xef\xbb\xbf")
    assert (written["canvas"][1] / "canvas.csv").read_bytes().startswith(b"Student,ID")
    assert (written["moodle"][1] / "moodle.csv").read_bytes().startswith(b"Identifier,")


def test_names_of_the_export_stand_on_every_page(written):
    out = written["canvas"][1]
    page = (out / "students/lovelace-ada-1001.html").read_text()
    assert "<h1>Lovelace, Ada</h1>" in page
    assert "Lovelace, Ada (1001)" in (out / "class.html").read_text()


def test_what_moodle_shows_as_a_page_holds_no_code_of_a_submission(written, monkeypatch):
    monkeypatch.setattr(moodle, "feedback", lambda book, row: "<script>a & b</script>\n1 < 2")
    text, _ = moodle.text(written["moodle"][0].book)
    assert "&lt;script&gt;a &amp; b&lt;/script&gt;<br>\n1 &lt; 2" in text
    assert "<script" not in text


def test_junit_has_a_case_for_every_check(written):
    _, out = written["canvas"]
    root = ElementTree.parse(out / "junit.xml").getroot()
    cases = list(root.iter("testcase"))
    assert root.tag == "testsuites"
    assert len(cases) == 10 * CHECKS + 1
    assert root.get("tests") == str(len(cases))
    assert root.get("errors") == "1"
    assert root.get("failures") == str(len(list(root.iter("failure"))))
    right = [case for case in cases if case.get("classname") == "Lovelace, Ada (1001).softmax"]
    assert [list(case) for case in right] == [[]] * CHECKS


def test_the_json_follows_its_schema(written):
    schema = results.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for report, out in written.values():
        found = json.loads((out / "results.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(found)
        assert found == results.document(report.book)
        assert found["digest"] == report.book.digest
        for changed in ({"version": 2}, {"extra": 1}, {"digest": "x"}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(found | changed, schema)


def test_the_json_says_what_was_found(written):
    found = json.loads((written["canvas"][1] / "results.json").read_text())
    bert = next(s for s in found["students"] if s["student"] == "lovelacebert")
    softmax, attention = bert["exercises"]
    assert softmax["state"] == "failed"
    assert softmax["checks"][0]["misconception"]["name"] in get("softmax").wrong
    assert len(softmax["figure"]["values"]) == softmax["figure"]["shape"][0] == 5
    assert (attention["state"], attention["file"]) == ("not attempted", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\r="])
def test_no_cell_is_a_formula(start):
    (made,) = csv.reader(io.StringIO(table([[f"{start}1+1", -1.5, None, "a=b"]])))
    assert made[0].startswith("'") or made[0].lstrip()[0] not in "=+-@"
    assert made[1:] == ["-1.5", "", "a=b"]
    assert cell("-") == "-"


def test_cells_hold_no_control_and_no_direction_characters():
    assert cell("a\x00b\u202ec\nd\u200b") == "abc\nd"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("yours is False, expected True.", "yours is False."),
        ("Yours is 0.5, expected 1.25e-05.", "Yours is 0.5."),
        ("yours is 2, expected -3. More.", "yours is 2. More."),
        ("it is 'a', expected 'b'.", "it is 'a'."),
        ("it is the int 3, expected the int 4.", "it is the int 3."),
        ("it is 1, expected -inf.", "it is 1."),
        ("got None; expected a tensor of shape (5, 6).",) * 2,
    ],
)
def test_a_learner_is_not_told_the_expected_value(message, shown):
    assert without_expected(message) == shown


# weights


def test_a_scheme_is_read_from_toml(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text('title = "Week 2"\npoints = 20\n[weights]\nsoftmax = 1\nattention = 0.5\n')
    assert weights.read(path) == weights.Scheme("Week 2", 20, "", {"softmax": 1, "attention": 0.5})
    assert weights.read(None) == weights.Scheme()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "x",
            "w.toml is not TOML: Expected '=' after a key in a key/value pair (at end of document)",
        ),
        ("late = 1", "w.toml: there is no 'late': there are title, points, canvas, weights"),
        ("title = 1", "w.toml: title must not be 1"),
        ("points = true", "w.toml: points must not be True"),
        ("points = 0", "w.toml: points must be above 0: got 0"),
        (
            "[weights]\nsoftmx = 1",
            "w.toml: there is no exercise 'softmx'; did you mean 'softmax'?",
        ),
        (
            "[weights]\nsoftmax = -1",
            "w.toml: a weight must be a number of at least 0: got softmax = -1",
        ),
        (
            "[weights]\nsoftmax = nan",
            "w.toml: a weight must be a number of at least 0: got softmax = nan",
        ),
        ("[weights]\nsoftmax = 0", "w.toml: one weight at least must be above 0"),
    ],
)
def test_a_scheme_that_makes_no_sense_is_refused(tmp_path, text, sentence):
    (tmp_path / "w.toml").write_text(text)
    with pytest.raises(WeightsError) as refusal:
        weights.read(tmp_path / "w.toml")
    assert str(refusal.value).replace(f"{tmp_path}/", "") == sentence


def test_missing_weights_are_said(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read: No such file or directory"):
        weights.read(tmp_path / "w.toml")
