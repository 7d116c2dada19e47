"""The same verdict in the same words: in Jupyter, on the command line and in a class."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from corpus import corpus

from attncourse.cli import main
from attncourse.course import report
from attncourse.grading.classroom import words
from attncourse.grading.classroom.task import Task, grade_submission
from attncourse.grading.judge import worker
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.zygote import own_zygote

SUBMISSIONS = {what: (name, expected, cells) for what, name, expected, cells in corpus()}


def test_there_are_a_hundred():
    assert len(SUBMISSIONS) > 100


@pytest.fixture(scope="module")
def in_jupyter(tmp_path_factory, request):
    """What `check` told of those that this run asks for in a real shell, all in one process."""
    folder = tmp_path_factory.mktemp("jupyter")
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [call.params["what"] for call in calls if call and "what" in call.params]
    cells = {what: SUBMISSIONS[what][2] for what in asked if what in SUBMISSIONS}
    (folder / "given").write_text(json.dumps(cells))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "IPYTHONDIR": str(folder)}
    environment.pop("ATTNCOURSE_STRICT", None)
    script = Path(__file__).with_name("in_jupyter.py")
    subprocess.run(
        [sys.executable, str(script), "given", "told"],
        cwd=folder,
        env=environment,
        check=True,
        timeout=600,
    )
    return json.loads((folder / "told").read_text())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each as a notebook."""
    folder = tmp_path_factory.mktemp("notebooks")
    made = {}
    for number, (what, (_, _, cells)) in enumerate(SUBMISSIONS.items()):
        code = [nbformat.v4.new_code_cell(cell) for cell in cells]
        made[what] = folder / f"answer-{number}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=code), made[what])
    return made


class _Shared:
    """One zygote for all commands, which end it in vain."""

    def __new__(cls):
        zygote = own_zygote("auto")
        zygote.stop = lambda: None
        return zygote


def on_the_command_line(path):
    """What `attncourse check` tells, without its notes."""
    done = CliRunner().invoke(main, ["check", str(path)], env={"COLUMNS": "1000"})
    assert done.exit_code in (0, 1), done.output
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [line for line in lines if not line.startswith("Note: ")]


def in_a_class(path):
    """What a student of a class is told."""
    content = path.read_bytes()
    done = grade_submission(Task("1", "a", "", path.name, content, Limits(), "auto"))
    (record,) = done.exercises
    return record["state"], report.text(words.result(record, show_expected=True))


@pytest.mark.by_turns
@pytest.mark.parametrize("what", SUBMISSIONS)
def test_the_verdict_and_the_words_are_the_same(what, in_jupyter, files, monkeypatch):
    name, expected, _ = SUBMISSIONS[what]
    monkeypatch.setattr(worker, "Zygote", _Shared)
    state, text = in_jupyter[what]
    assert state == expected, text
    assert in_a_class(files[what]) == (state, text)
    assert on_the_command_line(files[what]) == [line.strip() for line in text.splitlines()]
    assert text.splitlines()[0].split()[1] == f"{name}:"
