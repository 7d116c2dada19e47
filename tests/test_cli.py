"""The command line: what each command says, and the one sentence it has for bad input."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from click.testing import CliRunner

from attncourse import __version__
from attncourse.cli import main, questions
from attncourse.course import exercise as contract
from attncourse.course import progress, render
from attncourse.course.exercise import all_exercises, chapters, get, of_chapter
from attncourse.measure.bench import instrument, pitfalls, suites
from attncourse.measure.bench.case import Case, Suite
from attncourse.measure.bench.report import from_json
from attncourse.measure.roofline import Ceilings
from attncourse.mechanisms.dense.softmax import attention

SOFTMAX = get("softmax")
RIGHT = (
    "def softmax(x):\n"
    "    exponentials = (x - x.amax(dim=-1, keepdim=True)).exp()\n"
    "    return exponentials / exponentials.sum(dim=-1, keepdim=True)\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def attncourse(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": "200"})


def notebook(path, *cells, **metadata):
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), path)


def refused(result, *sentences):
    """Bad input: one sentence on stderr, nothing else, exit code 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr in {f"Error: {sentence}\n" for sentence in sentences}


# Help


def test_help_shows_the_way():
    result = attncourse("--help")
    assert result.exit_code == 0
    for command in ("list", "status", "hint", "check", "grade", "bench", "build", "execute"):
        assert f"attncourse {command}" in result.stdout


@pytest.mark.parametrize("command", main.commands)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_each_command_says_what_it_does_and_gives_an_example(command, option):
    result = attncourse(command, option)
    assert result.exit_code == 0
    assert re.search(rf"For example:  attncourse {command}\b", result.stdout)
    first = re.split(r"\n\n", result.stdout)[1].strip()
    assert re.match(r"[A-Z].{30,}", first, re.DOTALL)


def test_the_version_is_told():
    assert attncourse("--version").stdout == f"attncourse, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lst"], "No such command 'lst'"),
        (["list", "--all"], "No such option"),
        (["hint"], "Missing argument 'EXERCISE'."),
        (["check"], "Missing argument 'FILE'."),
        (["grade"], "Missing argument 'SUBMISSIONS...'."),
        (["execute"], "Missing argument 'NOTEBOOK...'."),
        (["check", "a.py", "--seconds", "soon"], "Invalid value for '--seconds'"),
        (["grade", "a.py", "--jobs", "1.5"], "Invalid value for '--jobs'"),
        (["bench", "--device", "abacus"], "Invalid value for '--device'"),
        (["bench", "--out"], "Option '--out' requires an argument."),
    ],
)
def test_a_command_that_is_not_understood_is_an_error_of_use(arguments, sentence):
    result = attncourse(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr


# list


def test_list_names_every_exercise_with_its_chapter_in_order():
    result = attncourse("list")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines() if "★" in line]
    assert [(row[0], row[1]) for row in rows] == [
        (exercise.chapter, name) for name, exercise in all_exercises().items()
    ]
    for exercise in all_exercises().values():
        assert exercise.title in result.stdout
    assert "attncourse hint EXERCISE" in result.stdout


# status


def shown(result):
    """The rows of the table of progress: exercise, mark, state, and the rest."""
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    return {line[1]: line[2:] for line in lines if line and line[0] in chapters()}


def keep(folder, **entries):
    (folder / progress.FILE_NAME).write_text(json.dumps(entries))


def test_status_of_a_beginner():
    result = attncourse("status")
    rows = shown(result)
    assert list(rows) == list(all_exercises())
    assert set(map(tuple, rows.values())) == {("○", "not", "attempted")}
    assert result.stdout.endswith(f"\n0 of {len(rows)} exercises passed.\n")


def test_status_shows_results_and_hints(here):
    keep(
        here,
        softmax={"state": "passed", "passed": 7, "checks": 7},
        attention={"state": "failed", "passed": 2, "checks": 6, "hints": 1},
        causal_mask={"hints": 2},
    )
    result = attncourse("status")
    rows = shown(result)
    assert rows["softmax"] == ["✔", "passed", "7/7"]
    assert rows["attention"] == ["✘", "failed", "2/6", "1"]
    assert rows["causal_mask"] == ["○", "not", "attempted", "2"]
    assert result.stdout.endswith(f"\n1 of {len(rows)} exercises passed.\n")


def test_status_looks_beside_the_notebooks(here):
    folder = here / "exercises"
    folder.mkdir()
    keep(folder, softmax={"state": "passed", "passed": 7, "checks": 7})
    for arguments in (["status"], ["status", folder], ["status", "exercises"]):
        assert shown(attncourse(*arguments))["softmax"] == ["✔", "passed", "7/7"]


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[]",
        '{"softmax": 3}',
        '{"softmax": {"checks": 7}}',
        '{"softmax": {"state": ["passed"], "hints": -1}}',
        '{"softmax": {"state": "[/red]"}}',
    ],
)
def test_status_survives_a_foreign_file(here, text):
    (here / progress.FILE_NAME).write_text(text)
    assert shown(attncourse("status"))["softmax"] == ["○", "not", "attempted"]


def test_status_of_a_missing_folder_is_refused(here):
    refused(attncourse("status", "missing"), "there is no folder missing")
    (here / "file").write_text("")
    refused(attncourse("status", "file"), "there is no folder file")


# hint


def test_hints_come_one_by_one_then_all():
    count = len(SOFTMAX.hints)
    for number, text in enumerate(SOFTMAX.hints, 1):
        assert attncourse("hint", "softmax").stdout == f"Hint {number} of {count}: {text}\n"
    result = attncourse("hint", "softmax")
    assert result.exit_code == 0
    assert all(text in result.stdout for text in SOFTMAX.hints)
    assert result.stdout.endswith("There are no more hints for softmax.\n")
    assert progress.hints_given("softmax") == count


@pytest.mark.parametrize("command", [["hint"], ["check", "answer.py"]])
def test_an_unknown_exercise_is_refused_with_the_nearest(here, command):
    (here / "answer.py").write_text(RIGHT)
    sentence = "there is no exercise 'softmx'; did you mean 'softmax'?"
    refused(attncourse(*command, "softmx"), sentence)
    nothing = "there is no exercise 'xyz'; `attncourse list` names them all."
    refused(attncourse(*command, "xyz"), nothing)


# check


def test_a_right_answer_is_checked(here):
    notebook(here / "answer.ipynb", "import torch", "1 / 0", RIGHT)
    result = attncourse("check", "answer.ipynb")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    count = len(SOFTMAX.checks)
    assert lines[0] == f"✔ softmax: {count} of {count} checks passed"
    assert [line[:4] for line in lines[1:-1]] == ["  ✔ "] * count
    assert lines[-1] == "Note: code cell 2, line 1: ZeroDivisionError: division by zero"


def test_what_check_offers_a_learner_is_no_fault(here):
    trying = "from attncourse import in_a_model\nin_a_model(softmax)"
    notebook(here / "answer.ipynb", "import torch", RIGHT, trying)
    result = attncourse("check", "answer.ipynb")
    assert result.exit_code == 0
    assert "Note" not in result.stdout


def test_a_function_in_a_cell_that_is_no_python_is_not_judged(here):
    notebook(here / "answer.ipynb", "import torch", RIGHT.replace("keepdim=True)).exp", "("))
    lines = attncourse("check", "answer.ipynb").stdout.splitlines()
    assert lines[0] == "✘ softmax: nothing was checked"
    assert lines[1].startswith(
        "    There is no `softmax`, since code cell 2 could not be read: line "
    )
    assert not any("✘" in line for line in lines[1:])


def test_what_the_functions_print_is_shown_and_cut(here):
    printing = RIGHT.replace("    exp", "    print('x is', tuple(x.shape))\n    exp", 1)
    notebook(here / "answer.ipynb", "import torch\nprint('a demo')", printing)
    lines = attncourse("check", "answer.ipynb").stdout.splitlines()
    shown = lines[lines.index("--- it printed ---") + 1 :]
    assert shown[0] == "x is (5, 37)"
    assert len(shown) == 9
    assert shown[-1].startswith("... and ")
    assert "a demo" not in lines


def test_what_was_checked_stands_in_the_status(here):
    notebook(here / "answer.ipynb", "import torch", RIGHT)
    attncourse("check", "answer.ipynb")
    count = len(SOFTMAX.checks)
    assert f"✔ passed {count}/{count}" in " ".join(attncourse("status").stdout.split())


def test_a_wrong_answer_is_named_and_broken_cells_are_noted(here):
    notebook(
        here / "answer.ipynb",
        "def attention(:",
        "import nothing_of_the_kind",
        "def softmax(x):\n    return x / x.sum(dim=-1, keepdim=True)",
    )
    result = attncourse("check", "answer.ipynb", "softmax", "attention")
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert "✘ softmax: 0 of" in words
    assert "You divided the scores by their sum." in words
    assert "There is no `attention`, since code cell 1 could not be read: line 1: " in words
    assert result.stdout.splitlines()[-2:] == [
        "Note: code cell 1 could not be read: line 1: invalid syntax: `def attention(:`",
        "Note: code cell 2, line 1: ModuleNotFoundError: No module named 'nothing_of_the_kind'",
    ]


@pytest.mark.parametrize("folder", [".", "exercises"])
def test_the_result_of_a_check_is_kept_beside_the_file(here, folder):
    (here / folder).mkdir(exist_ok=True)
    (here / folder / "answer.py").write_text("def softmax(x): raise SystemExit")
    assert attncourse("check", f"{folder}/answer.py").exit_code == 1
    kept = {"state": "failed", "passed": 0, "checks": len(SOFTMAX.checks)}
    assert progress.load(here / folder) == {"softmax": kept}


def test_nothing_is_left_in_the_folder_of_somebody_else(here):
    (here / "ada").mkdir()
    (here / "ada/answer.py").write_text("def softmax(x): raise SystemExit")
    assert attncourse("check", "ada/answer.py").exit_code == 1
    assert [path.name for path in (here / "ada").iterdir()] == ["answer.py"]


def test_what_is_not_attempted_has_not_failed(here):
    notebook(here / "weighted-mean.ipynb", "1 + 1")
    result = attncourse("check", "weighted-mean.ipynb")
    assert result.exit_code == 0
    names = [exercise.name for exercise in of_chapter("weighted-mean")]
    assert result.stdout.splitlines() == [f"○ {name}: not attempted yet" for name in names]


UNREADABLE = {
    "missing.ipynb": "missing.ipynb cannot be read: No such file or directory",
    "folder": "folder cannot be read: Is a directory",
    "text.ipynb": "text.ipynb is not a Jupyter notebook: it is not JSON",
    "empty.ipynb": "empty.ipynb is empty",
    "bytes.ipynb": "bytes.ipynb is not a text file in UTF-8",
}


@pytest.fixture
def unreadable(here):
    (here / "folder").mkdir()
    (here / "text.ipynb").write_text("my homework")
    (here / "empty.ipynb").write_text("")
    (here / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("command", ["check", "execute"])
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused(command, name):
    refused(attncourse(command, name), UNREADABLE[name])


def test_a_file_without_an_exercise_is_refused(here):
    (here / "answer.py").write_text("print('hello')")
    refused(attncourse("check", "answer.py"), "answer.py defines no function of any exercise.")
    (here / "answer.py").write_text("import torch\ndef helper(:")
    refused(
        attncourse("check", "answer.py"),
        "answer.py could not be read: line 2: invalid syntax: `def helper(:`",
    )


MISSING = {
    "renamed": (
        "def my_softmax(x):\n    return x",
        "There is no `softmax`, but `my_softmax` takes the same arguments: was it renamed?",
    ),
    "renamed, with more arguments": (
        "def my_softmax(x, dim):\n    return x",
        "There is no `softmax`, but `my_softmax` has a name like it: was it renamed?",
    ),
    "a syntax error": (
        "def softmax(x:\n    return x",
        "There is no `softmax`, since code cell 1 could not be read: line 1: '(' was never closed: "
        "`def softmax(x:`.",
    ),
    "a cell that failed before": (
        "1 / 0\ndef softmax(x):\n    return x",
        "There is no `softmax`, since code cell 1, line 1: ZeroDivisionError: division by zero; "
        "the rest of it did not run.",
    ),
    "in a condition that does not hold": (
        "if False:\n    def softmax(x):\n        return x",
        "`softmax` is no function once all of answer.ipynb has run.",
    ),
}


@pytest.mark.parametrize("what", MISSING)
def test_a_function_that_is_not_there_is_no_lack_of_an_attempt(here, what):
    cell, sentence = MISSING[what]
    notebook(here / "answer.ipynb", cell)
    result = attncourse("check", "answer.ipynb", "softmax")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].strip() == sentence


def test_of_several_functions_one_of_other_arguments_is_not_taken_for_the_answer(here):
    notebook(here / "answer.ipynb", "def relu(x):\n    return x.clamp(min=0)")
    result = attncourse("check", "answer.ipynb", "softmax")
    assert (result.exit_code, result.stdout) == (0, "○ softmax: not attempted yet\n")


def test_a_renamed_answer_to_no_exercise_is_asked_about(here):
    (here / "answer.py").write_text("def my_causal_mask(n, m):\n    return None")
    refused(
        attncourse("check", "answer.py"),
        "answer.py defines no function of any exercise. There is no `causal_mask`, but "
        "`my_causal_mask` takes the same arguments: was it renamed?",
    )


# A broken module


@pytest.fixture
def broken(monkeypatch):
    """What is said of softmax, whose module cannot be loaded."""
    sentence, load = "exercise module softmax cannot be loaded: KeyError: 1", contract._load

    def load_others(module):
        if module.endswith(".softmax"):
            raise contract.BrokenExercise(sentence)
        return load(module)

    monkeypatch.setattr(contract, "_load", load_others)
    return sentence


def test_list_names_what_is_broken_and_lists_the_others(broken):
    result = attncourse("list")
    assert (result.exit_code, result.stderr) == (0, f"{broken}\n")
    rows = [line.split()[1] for line in result.stdout.splitlines() if "★" in line]
    assert sorted([*rows, "softmax"]) == sorted(contract.names())


def test_check_names_what_is_broken_and_checks_the_others(here, broken):
    mean = "def weighted_mean(weights, values):\n    raise NotImplementedError\n"
    (here / "answer.py").write_text(RIGHT + mean)
    result = attncourse("check", "answer.py")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines == ["○ weighted_mean: not attempted yet", f"– {broken}"]
    assert attncourse("check", "answer.py", "weighted_mean").exit_code == 0
    refused(attncourse("check", "answer.py", "softmax"), broken)


def test_build_names_what_is_broken_and_leaves_its_chapter_alone(here, broken):
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    result = attncourse("build")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == broken
    assert "wrote exercises/masks.ipynb" in lines
    assert not [line for line in lines if "scores-and-scaling" in line]
    assert broken in attncourse("build", "--check").stdout.splitlines()


# grade


def test_a_folder_without_notebooks_is_refused(here):
    (here / "folder").mkdir()
    refused(attncourse("grade", "folder"), "there is no notebook or .py file in folder")
    (here / "folder/notes.txt").write_text("x")
    refused(attncourse("grade", "folder"), "there is no notebook or .py file in folder")


def test_a_zip_is_opened_only_with_a_folder_of_results(here):
    (here / "class.zip").write_bytes(b"")
    refused(attncourse("grade", "class.zip"), "class.zip is a zip, which is opened only with --out")


def test_a_cluster_that_is_not_there_is_said(here, monkeypatch):
    monkeypatch.setattr("attncourse.grading.classroom.cluster.CONNECTING", 0.2)
    (here / "ada.py").write_text(RIGHT)
    told = [
        "grade",
        "ada.py",
        "--out",
        "r",
        "--isolation",
        "kernel",
        "--scheduler",
        "tcp://[::1]:9",
    ]
    result = attncourse(*told)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: there is no Dask scheduler at tcp://[::1]:9: ")
    assert not (here / "r").exists()


def test_a_path_that_is_not_there_is_refused(here):
    (here / "answer.py").write_text(RIGHT)
    refused(attncourse("grade", "answer.py", "missing"), "there is no file or folder missing")


def test_a_class_is_graded_and_its_configuration_is_not_read(here):
    folder = here / "handed in"
    folder.mkdir()
    notebook(folder / "ada.ipynb", RIGHT)
    (folder / "bob.ipynb").write_text("my homework")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (here / "conftest.py").write_text("raise SystemExit('conftest was read')")
    script = Path(sys.executable).with_name("attncourse")
    done = subprocess.run(
        [script, "grade", folder.name, "--seconds", "30", "--junitxml", "results.xml"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    count = len(SOFTMAX.checks)
    assert re.search(
        rf"^handed in/ada.ipynb  softmax +{count} of {count} passed$", done.stdout, re.M
    )
    assert re.search(
        r"^handed in/bob.ipynb  \(unreadable\) +0 of 1 passed, 1 failed$", done.stdout, re.M
    )
    assert done.stderr == ""
    assert (here / "results.xml").read_text().count("<testcase ") == count + 1


def test_a_class_is_graded_into_a_folder(here):
    folder = here / "handed in"
    folder.mkdir()
    notebook(folder / "ada.ipynb", RIGHT)
    (folder / "bob.py").write_text("def softmax(x):\n    return x / x.sum(-1, keepdim=True)\n")
    (folder / "eve.ipynb").write_text("my homework")
    (here / "w.toml").write_text('title = "Week 2"\npoints = 10\n')
    told = ["handed in", "--out", "results", "--weights", "w.toml", "--jobs", "1"]
    result = attncourse("grade", *told)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 students, 3 submissions graded."
    assert lines[1] == "Median 50% of 10 points."
    assert lines[2].startswith("  1 x ")
    assert "(softmax): You divided the scores by their sum." in lines[2]
    assert lines[3] == "Unreadable or missing: 1 (see class.html)."
    assert re.fullmatch(r"Isolation: \w+\. Digest: [0-9a-f]{16}\.", lines[4])
    names = "class.html, students/, gradebook.csv, similarity.csv, results.json, junit.xml"
    assert lines[5:] == [f"Wrote {names} in results."]
    table = (here / "results/gradebook.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(",")[3:6] for line in table[1:]] == [
        ["graded", "10", "10"],
        ["graded", "0", "0"],
        ["unreadable", "", ""],
    ]
    again = attncourse("grade", *told)
    assert again.stdout.splitlines()[0] == "3 students, 0 submissions graded, 3 known already."


@pytest.fixture
def unclear(here):
    """A class of which one student hands in more than the others."""
    (here / "class").mkdir()
    for name in ("ada", "bob"):
        (here / "class" / f"{name}.py").write_text(RIGHT)
    more = "def attention(q, k, v):\n    raise NotImplementedError\n"
    (here / "class/cleo.py").write_text(RIGHT + more)
    return ("grade", "class", "--out", "results", "--jobs", "1", "--seconds", "7")


def test_what_is_not_clear_is_refused_with_the_commands_to_choose_from(here, unclear):
    refusal = attncourse(*unclear)
    assert (refusal.exit_code, refusal.stdout) == (2, "")
    lines = refusal.stderr.splitlines()
    assert lines[0].startswith("Error: which exercises are the assignment? Not all students")
    assert lines[0].endswith("Say it by one of")
    commands = [line.strip() for line in lines[1::2]]
    common = "main grade class --seconds 7.0 --out results --jobs 1"
    assert [sorted(shlex.split(line)) for line in commands] == [
        sorted(shlex.split(f"{common} --exercises {names}"))
        for names in ("softmax", "attention,softmax")
    ]
    result = attncourse(*shlex.split(commands[0])[1:])
    assert result.stdout.startswith("3 students, 0 submissions graded, 3 known already.")
    assert result.exit_code == 0
    assert attncourse(*unclear).exit_code == 0
    changed = attncourse(*shlex.split(commands[1])[1:])
    assert changed.exit_code == 2
    assert "--exercises would change what these results were counted by: softmax" in changed.stderr
    assert "--change" in changed.stderr


def test_what_is_not_clear_is_asked_on_a_terminal(here, unclear, monkeypatch):
    monkeypatch.setattr(questions, "terminal", lambda: True)
    told = CliRunner().invoke(main, unclear, input="2\n", env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert "  1  softmax: handed in by 3 of 3 students" in told.stderr
    assert "  2  attention,softmax: all that anyone handed in" in told.stderr
    assert "3 students, 0 submissions graded, 3 known already." in told.stdout
    header = (here / "results/gradebook.csv").read_text("utf-8-sig").splitlines()[0]
    assert "softmax,attention" in header


def test_what_a_class_cannot_be_graded_with_is_refused(here):
    (here / "ada.py").write_text(RIGHT)
    (here / "full").mkdir()
    (here / "full/thesis.tex").write_text("")
    (here / "w.toml").write_text("x = 1")
    (here / "a.zip").write_text("no zip")
    (here / "export.csv").write_text("a,b")
    sentences = {
        ("--weights", "w.toml"): "--weights needs --out: it is for grading a class",
        ("--exercises", "masks"): "--exercises needs --out: it is for grading a class",
        ("--change",): "--change needs --out: it is for grading a class",
        ("--out", "r", "--exercises", "softmx"): (
            "--exercises: there is no exercise and no chapter 'softmx'; did you mean 'softmax'?"
        ),
        ("--out", "r", "--moodle", "export.csv"): (
            "export.csv is not Moodle's grading worksheet: it lacks one of Identifier, Grade, "
            "Last modified (grade)"
        ),
        ("--scheduler", "tcp://x:1"): "--scheduler needs --out: it is for grading a class",
        ("--out", "ada.py"): "ada.py is a file: --out takes a folder",
        ("--out", "r", "--junitxml", "j.xml"): (
            "--junitxml goes without --out, which writes junit.xml by itself"
        ),
        ("--out", "full"): "full is not empty and holds no journal of an earlier run",
        ("--out", "r", "--weights", "w.toml"): (
            "w.toml: there is no 'x': there are title, points, canvas, weights"
        ),
        ("--out", "r", "--canvas", "export.csv"): (
            "export.csv is not Canvas's export: it lacks Student, ID or Section"
        ),
        ("--out", "r", "--regrade", "ad"): (
            "--regrade: there is no exercise and no student 'ad'; did you mean 'ada'?"
        ),
    }
    for options, sentence in sentences.items():
        refused(attncourse("grade", "ada.py", *options), sentence)
    damaged = "a.zip cannot be unpacked: it is not a zip, or it is damaged"
    refused(attncourse("grade", "a.zip", "--out", "r"), damaged)


def test_doctor_says_what_is_prevented():
    from attncourse.grading.sandbox import doctor

    result = attncourse("doctor")
    assert (result.exit_code, result.stdout.splitlines()) == (0, doctor())


def test_doctor_says_the_same_however_python_is_called(here):
    program = "from attncourse.cli import main; main(['doctor'])"
    (here / "folder").mkdir()
    relative = os.path.relpath(sys.executable, here / "folder")
    told = [
        subprocess.run([path, "-c", program], cwd=here / "folder", capture_output=True, check=True)
        for path in (sys.executable, relative)
    ]
    assert told[0].stdout.startswith(b"Isolation of submissions: ")
    assert told[0].stdout == told[1].stdout


# bench


@pytest.fixture
def small_bench(monkeypatch):
    """One suite of two cases, one of them wrong, and ceilings that need no measuring."""
    attend = Case("full", attention, attention, check_length=9, implementation="plain")
    wrong = Case("half", lambda q, k, v: attention(q, k, v) / 2, attention, check_length=9)
    suite = Suite("scaling", attend, (attend, wrong), lengths=(8, 16), quick_lengths=(8,))
    monkeypatch.setattr(suites, "SUITES", {"scaling": lambda device: suite})
    monkeypatch.setattr(instrument, "measured_ceilings", lambda **_: Ceilings(1e9, 1e9))
    short = replace(pitfalls.SUBJECTS[0], n={"cpu": 8, "cuda": 8})
    monkeypatch.setattr(pitfalls, "SUBJECTS", (short,))
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 0.0)


@pytest.mark.usefixtures("small_bench")
def test_bench_prints_tables_writes_a_file_and_fails_for_what_is_wrong(here):
    result = attncourse("bench", "--device", "cpu", "--quick", "--out", "found.json")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "wrote found.json"
    assert any("wrong: differs from its definition by 0.5" in line for line in lines)
    report = from_json((here / "found.json").read_text())
    assert [(r.mechanism, r.direction, r.n, r.state) for r in report.rows] == [
        ("half", "forward", 9, "wrong"),
        ("full", "forward", 8, "measured"),
        ("half", "forward+backward", 9, "wrong"),
        ("full", "forward+backward", 8, "measured"),
    ]
    assert report.provenance.command == "attncourse bench --device cpu --suite all --quick"
    assert report.complete
    assert {each.mistake for each in report.pitfalls} == set(pitfalls.MISTAKES)


@pytest.mark.usefixtures("small_bench")
def test_bench_measures_the_mechanisms_lengths_and_shapes_that_are_named(here):
    options = "--device cpu --suite scaling --lengths 4,8 --dtype float32 --d 64"
    words = ["bench", "full", *options.split()]
    result = attncourse(*words, "--out", "found.json")
    assert result.exit_code == 0
    report = from_json((here / "found.json").read_text())
    assert {(r.mechanism, r.n) for r in report.rows} == {("full", 4), ("full", 8)}
    assert report.provenance.command == "attncourse " + " ".join(words)
    assert report.pitfalls == ()


@pytest.mark.usefixtures("small_bench")
@pytest.mark.parametrize(("threads", "warned"), [(1, False), (2, True)])
def test_bench_says_that_others_leave_too_few_cores(monkeypatch, threads, warned):
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 60.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    told = attncourse("bench", "full", "--device", "cpu", "--suite", "scaling", "--lengths", "4")
    assert told.exit_code == 0
    told_so = "Other processes use 1.2 of the 2 cores, and PyTorch has 2 threads."
    assert (told_so in told.stderr) == warned
    monkeypatch.setitem(sys.modules, "psutil", None)  # which is not installed everywhere
    told = attncourse("bench", "full", "--device", "cpu", "--suite", "scaling", "--lengths", "4")
    assert (told.exit_code, told.stderr.strip()) == (0, "")


@pytest.mark.usefixtures("small_bench")
def test_bench_with_a_name_measures_that_and_no_mistakes_of_timing(here):
    result = attncourse("bench", "full", "--device", "cpu", "--quick", "--out", "found.json")
    assert result.exit_code == 0
    report = from_json((here / "found.json").read_text())
    assert ({row.mechanism for row in report.rows}, report.pitfalls) == ({"full"}, ())


@pytest.mark.usefixtures("small_bench")
def test_bench_predicts_a_quick_run_on_a_card_that_is_not_here():
    result = attncourse("bench", "--predict", "T4")
    lines = result.stdout.splitlines()
    assert lines[0] == "scaling, float32: 4 measurements, predicted at least 0.0 s"
    assert lines[1].startswith("T4: 4 measurements, predicted at least 0.0 s from counted work")
    refused(
        attncourse("bench", "--predict", "GTX 9"),
        "a card must be in data/devices.yml for its ceilings to be known: got GTX 9; "
        "`attncourse bench --suite roofline` measures them",
    )


@pytest.mark.usefixtures("small_bench")
def test_bench_plans_for_minutes_and_says_what_it_left_out(here):
    words = "bench full --device cpu --suite scaling --minutes 1e-9 --out found.json"
    result = attncourse(*words.split())
    assert result.exit_code == 0
    assert "Left out: 4 found no time." in result.stdout.splitlines()
    report = from_json((here / "found.json").read_text())
    assert {row.state for row in report.rows} == {"left out"}
    assert report.complete
    words = "bench full --device cpu --suite scaling --minutes 5"
    enough = attncourse(*words.split())
    assert "Left out" not in enough.stdout


@pytest.mark.usefixtures("small_bench")
@pytest.mark.skipif(torch.cuda.is_available(), reason="this is what happens without CUDA")
def test_bench_says_that_there_is_no_cuda_and_measures_the_cpu(here):
    result = attncourse("bench", "full", "--device", "cuda", "--suite", "scaling", "--quick")
    assert result.exit_code == 0
    assert result.stderr.strip() == "There is no CUDA device here: the CPU is measured instead."


@pytest.mark.usefixtures("small_bench")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "no/found.json"], "there is no folder no"),
        (["--out", "."], ". is a folder"),
        (["window"], "no mechanism is called window"),
        (["full", "fulll"], "no mechanism is called fulll: did you mean full?"),
        (["--lengths", "8,x"], "lengths must be numbers above 0 with commas between: got 8,x"),
        (["--lengths", "0"], "lengths must be numbers above 0 with commas between: got 0"),
        (
            ["--device", "mps"],
            "--device mps: the bench cannot time Apple's GPU or read its memory; take --device cpu",
        ),
        (["--d", "7"], "d must be one measured on this device, 64: got 7"),
        (["--dtype", "float16"], "dtype must be one measured on this device, float32: got float16"),
    ],
)
def test_bench_refuses_what_it_cannot_do_before_it_measures(arguments, sentence):
    refused(attncourse("bench", "--device", "cpu", *arguments), sentence)


@pytest.mark.usefixtures("small_bench")
def test_bench_sets_two_files_beside_each_other_or_says_which_is_none(here):
    assert attncourse("bench", "full", "--suite", "scaling", "--out", "a.json").exit_code == 0
    result = attncourse("bench", "--compare", "a.json", "a.json")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line[:2] for line in lines[:2]] == ["A:", "B:"]
    assert sum("1.00" in line for line in lines) == 4  # two lengths in two directions
    (here / "b.json").write_text("no")
    refused(
        attncourse("bench", "--compare", "a.json", "b.json"),
        "b.json: a bench file must be JSON: got Expecting value: line 1 column 1 (char 0)",
    )


# build and execute


@pytest.mark.parametrize(
    "arguments",
    [["build"], ["build", "--check"], ["execute", "a.ipynb"], ["new", "chapter", "masks"]],
    ids=" ".join,
)
def test_outside_a_checkout_the_makers_commands_are_refused(here, arguments):
    sentence = f"{here.resolve()} is not a checkout of the course: it has no _config.yml"
    refused(attncourse(*arguments), sentence)
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    other = f"{elsewhere.resolve()} is not a checkout of the course: it has no _config.yml"
    refused(attncourse(*arguments, "--root", "elsewhere"), other)


def test_new_writes_skeletons_and_says_how_to_go_on(here):
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    made = attncourse("new", "exercise", "linear", "retention")
    path = "attncourse/exercises/linear/retention.py"
    assert made.stdout.startswith(f"wrote {path}; pytest tests/test_exercises.py -k retention")
    assert (here / path).is_file()
    made = attncourse("new", "chapter", "self-and-cross")
    assert made.stdout.startswith("wrote book/self-and-cross.ipynb; attncourse execute book/self")
    assert (here / "book/self-and-cross.ipynb").is_file()


@pytest.mark.usefixtures("unreadable")
def test_new_refuses_in_a_sentence():
    sentence = "there is no chapter 'mask'; did you mean 'masks'?"
    refused(attncourse("new", "exercise", "mask", "causal_mask"), sentence)
    refused(attncourse("new", "chapter", "mask"), sentence)


def test_build_writes_and_check_says_what_has_drifted(here):
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    assert attncourse("build", "--check").exit_code == 1
    written = attncourse("build")
    assert written.exit_code == 0
    assert written.stdout.splitlines() == [f"wrote {path}" for path in render.notebooks(here)]
    clean = attncourse("build", "--check")
    assert (clean.exit_code, clean.output) == (0, "")
    (here / "exercises/masks.ipynb").write_text("{}")
    (here / "solutions/stray.txt").write_text("mine")
    drifted = attncourse("build", "--check", "--root", here)
    assert drifted.exit_code == 1
    assert drifted.stdout.splitlines() == [
        "exercises/masks.ipynb is not as generated: run `attncourse build`",
        "solutions/stray.txt is not the course's: move it elsewhere",
    ]
    assert attncourse("build").stdout.splitlines() == [
        "wrote exercises/masks.ipynb (what stood there is now .replaced/exercises/masks-1.ipynb)",
    ]
    assert (here / "solutions/stray.txt").read_text() == "mine"


def test_build_shows_the_numbers_of_each_chapter(here):
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    (here / "book").mkdir()
    title = nbformat.v4.new_markdown_cell("# Masks\n\n## One\n\ntwo words")
    code = nbformat.v4.new_code_cell("assert 1\nassert 2")
    nbformat.write(nbformat.v4.new_notebook(cells=[title, code]), here / "book/serving.ipynb")
    result = attncourse("build", "--chapters")
    assert result.exit_code == 0, result.output
    *_, limits, chapter = (line.split() for line in result.stdout.splitlines())
    assert limits[:4] == ["≤", "12", "≤", "250"]
    assert chapter[:7] == ["serving", "1", "2", "2", "0", "0", "4"]
    assert not (here / "_toc.yml").exists()


def test_check_says_what_is_wrong_with_a_chapter(here):
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    attncourse("build")
    (here / "book").mkdir()
    (here / "book/masks.ipynb").write_text("my homework")
    result = attncourse("build", "--check")
    assert result.exit_code == 1
    assert "\nmasks.ipynb is not a notebook: " in result.stdout


# Odd surroundings


def at_a_terminal(*arguments, charset):
    """What is shown where the output has another encoding."""
    runner = CliRunner(charset=charset)
    return runner.invoke(main, list(arguments), env={"COLUMNS": "200"})


@pytest.mark.parametrize("charset", ["cp1252", "cp936", "ascii"])
def test_signs_that_an_encoding_lacks_are_replaced(here, charset):
    keep(here, softmax={"state": "failed", "passed": 1, "checks": 7})
    (here / "_config.yml").write_text("repository:\n  url: https://example.org/x\n")
    outputs = [
        at_a_terminal(*words, charset=charset)
        for words in (["list"], ["status"], ["build", "--chapters"])
    ]
    assert [result.exit_code for result in outputs] == [0, 0, 0]
    texts = [result.stdout_bytes.decode(charset) for result in outputs]
    assert "?" not in "".join(texts[:2])
    star = "★" if charset == "cp936" else "*"
    assert re.search(rf" softmax +{re.escape(star)}", texts[0])
    assert re.search(r" softmax +x failed +1/7", texts[1])


ODD = {
    "a full disk": (
        "exec > /dev/full",
        "Error: this cannot be done or printed: No space left on device\n",
    ),
    "a folder that is gone": (
        "mkdir gone; cd gone; rmdir ../gone",
        "Error: the folder that you are in is no longer there: go to another\n",
    ),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("command", ["--help", "doctor"])
def test_what_the_system_refuses_is_said_in_a_sentence(here, what, command):
    first, sentence = ODD[what]
    program = f"from attncourse.cli import main; main([{command!r}])"
    words = ["sh", "-c", f'{first}; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(words, cwd=here, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


def test_output_that_goes_nowhere_is_no_fault(here):
    program = "from attncourse.cli import main; main(['doctor'])"
    words = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", program]
    done = subprocess.run(words, cwd=here, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_who_has_seen_enough_ends_it_quietly(here):
    program = "from attncourse.cli import main; main(['doctor'])"
    words = ["sh", "-c", '"$@" | true', "sh", sys.executable, "-c", program]
    assert subprocess.run(words, cwd=here, capture_output=True, text=True).stderr == ""


def test_ctrl_c_ends_a_command_in_a_word(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("attncourse.grading.sandbox.doctor", interrupted)
    result = attncourse("doctor")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Stopped.\n")


@pytest.mark.parametrize("columns", [20, 40, 71])
def test_a_narrow_terminal_gets_rows_and_no_torn_columns(columns):
    env = {"COLUMNS": str(columns)}
    for command, words in (("list", "softmax ★"), ("status", "softmax ○")):
        shown = CliRunner().invoke(main, [command], env=env).stdout
        rows = shown.partition("\nWork them")[0].partition("\n0 of ")[0]
        assert all(len(line) <= columns for line in rows.splitlines())
        assert words in " ".join(shown.split())


WITHOUT_DOCSTRINGS = """
import sys
from click.testing import CliRunner
from attncourse.cli import main

for words in (["list"], ["status"], ["hint", "softmax"], ["check", "answer.py"],
              ["watch", "answer.py"]):
    result = CliRunner().invoke(main, words)
    told = result.stderr.splitlines()[-1:] if result.exit_code else result.output
    print(words[0], result.exit_code, "Traceback" in result.output, *told)
from attncourse import attention, check, hint
import torch
print(tuple(attention(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4, 5)).shape))
check(lambda x: x)
check("softmax", lambda x: x)
hint("softmax")
"""


def test_without_docstrings_the_library_works_and_exercises_are_refused(here):
    (here / "answer.py").write_text(RIGHT)
    words = [sys.executable, "-OO", "-c", WITHOUT_DOCSTRINGS]
    lenient = {name: x for name, x in os.environ.items() if name != "ATTNCOURSE_STRICT"}
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, env=lenient)
    told = (
        "the exercises need docstrings, and Python was told to drop them (-OO, or "
        "PYTHONOPTIMIZE=2): start it without that"
    )
    commands = ("list", "status", "hint", "check", "watch")
    expected = [f"{command} 2 False Error: {told}" for command in commands]
    assert done.stdout.splitlines() == [*expected, "(2, 5)", told, told, told], done.stderr
