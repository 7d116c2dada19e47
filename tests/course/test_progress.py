"""A learner's progress: kept beside the notebooks, whatever stands there already."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attncourse.course import progress
from attncourse.course.checking import CheckResult, Result
from attncourse.course.leitner import Card


def result(*states, name="double"):
    return Result(name, tuple(CheckResult("it", "it", state) for state in states))


def write(folder, text):
    (folder / progress.FILE_NAME).write_text(text, encoding="utf-8")


def test_a_result_is_kept(tmp_path):
    progress.record(result("passed", "failed", "passed"), tmp_path)
    expected = {"double": {"state": "failed", "passed": 2, "checks": 3}}
    assert progress.load(tmp_path) == expected
    assert json.loads((tmp_path / ".attncourse-progress.json").read_text()) == expected


def test_the_latest_result_counts_and_others_stay(tmp_path):
    progress.record(result("passed", name="other"), tmp_path)
    progress.record(result("failed"), tmp_path)
    progress.record(result("passed"), tmp_path)
    states = {name: entry["state"] for name, entry in progress.load(tmp_path).items()}
    assert states == {"other": "passed", "double": "passed"}


def test_hints_and_results_do_not_forget_each_other(tmp_path):
    progress.record_hint("double", 1, tmp_path)
    progress.record(result("passed"), tmp_path)
    progress.record_hint("double", 2, tmp_path)
    assert progress.hints_given("double", tmp_path) == 2
    assert progress.load(tmp_path)["double"]["state"] == "passed"
    assert progress.hints_given("other", tmp_path) == 0


def test_nothing_else_is_left_in_the_folder(tmp_path):
    progress.record(result("passed"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [progress.FILE_NAME]


FOREIGN = {
    "nothing": ("", {}),
    "not JSON": ("{'double'", {}),
    "a list": ("[1, 2]", {}),
    "a number": ("3", {}),
    "too deep": ("[" * 100_000, {}),
    "entries that are none": ('{"a": 1, "b": null, "c": []}', {}),
    "a foreign entry": ('{"a": {"b": 1}}', {"a": {}}),
    "an unknown state": ('{"a": {"state": "great", "passed": 1}}', {"a": {"passed": 1}}),
    "a state of the wrong kind": ('{"a": {"state": ["passed"]}}', {"a": {}}),
    "counts of the wrong kind": (
        '{"a": {"passed": "1", "checks": 2.5, "hints": true, "state": "failed"}}',
        {"a": {"state": "failed"}},
    ),
    "negative counts": ('{"a": {"hints": -3, "checks": 4}}', {"a": {"checks": 4}}),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_corrupted_or_foreign_file_is_read_as_far_as_it_makes_sense(tmp_path, what):
    text, expected = FOREIGN[what]
    write(tmp_path, text)
    assert progress.load(tmp_path) == expected
    assert progress.hints_given("a", tmp_path) == 0
    progress.record(result("passed"), tmp_path)
    assert progress.load(tmp_path)["double"]["state"] == "passed"


def test_a_file_that_is_not_text_counts_as_none(tmp_path):
    (tmp_path / progress.FILE_NAME).write_bytes(b"\xff\xfe\x00")
    assert progress.load(tmp_path) == {}


KERNEL = """
import sys
from pathlib import Path
from attncourse.course import progress
for number in range(30):
    progress.record_hint(f"{sys.argv[1]}{number}", 1, Path(sys.argv[2]))
"""


def test_kernels_that_work_at_the_same_time_lose_nothing(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", KERNEL, name, str(tmp_path)]) for name in "abc"
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0, 0]
    assert len(progress.load(tmp_path)) == 90
    assert [path.name for path in tmp_path.iterdir()] == [progress.FILE_NAME]


def test_who_holds_the_file_for_ever_costs_a_moment_and_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    with progress.file(tmp_path).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        progress.record(result("passed"), tmp_path)
    assert progress.load(tmp_path)["double"]["state"] == "passed"


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_a_folder_that_cannot_be_written_loses_progress_and_raises_nothing(tmp_path, monkeypatch):
    progress.record(result("failed"), tmp_path)
    monkeypatch.setattr(Path, "write_text", refuse)
    progress.record(result("passed"), tmp_path)
    progress.record_hint("double", 1, tmp_path)
    assert progress.load(tmp_path) == {"double": {"state": "failed", "passed": 0, "checks": 1}}


def test_a_folder_that_is_none_raises_nothing(tmp_path):
    write(tmp_path, "{}")
    for folder in (tmp_path / "missing", tmp_path / progress.FILE_NAME, Path("/proc")):
        progress.record(result("passed"), folder)
        assert progress.load(folder) == {}


def test_a_folder_in_the_place_of_the_file_raises_nothing(tmp_path):
    (tmp_path / progress.FILE_NAME).mkdir()
    progress.record(result("passed"), tmp_path)
    assert progress.load(tmp_path) == {}
    assert len(list(tmp_path.iterdir())) == 1


def test_progress_is_kept_where_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert progress.file() == tmp_path / progress.FILE_NAME


def test_on_colab_progress_is_kept_at_home(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert progress.file() == tmp_path / progress.FILE_NAME
    assert progress.file(Path("elsewhere")) == Path("elsewhere") / progress.FILE_NAME


def test_cards_of_questions_are_kept_beside_the_exercises(tmp_path):
    progress.record(result("passed"), tmp_path)
    progress.record_card("masks/empty-row", Card(2, 20_000), tmp_path)
    progress.record_card("masks/empty-row", Card(3, 20_001), tmp_path)
    assert progress.cards(tmp_path) == {"masks/empty-row": Card(3, 20_001)}
    assert progress.load(tmp_path)["double"]["state"] == "passed"


def test_a_card_that_lacks_something_counts_as_none(tmp_path):
    write(tmp_path, '{"question:a/b": {"box": 2}, "question:a/c": {"box": 0, "day": 3}}')
    assert progress.cards(tmp_path) == {}
