"""A file that is watched: what a save brings, and files that cannot be read for a moment."""

import contextlib
import os

import nbformat
import pytest
from click.testing import CliRunner

from attncourse.cli import main
from attncourse.course import progress, report
from attncourse.grading import watching
from attncourse.grading.watching import Watch, saves

SOFTMAX = "def softmax(x):\n    e = (x - x.amax(-1, keepdim=True)).exp()\n    return {}\n"
RIGHT, WRONG = (SOFTMAX.format(f"e / e.sum({of})") for of in ("-1, keepdim=True", ""))
COSINE = "def cosine_scores(q, k):\n    raise NotImplementedError\n"


class Clock:
    """Stands for time: runs one action after the other as it is asked to sleep."""

    def __init__(self, *actions):
        self.actions = list(actions)

    def __call__(self, seconds):
        if not self.actions:
            raise KeyboardInterrupt
        self.actions.pop(0)()


def nothing():
    pass


def save(path, text, step=[0]):  # noqa: B006 - a counter
    """Write a file with a time of its own, however coarse the clock of the disk."""
    path.write_text(text)
    step[0] += 1
    os.utime(path, (step[0], step[0]))


def notebook(*codes):
    cells = [nbformat.v4.new_code_cell(code, id=f"c{i}") for i, code in enumerate(codes)]
    return nbformat.v4.writes(nbformat.v4.new_notebook(cells=cells))


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "answers.ipynb"


@pytest.fixture
def started(zygote, monkeypatch):
    """One that has been started serves every watch, which stops it in vain."""
    monkeypatch.setattr(zygote, "stop", lambda: None)
    monkeypatch.setattr(watching, "Zygote", lambda: zygote)


def seen(path, *actions):
    """What `saves` yields while the actions happen, one at each sleep."""
    found = []
    with contextlib.suppress(KeyboardInterrupt):
        for there in saves(path, Clock(*actions)):
            found.append(there)
    return found


# When


def test_a_file_is_seen_at_once_and_after_each_save(path):
    save(path, "one")
    again = [nothing, nothing, lambda: save(path, "two"), nothing, nothing]
    assert seen(path, *again) == [True, True]


def test_what_is_still_being_written_is_waited_for(path):
    save(path, "")
    assert seen(path, lambda: save(path, "half"), lambda: save(path, "whole"), nothing) == [True]


def test_a_file_that_goes_and_comes_is_told(path):
    save(path, "one")
    steps = [nothing, path.unlink, nothing, nothing, lambda: save(path, "two"), nothing]
    assert seen(path, *steps) == [True, False, True]


def test_a_file_that_was_never_there_is_told(path):
    assert seen(path, nothing, nothing) == [False]


def test_an_editor_that_exchanges_the_file_is_no_loss(path):
    save(path, "one")
    other = path.with_suffix(".tmp")

    def exchange():
        save(other, "two")
        other.replace(path)

    assert seen(path, nothing, path.unlink, exchange, nothing) == [True, True]


# What


def names(news):
    return [result.exercise for result in news.results]


@pytest.mark.usefixtures("started")
def test_the_exercise_that_changed_is_told_with_its_verdict(path):
    save(path, notebook("import torch", WRONG, COSINE))
    with Watch(path) as watch:
        first = watch.look()
        assert first.first
        assert names(first) == ["softmax", "cosine_scores"]
        assert watch.progress == "✘○  0 of 2 passed."
        assert watch.next_step.startswith("Next: softmax (")

        save(path, notebook("import torch", RIGHT, COSINE))
        second = watch.look()
        assert names(second) == ["softmax"]
        assert report.headline(second.results[0]) == "softmax: 7 of 7 checks passed"
        assert watch.progress == "✔○  1 of 2 passed."
        assert watch.next_step.startswith("Next: cosine_scores (")

        save(path, notebook("import torch", RIGHT, COSINE))
        assert watch.look() is None


@pytest.mark.usefixtures("started")
def test_an_exercise_is_told_when_what_it_uses_changes(path):
    helper = "def total(x):\n    return x.sum(-1, keepdim={})\n"
    answer = SOFTMAX.format("e / total(e)")
    save(path, notebook("import torch", helper.format(True), answer, COSINE))
    with Watch(path) as watch:
        assert watch.look().results[0].state == "passed"
        save(path, notebook("import torch", helper.format(False), answer, COSINE))
        again = watch.look()
        assert names(again) == ["softmax"]
        assert again.results[0].state == "failed"


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("broken", ['{"cells": [', "", "no JSON", "[]", '{"cells": 1}'])
def test_a_file_that_cannot_be_read_is_told_and_then_forgotten(path, broken):
    save(path, notebook(RIGHT))
    with Watch(path) as watch:
        watch.look()
        save(path, broken)
        told = watch.look()
        assert told.problem.startswith("answers.ipynb ")
        assert "\n" not in told.problem
        save(path, notebook(RIGHT))
        assert watch.look() is not None
        assert watch.progress == "✔  1 of 1 passed."


@pytest.mark.usefixtures("started")
def test_a_cell_that_cannot_be_parsed_costs_its_exercise_only(path):
    save(path, notebook(RIGHT, COSINE))
    with Watch(path) as watch:
        watch.look()
        save(path, notebook(RIGHT.replace("(-1, keepdim=True)).exp", "((-1"), COSINE))
        told = watch.look()
        assert names(told) == ["softmax"]
        assert "could not be read" in report.text(told.results[0])


@pytest.mark.usefixtures("started")
def test_when_all_pass_the_next_file_is_named(path):
    save(path, notebook("import torch", RIGHT))
    with Watch(path) as watch:
        watch.look()
        assert watch.next_step.startswith("All of this file passed. Next: ")
        assert watch.next_step.endswith(".ipynb.")


# The command


def test_the_command_tells_all_this_and_ends_in_a_sentence(path, monkeypatch):
    save(path, notebook("import torch", WRONG, COSINE))
    steps = [
        nothing,
        lambda: save(path, notebook("import torch", RIGHT, COSINE)),
        nothing,
        lambda: save(path, "{"),
        nothing,
        path.unlink,
        nothing,
    ]
    clock = Clock(*steps)
    monkeypatch.setattr("attncourse.grading.watching.saves", lambda p: saves(p, clock))
    done = CliRunner().invoke(main, ["watch", "answers.ipynb"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if not line.startswith(" ")]
    assert lines == [
        "Watching answers.ipynb: save it and it is checked; Ctrl-C ends this.",
        "",
        lines[2],
        "○ cosine_scores: not attempted yet",
        "✘○  0 of 2 passed.",
        lines[5],
        "",
        "✔ softmax: 7 of 7 checks passed",
        "✔○  1 of 2 passed.",
        lines[9],
        "",
        "answers.ipynb is not a Jupyter notebook: it is not JSON",
        "answers.ipynb is not there: waiting for it.",
        "",
        "No longer watching answers.ipynb. ✔○  1 of 2 passed.",
    ]
    assert lines[2].startswith("✘ softmax: ")
    assert lines[5].startswith("Next: softmax (")
    assert progress.load(path.parent)["softmax"]["state"] == "passed"


@pytest.mark.usefixtures("started")
def test_one_exercise_can_be_watched(path, monkeypatch):
    save(path, notebook("import torch", RIGHT, COSINE))
    monkeypatch.setattr("attncourse.grading.watching.saves", lambda p: saves(p, Clock(nothing)))
    done = CliRunner().invoke(main, ["watch", "answers.ipynb", "softmax"])
    assert "1 of 1 passed" in done.output
    refused = CliRunner().invoke(main, ["watch", "answers.ipynb", "sofmax"])
    assert refused.exit_code == 2
    assert "did you mean 'softmax'?" in refused.output
