"""A class from folder to grade: right, the same each time, going on where it stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import made_class
import pytest
from made_class import DIVIDED, SOFTMAX, STUB

from attncourse.grading.classroom import run, schedule, task
from attncourse.grading.classroom.journal import NAME
from attncourse.grading.judge.memory.grading import Memory
from attncourse.grading.judge.zygote import GraderFault

pytestmark = pytest.mark.early

HOSTILE = {
    "loop": "def softmax(x):\n    while True: pass\n",
    "exit": "def softmax(x):\n    import os\n    os._exit(0)\n",
    "raise": "def softmax(x):\n    raise ValueError('<b>no</b>\\u202e')\n",
    "syntax": "def softmax(x):\n",
}


@pytest.fixture
def folder(tmp_path):
    """Three students: right, wrong, not attempted."""
    made = tmp_path / "class"
    made.mkdir()
    for name, text in {"ada": SOFTMAX, "bob": DIVIDED, "eve": STUB}.items():
        (made / f"{name}.py").write_text(text)
    return made


def points(report):
    return {row.student.name: row.points for row in report.book.rows}


def states(report):
    return {row.student.name: row.state for row in report.book.rows}


def counted(report):
    return report.graded, report.known


def test_a_class_is_graded_in_each_of_the_layouts(tmp_path, trusted):
    digests, answers = (
        {},
        [SOFTMAX, DIVIDED, STUB, SOFTMAX + "# mine\n", "my homework", *[STUB] * 5],
    )
    for layout in made_class.LAYOUTS:
        handed = [
            (name, {"answers.py": text})
            for name, text in zip(made_class.people(10), answers, strict=True)
        ]
        if layout == "notebooks":
            handed = [(n, {"a.ipynb": made_class.notebook(f["answers.py"])}) for n, f in handed]
        folder = made_class.lay(tmp_path / layout / "class", layout, handed)
        report = trusted(folder, tmp_path / layout / "out")
        found = sorted((row.points is not None, row.points or 0.0) for row in report.book.rows)
        assert [known for known, _ in found].count(False) == 1  # the homework holds no exercise
        assert [value for _, value in found][-2:] == [100.0, 100.0]
        assert [value for _, value in found].count(0.0) == 8
        digests[layout] = report.book.digest
    assert digests.pop("moodle files") == digests["moodle"]  # the same names and files
    assert len(set(digests.values())) == len(digests)


def test_what_is_hostile_costs_only_itself(tmp_path, folder, graded):
    for name, text in HOSTILE.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "text.ipynb").write_text("my homework")
    (folder / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    (folder / "large.py").write_bytes(b"#" * (8 * 2**20 + 1))
    report = graded(folder, tmp_path / "out")
    assert points(report) == {
        **{"ada": 100.0, "bob": 0.0, "eve": 0.0, "loop": 0.0, "exit": 0.0, "raise": 0.0},
        **{"syntax": None, "text": None, "bytes": None, "large": None},
    }
    notes = {row.student.name: row.notes for row in report.book.rows}
    assert notes["large"] == ["large.py is larger than 8 MiB"]
    assert notes["text"] == ["text.ipynb is not a Jupyter notebook: it is not JSON"]
    assert notes["syntax"][-1] == "syntax.py defines no function of any exercise."
    assert states(report) == {
        **dict.fromkeys(("ada", "bob", "eve", "loop", "exit", "raise"), "graded"),
        **dict.fromkeys(("text", "bytes", "large"), "unreadable"),
        "syntax": "no exercise found",
    }


def test_what_is_known_is_not_graded_again_but_what_changed_is(tmp_path, folder, trusted):
    out = tmp_path / "out"
    first = trusted(folder, out)
    written = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert counted(first) == (3, 0)
    assert counted(trusted(folder, out)) == (0, 3)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == written
    (folder / "bob.py").write_text(SOFTMAX)
    changed = trusted(folder, out)
    assert (counted(changed), points(changed)["bob"]) == ((1, 2), 100.0)
    (folder / "bob.py").write_text(DIVIDED)
    assert (counted(again := trusted(folder, out)), points(again)["bob"]) == ((0, 3), 0.0)
    assert again.book.digest == first.book.digest
    (folder / "eve.py").unlink()
    gone = trusted(folder, out)
    assert sorted(points(gone)) == ["ada", "bob"]
    assert len(list((out / "students").iterdir())) == 2


def test_other_limits_grade_anew_and_say_so(tmp_path, folder, trusted, order):
    out = tmp_path / "out"
    trusted(folder, out)
    report = trusted(folder, out, limits=run.Limits(seconds=3.0))
    assert counted(report) == (3, 0)
    changed = "The course, the limits, the isolation or the secret changed: all was graded anew."
    assert report.notes == [changed]


def test_two_runs_give_the_same_bytes(tmp_path, folder, graded):
    (folder / "eve.py").write_text(HOSTILE["raise"] + "# object at 0x7f0000000000\n")
    (folder / "zoe.py").write_text("def softmax(x):\n    return object()\n")
    (folder / "abe.py").write_text("def softmax(x):\n    raise ValueError(repr(object()))\n")
    for out in ("one", "two"):
        graded(folder, tmp_path / out)
    names = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()]
    for name in names:
        if name.name != "times.jsonl":
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_regrade_takes_a_student_or_an_exercise(tmp_path, folder, trusted):
    out = tmp_path / "out"
    digest = trusted(folder, out).book.digest
    for words, count in (
        (("ada",), 1),
        (("softmax",), 3),
        (("ada", "bob"), 2),
        (("attention",), 0),
    ):
        report = trusted(folder, out, regrade=words)
        assert (report.graded, report.book.digest) == (count, digest)
    with pytest.raises(
        run.ClassError, match="no exercise and no student 'bobb'; did you mean 'bob'?"
    ):
        trusted(folder, out, regrade=("bobb",))


@pytest.mark.parametrize("word", ["Ada Lovelace", "Lovelace, Ada", "lovelace ada", "ada_lovelace"])
def test_regrade_finds_a_name_whichever_part_stands_first(tmp_path, trusted, word):
    names = {"Ada Lovelace": SOFTMAX, "Bob Byron": DIVIDED}
    folder = made_class.lay(
        tmp_path / "class", "folders", [(name, {"a.py": text}) for name, text in names.items()]
    )
    trusted(folder, tmp_path / "out")
    assert trusted(folder, tmp_path / "out", regrade=(word,)).graded == 1


def test_regrade_takes_the_name_of_the_export_or_of_the_file(tmp_path, trusted):
    (tmp_path / "class").mkdir()
    (tmp_path / "class/ada1.py").write_text(SOFTMAX)
    export = tmp_path / "export.csv"
    export.write_text('Student,ID,SIS Login ID,Section,W (1)\n"Lovelace, Ada",1001,ada1,A,\n')
    for word in ("ada1", "1001", "Ada Lovelace", "Lovelace, Ada (1001)"):
        report = trusted(tmp_path / "class", tmp_path / "out", regrade=(word,), canvas=export)
        assert report.graded == 1


def test_a_fault_of_the_grader_is_no_grade_and_is_tried_again(
    tmp_path, folder, graded, monkeypatch
):
    real = Memory.grade

    def failing(memory, submission, worker, exercise):
        if submission.path.name == "bob.py":
            raise GraderFault("no worker can be started")
        return real(memory, submission, worker, exercise)

    monkeypatch.setattr(Memory, "grade", failing)
    report = graded(folder, tmp_path / "out")
    assert states(report) == {"ada": "graded", "bob": "needs-regrade", "eve": "graded"}
    assert points(report)["bob"] is None
    assert "bob,,,needs-regrade,,," in (tmp_path / "out/gradebook.csv").read_text()
    monkeypatch.setattr(Memory, "grade", real)
    report = graded(folder, tmp_path / "out")
    assert (counted(report), states(report)["bob"], points(report)["bob"]) == (
        (1, 2),
        "graded",
        0.0,
    )


def test_the_latest_version_that_was_tried_counts(tmp_path, trusted):
    folder = tmp_path / "class"
    files = {"a.py": DIVIDED, "a-1.py": SOFTMAX, "a-2.py": STUB}
    made_class.lay(folder, "folders", [("ada", files)])
    report = trusted(folder, tmp_path / "out")
    assert points(report) == {"ada": 100.0}
    assert report.book.rows[0].notes == ["a-1.py counts, not a.py: softmax."]


def test_the_same_file_from_two_students_is_told_but_an_untouched_one_is_not(
    tmp_path, folder, trusted
):
    (folder / "zoe.py").write_text(SOFTMAX)
    (folder / "yan.py").write_text(STUB)
    book = trusted(folder, tmp_path / "out").book
    assert [[(s.name, f) for s, f in group] for group in book.duplicates] == [
        [("ada", "ada.py"), ("zoe", "zoe.py")]
    ]


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, folder, trusted):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("x")
    with pytest.raises(
        run.ClassError, match="home is not empty and holds no journal of an earlier"
    ):
        trusted(folder, tmp_path / "home")
    with pytest.raises(run.ClassError, match=r"thesis.tex is a file: --out takes a folder"):
        trusted(folder, tmp_path / "home/thesis.tex")
    (tmp_path / "empty").mkdir()
    with pytest.raises(run.ClassError, match="there is nothing to grade"):
        trusted(tmp_path / "empty", tmp_path / "out")


def test_the_listener_hears_how_far_it_is(tmp_path, folder, trusted):
    heard = []
    trusted(folder, tmp_path / "out", listen=lambda *told: heard.append(told))
    assert heard == [(0, 3, ""), (1, 3, "ada"), (2, 3, "bob"), (3, 3, "eve")]


# killed at any moment

RUN = """
import sys
import time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import made_class
from attncourse.grading.classroom import run, schedule
from attncourse.grading.judge.allowance import Limits
made_class.trust(setattr)
order = run.Order(sys.argv[3], Limits(seconds=2.0))
slow = lambda done, total, whose: time.sleep(0.02)
report = run.grade_class([Path(sys.argv[1])], Path(sys.argv[2]), order, slow, schedule.here)
print(report.graded, report.known, report.book.digest)
"""


def test_killed_at_any_moment_it_loses_no_result_and_goes_on(tmp_path, trusted, order):
    folder, out = tmp_path / "class", tmp_path / "out"
    texts = [f"{(SOFTMAX, DIVIDED, STUB)[i % 3]}# {i}\n" for i in range(16)]
    made_class.lay(folder, "folders", [(f"s{i:02}", {"a.py": t}) for i, t in enumerate(texts)])
    undisturbed = trusted(folder, tmp_path / "undisturbed").book.digest
    (tmp_path / "run.py").write_text(RUN)
    here = Path(__file__).parent
    command = [sys.executable, "run.py", folder, out, order().level, here]
    dice, finished = random.Random(0), 0
    for wanted in (1, 3, 4):
        process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
        deadline = time.monotonic() + 300
        while lines(out) < wanted + finished and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(dice.random() / 20)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = lines(out)
        assert kept > finished
        finished = kept
        with (out / NAME).open("ab") as journal:
            journal.write(b'{"record":{"type":"exer')  # as a crash of the machine leaves it
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    new, known, digest = done.stdout.split()
    assert digest == undisturbed
    assert (int(new) + int(known), int(known)) == (16, finished)
    assert lines(out) == 16


def lines(out):
    """How many submissions the journal closes."""
    path = Path(out) / NAME
    return path.read_bytes().count(b'"type":"submission"') if path.exists() else 0


def test_the_scheduler_may_be_another(tmp_path, folder, trusted):
    taken = []

    def backwards(tasks):
        for one in reversed(list(tasks)):
            taken.append(one.file)
            yield task.grade_submission(one)

    there = trusted(folder, tmp_path / "there", scheduler=backwards)
    here = trusted(folder, tmp_path / "here", scheduler=schedule.here)
    assert taken == ["eve.py", "bob.py", "ada.py"]
    assert there.book.digest == here.book.digest
