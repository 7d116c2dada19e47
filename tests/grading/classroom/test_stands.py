"""Nothing that one student hands in, and nothing that happens meanwhile, stops the others."""

import errno
import json
import os

import made_class
import pytest
import torch
from made_class import DIVIDED, SOFTMAX, notebook

from attncourse.course import source
from attncourse.course.exercise import get
from attncourse.grading.classroom import archive, run, task
from attncourse.grading.classroom.files import WriteError
from attncourse.grading.classroom.journal import JournalError
from attncourse.grading.classroom.published import is_solution
from attncourse.grading.classroom.records import _number

LARGEST = torch.finfo(torch.float64).max
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def folder(tmp_path):
    """Three students."""
    made = tmp_path / "class"
    made.mkdir()
    for name in ("ada", "bob", "cleo"):
        (made / f"{name}.py").write_text(f"{SOFTMAX}# {name}\n")
    return made


def points(report):
    return {row.student.name: row.points for row in report.book.rows}


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, float("inf"), -float("inf"), float("nan")])
def test_numbers_without_json_are_kept_and_drawn(tmp_path, folder, trusted, number):
    (folder / "bob.py").write_text(f"def softmax(x):\n    return x * 0 + float('{number}')\n")
    out = tmp_path / "out"
    report = trusted(folder, out)
    assert points(report) == {"ada": 100.0, "bob": 0.0, "cleo": 100.0}
    assert "<svg" in (out / "students/bob.html").read_text()
    assert trusted(folder, out).graded == 0
    json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


def test_the_largest_numbers_do_not_round_to_infinity():
    for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for number in (torch.finfo(kind).max, torch.finfo(kind).min):
            assert _number(number) == pytest.approx(number, rel=1e-3)


def test_a_record_that_is_none_costs_only_its_own_submission(
    tmp_path, folder, trusted, monkeypatch
):
    real = task.grade_submission

    def spoilt(one):
        graded = real(one)
        if one.file == "bob.py":
            graded.exercises[0]["passed"] = float("nan")
        return graded

    report = trusted(folder, tmp_path / "out", scheduler=lambda tasks: map(spoilt, tasks))
    assert points(report) == {"ada": 100.0, "bob": None, "cleo": 100.0}
    assert trusted(folder, tmp_path / "out").graded == 1


@pytest.mark.parametrize("what", ["deleted", "changed", "linked"])
def test_what_is_gone_during_the_run_is_said_and_the_others_are_graded(
    tmp_path, folder, trusted, what
):
    def meanwhile(tasks):
        for one in tasks:
            if one.file == "ada.py":
                (folder / "bob.py").unlink()
                if what == "changed":
                    (folder / "bob.py").write_text(DIVIDED)
                elif what == "linked":
                    (folder / "bob.py").symlink_to("/etc/passwd")
            yield task.grade_submission(one)

    report = trusted(folder, tmp_path / "out", scheduler=meanwhile)
    assert points(report) == {"ada": 100.0, "bob": None, "cleo": 100.0}
    assert (report.graded, report.book.rows[1].state) == (2, "needs-regrade")
    told = {
        "deleted": "bob.py cannot be read: No such file or directory",
        "changed": "bob.py changed while the class was graded",
        "linked": "bob.py is a link",
    }
    assert told[what] in (tmp_path / "out/class.html").read_text()


def test_a_full_disk_is_said_with_the_file_and_loses_nothing(
    tmp_path, folder, trusted, monkeypatch
):
    out, count, real = tmp_path / "out", [], os.fsync

    def full(handle):
        count.append(handle)
        if len(count) == 3:
            raise FULL
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError) as told:
        trusted(folder, out)
    monkeypatch.undo()
    assert str(told.value) == (
        f"{out}/journal.jsonl cannot be written: No space left on device; what is graded is kept, "
        "and the same command goes on when that is mended"
    )
    report = trusted(folder, out)
    assert (report.graded + report.known, points(report)["cleo"]) == (3, 100.0)
    assert report.known >= 1


def test_a_report_that_cannot_be_written_is_named(tmp_path, folder, trusted):
    trusted(folder, tmp_path / "out")
    (tmp_path / "out/gradebook.csv").unlink()
    (tmp_path / "out/gradebook.csv").mkdir()
    with pytest.raises(WriteError, match=r"out/gradebook.csv cannot be written: Is a directory; "):
        trusted(folder, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*.tmp"))


def test_a_zip_for_which_there_is_no_room_is_not_the_students_fault(
    tmp_path, folder, trusted, monkeypatch
):
    work = made_class.lay(tmp_path / "work", "folders", [("dan", {"a.py": SOFTMAX})])
    made_class.zipped(work, folder / "dan.zip")

    def full(*told):
        raise FULL

    monkeypatch.setattr(archive, "_write", full)
    with pytest.raises(WriteError, match="No space left on device; what is graded is kept"):
        trusted(folder, tmp_path / "out")


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, trusted, monkeypatch):
    (tmp_path / "class").mkdir()

    def denied(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("attncourse.grading.classroom.layouts.os.listdir", denied)
    with pytest.raises(run.ClassError, match=r"class cannot be read: Permission denied$"):
        trusted(tmp_path / "class", tmp_path / "out")


def test_a_students_folder_that_cannot_be_listed_costs_only_them(tmp_path, trusted, monkeypatch):
    folder = made_class.lay(
        tmp_path / "class", "folders", [(name, {"a.py": SOFTMAX}) for name in ("ada", "bob")]
    )
    real = os.listdir

    def denied(path):
        if str(path).endswith("/bob"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr("attncourse.grading.classroom.layouts.os.listdir", denied)
    report = trusted(folder, tmp_path / "out")
    assert points(report) == {"ada": 100.0, "bob": None}
    assert report.book.rows[1].notes == ["bob: Permission denied"]


# what is worth a look


def test_published_solutions_are_listed(tmp_path, graded):
    solution = get("softmax").solution
    needed = [source.whole(f) for f in source.needs(solution)]
    head = "import torch\nfrom jaxtyping import Float\nfrom torch import Tensor\n\n\n"
    whole = head + "\n\n".join([*needed, source.whole(solution)])
    renamed = whole.replace("exponentials", "e").replace("wide", "w").replace("  # ", "  #  ")
    folder = tmp_path / "class"
    folder.mkdir()
    texts = {"ada": SOFTMAX, "bob": whole, "cleo": renamed + "# mine\n", "dan": DIVIDED}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    kind = {"attncourse": {"chapter": "x", "kind": "solutions"}}
    (folder / "eve.ipynb").write_text(notebook(SOFTMAX, **kind))
    report = graded(folder, tmp_path / "out")
    page = (tmp_path / "out/class.html").read_text()
    part = page.partition("Published solutions")[2].partition("</details>")[0]
    for name, listed in {"ada": 0, "bob": 1, "cleo": 1, "dan": 0, "eve": 1}.items():
        assert (f">{name}<" in part) == bool(listed), name
    assert points(report)["bob"] == 100.0
    assert "eve.ipynb is the course&#39;s own notebook of solutions." in part


@pytest.mark.parametrize("name", ["softmax", "fix_attention"])
def test_a_published_solution_is_known_under_the_name_of_its_exercise(name):
    solution = source.whole(get(name).solution, name=name)
    assert is_solution(name, solution.splitlines())
    assert not is_solution(name, source.stub(get(name).solution, name=name).splitlines())


def test_what_went_wrong_is_listed_by_its_kind(tmp_path, graded):
    folder = tmp_path / "class"
    folder.mkdir()
    texts = {
        "loop": "def softmax(x):\n    while True: pass\n",
        "exit": "def softmax(x):\n    import os\n    os._exit(3)\n",
        "raise": "def softmax(x):\n    raise ValueError('no')\n",
        "forbidden": "def softmax(x):\n    return x.softmax(-1)\n",
        "right": SOFTMAX,
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    graded(folder, tmp_path / "out", exercises=("softmax",))
    page = (tmp_path / "out/class.html").read_text()
    look = page.partition('id="look"')[2].partition("</section>")[0]
    found = {
        heading: [name for name in texts if f">{name}<" in part]
        for heading in ("Forbidden calls", "Stopped by a limit", "Exceptions")
        if (part := look.partition(heading)[2].partition("</details>")[0])
    }
    assert found == {
        "Forbidden calls": ["forbidden"],
        "Stopped by a limit": ["loop", "exit"],
        "Exceptions": ["raise"],
    }
    assert 'href="students/loop.html#softmax"' in look


def test_a_function_that_is_not_there_is_listed(tmp_path, graded):
    folder = tmp_path / "class"
    folder.mkdir()
    wanted = {"attncourse": {"chapter": "masks"}}
    (folder / "ada.ipynb").write_text(notebook("def causal_masks(n, m):\n    return 1", **wanted))
    graded(folder, tmp_path / "out")
    page = (tmp_path / "out/class.html").read_text()
    part = page.partition("Functions that are not there")[2].partition("</details>")[0]
    assert "there is no `causal_mask`, but `causal_masks` takes the same arguments" in part
    assert "ada.ipynb defines no function masked_softmax." in part
