"""``pytest --grade``: a class of submissions, each with its verdict, whatever the others do."""

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest

from attncourse.course import report, source
from attncourse.course.diagnose import AMONG_OTHERS
from attncourse.course.exercise import first_line, get, of_chapter, whole_doc
from attncourse.grading import items, plugin, table
from attncourse.grading.judge import judging, reading  # noqa: F401  (loaded here, so kept between runs)

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.early

ROOT = Path(__file__).parents[2]
SOFTMAX = get("softmax")
CHECKS = len(SOFTMAX.checks)
IMPORTS = "import math\nimport os\nimport torch\n"
RIGHT = (
    "def softmax(x):\n"
    "    exponentials = (x - x.amax(dim=-1, keepdim=True)).exp()\n"
    "    return exponentials / exponentials.sum(dim=-1, keepdim=True)\n"
)
MASK_STUB = "def causal_mask(*args, **kwargs):\n    raise NotImplementedError"


def body(*lines):
    """A softmax of these lines."""
    return IMPORTS + "\n    ".join(["def softmax(x):", *lines]) + "\n"


def notebook(*cells):
    made = [nbformat.v4.new_code_cell(cell) for cell in (IMPORTS, *cells)]
    return nbformat.writes(nbformat.v4.new_notebook(cells=made))


def mistaken(name):
    wrong = SOFTMAX.wrong[name]
    return IMPORTS + source.whole(wrong).replace(wrong.__name__, "softmax")


ALL = f"{CHECKS} of {CHECKS} passed"
NONE = f"0 of {CHECKS} passed, {CHECKS} failed"
TWO_WRONG = f"{CHECKS - 2} of {CHECKS} passed, 2 failed"
THREE_WRONG = f"{CHECKS - 3} of {CHECKS} passed, 3 failed"
STUB = f"0 of {CHECKS} passed, {CHECKS} not attempted"
NOTHING = "0 of 1 passed, 1 failed"

# file: what is in it, the exercise in the table, the verdict there
SUBMISSIONS = {
    "solution.ipynb": (notebook(RIGHT), "softmax", ALL),
    "stub.ipynb": (notebook("def softmax(x):\n    raise NotImplementedError"), "softmax", STUB),
    "mistake-1.py": (mistaken("no_maximum_subtracted"), "softmax", TWO_WRONG),
    "mistake-2.py": (mistaken("mean_subtracted"), "softmax", THREE_WRONG),
    "mistake-3.py": (mistaken("no_exponential"), "softmax", NONE),
    "hang.py": (body("import time", "time.sleep(3600)"), "softmax", NONE),
    "exit.py": (body("os._exit(0)"), "softmax", NONE),
    "memory.py": (body("return torch.zeros(10**13)"), "softmax", NONE),
    "prints.py": (body("print('y' * 15_000_000)", "return None"), "softmax", NONE),
    "magics.ipynb": (
        notebook("%matplotlib inline\n!ls", f"%%time\n{RIGHT}", "softmax?", "1 / 0", "exit()"),
        "softmax",
        ALL,
    ),
    "twice.ipynb": (notebook(body("return x"), RIGHT), "softmax", ALL),
    "syntax.ipynb": (notebook("def softmax(x:\n    return", MASK_STUB), "causal_mask", None),
    "weighted-mean.ipynb": (notebook("1 + 1"), "weighted_mean", None),
    "empty.py": ("", "(unreadable)", NOTHING),
    "not-json.ipynb": ("This is my homework.", "(unreadable)", NOTHING),
    "no-exercise.py": ("print('hello')", "(no exercise)", NOTHING),
}
BROUGHT_ALONG = {
    "conftest.py": "import pathlib\npathlib.Path(__file__).with_name('conftest-ran').touch()\n",
    "__init__.py": "import pathlib\npathlib.Path(__file__).with_name('init-ran').touch()\n",
    "notes.txt": "not a submission",
    ".hidden.py": IMPORTS + RIGHT,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class of submissions in one folder, with what some of them bring along."""
    root = tmp_path_factory.mktemp("class") / "handed-in"
    root.mkdir()
    for name, (text, _, _) in SUBMISSIONS.items():
        (root / name).write_text(text, encoding="utf-8")
    for name, text in BROUGHT_ALONG.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def graded(folder):
    """What the teacher sees: exit code, output, the table, and the JUnit file."""
    command = [sys.executable, "-m", "pytest", "--grade", "--grade-seconds", "2", "-v"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--junitxml", "../results.xml", "."],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    rows = re.findall(r"^(\S+) +(\(?[\w ]+?\)?) {2,}(\d+ of .*)$", done.stdout, re.MULTILINE)
    xml = ElementTree.parse(folder.parent / "results.xml")
    return SimpleNamespace(
        code=done.returncode,
        out=done.stdout,
        error=done.stderr,
        table={(name, exercise): verdict for name, exercise, verdict in rows},
        cases=list(xml.iter("testcase")),
        suite=next(xml.iter("testsuite")).attrib,
    )


def told(graded, name):
    """What was told of a submission's first failed check, line by line."""
    heading = re.search(rf"^_+ {re.escape(name)}: .* _+$", graded.out, re.MULTILINE)
    assert heading, f"nothing was told of {name}"
    rest = re.split(r"^[_=]+ .* [_=]+$", graded.out[heading.end() :], flags=re.MULTILINE)
    return rest[0].strip().splitlines()


# The table


def test_every_submission_has_the_verdict_it_deserves(graded):
    expected = {(n, e): verdict for n, (_, e, verdict) in SUBMISSIONS.items() if verdict}
    assert {row: graded.table.get(row) for row in expected} == expected


def test_there_is_a_row_for_every_submission_and_exercise_and_no_other(graded):
    rows = {(name, exercise) for name, (_, exercise, _) in SUBMISSIONS.items()}
    rows |= {("syntax.ipynb", "softmax")}  # which could not be read
    rows |= {("weighted-mean.ipynb", e.name) for e in of_chapter("weighted-mean")}
    rows |= {(name, "(no exercise)") for name in ("conftest.py", "__init__.py")}
    assert graded.table.keys() == rows


def test_an_exercise_that_is_lacking_is_not_attempted(graded):
    for exercise in of_chapter("weighted-mean"):
        count = len(exercise.checks)
        verdict = graded.table["weighted-mean.ipynb", exercise.name]
        assert verdict == f"0 of {count} passed, {count} not attempted"
    message = "Not attempted: weighted-mean.ipynb defines no function weighted_mean."
    failures = [case.find("failure") for case in graded.cases]
    assert message in {failure.text for failure in failures if failure is not None}


def test_not_attempted_is_counted_apart_and_is_no_success(graded):
    assert graded.code == pytest.ExitCode.TESTS_FAILED
    (last,) = re.findall(r"^=+ (.* in .*s) .*=+$", graded.out, re.MULTILINE)[-1:]
    counts = {state: int(n) for n, state in re.findall(r"(\d+) ([a-z ]+?)(?:,| in)", last)}
    verdicts = list(graded.table.values())
    for state in ("passed", "failed", "not attempted"):
        found = (re.search(rf"(\d+) (?:of \d+ )?{state}", verdict) for verdict in verdicts)
        assert counts[state] == sum(int(match[1]) for match in found if match), state
    assert "NOT ATTEMPTED" in graded.out
    assert "error" not in counts


def test_nothing_is_printed_to_the_teachers_error_stream(graded):
    assert graded.error == ""


# What the learner is told


@pytest.mark.parametrize(
    ("name", "mistake", "words"),
    [
        ("mistake-1.py", "no_maximum_subtracted", AMONG_OTHERS),  # it gives NaN alone
        ("mistake-2.py", "mean_subtracted", AMONG_OTHERS),
        ("mistake-3.py", "no_exponential", report.NAMED),
    ],
)
def test_a_known_mistake_is_named(graded, name, mistake, words):
    check, named, *_ = told(graded, name)
    assert check.startswith("✘ ")
    assert named.endswith(f"{words} {whole_doc(SOFTMAX.wrong[mistake])}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "hang.py",
            "It did not return: it slept for 2 s, and was stopped.",
        ),
        ("exit.py", "The process that ran it exited with code 0."),
        (
            "memory.py",
            "Your function raised MemoryError: there is not enough memory: it asked for 37252.9 "
            "GiB at once (memory.py, line 5: return torch.zeros(10**13)).",
        ),
    ],
)
def test_a_lost_call_is_told_in_one_sentence(graded, name, sentence):
    check, *rest = told(graded, name)
    assert check == f"✘ {first_line(next(iter(SOFTMAX.checks.values())))}"
    assert rest == [sentence]


def test_of_what_is_printed_a_line_is_shown(graded):
    _, message, title, line, more = told(graded, "prints.py")[:5]
    assert message.startswith("Your function returned None; ")
    assert title == "--- it printed ---"
    assert line == "y" * 120
    assert re.fullmatch(r"\.\.\. and [\d,]+ bytes more", more)
    assert len(graded.out) < 200_000


def test_a_cell_that_cannot_be_read_is_reported_by_its_number(graded):
    note = "code cell 2 could not be read: line 1: '(' was never closed: `def softmax(x:`"
    notes = re.findall(r"^(\S+) +Note: (.*)$", graded.out, re.MULTILINE)
    assert [told for name, told in notes if name == "syntax.ipynb"] == [note]
    assert graded.table["syntax.ipynb", "softmax"] == NONE


def test_what_failed_or_was_skipped_is_noted(graded):
    notes = re.findall(r"^(\S+) +Note: (.*)$", graded.out, re.MULTILINE)
    assert [told for name, told in notes if name == "magics.ipynb"] == [
        "skipped, as only IPython runs it: !ls (code cell 2)",
        "code cell 5, line 1: ZeroDivisionError: division by zero",
        "code cell 6, line 1: SystemExit: None",
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("empty.py", "empty.py is empty"),
        ("not-json.ipynb", "not-json.ipynb is not a Jupyter notebook: it is not JSON"),
        ("no-exercise.py", "no-exercise.py defines no function of any exercise."),
    ],
)
def test_a_file_that_cannot_be_graded_is_told_in_one_sentence(graded, name, sentence):
    assert told(graded, name) == [sentence]


def test_no_line_of_the_grader_is_shown(graded):
    assert "Traceback" not in graded.out
    assert "attncourse/course" not in graded.out


# What a submission brings along


def test_neither_conftest_nor_init_is_run(graded, folder):
    left = {path.name for path in folder.iterdir()}
    assert left - {"__pycache__"} == SUBMISSIONS.keys() | BROUGHT_ALONG.keys()


def test_hidden_files_and_other_files_are_no_submissions(graded):
    assert ".hidden.py" not in graded.out
    assert "notes.txt" not in graded.out


# The JUnit file


def test_every_check_is_a_case_that_tells_its_state(graded):
    states = {}
    for case in graded.cases:
        told = {p.get("name"): p.get("value") for p in case.iter("property")}
        states.setdefault((told["submission"], told["exercise"]), []).append(told["state"])
    assert states.keys() == graded.table.keys()
    assert states["solution.ipynb", "softmax"] == ["passed"] * CHECKS
    assert states["stub.ipynb", "softmax"] == ["not attempted"] * CHECKS
    assert int(graded.suite["tests"]) == len(graded.cases) == sum(map(len, states.values()))


def test_what_is_not_passed_is_a_failure_there(graded):
    for case in graded.cases:
        state = {p.get("name"): p.get("value") for p in case.iter("property")}["state"]
        assert (case.find("failure") is None) == (state == "passed")
    assert graded.suite["errors"] == "0"


# As with any tests of pytest; these runs start no worker


@pytest.fixture
def handed_in(pytester):
    """A folder of two submissions in which nothing is attempted and one that is unreadable."""
    folder = pytester.mkdir("handed-in")
    for name in ("weighted-mean.ipynb", "masks.ipynb"):
        (folder / name).write_text(notebook("1 + 1"))
    (folder / "text.ipynb").write_text("text")
    return folder


def count(chapter):
    return sum(len(exercise.checks) for exercise in of_chapter(chapter))


BOTH = count("weighted-mean") + count("masks")


QUICK = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def grade(pytester, *arguments):
    return pytester.runpytest_inprocess("--grade", *QUICK, *arguments)


def test_a_folder_is_graded(pytester, handed_in):
    result = grade(pytester, "handed-in")
    result.stdout.fnmatch_lines([f"*= 1 failed, {BOTH} not attempted in *"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_several_paths_are_graded(pytester, handed_in):
    result = grade(pytester, "handed-in/text.ipynb", "handed-in/masks.ipynb")
    result.stdout.fnmatch_lines([f"*= 1 failed, {count('masks')} not attempted in *"])


def test_a_node_id_selects_a_check(pytester, handed_in):
    name = next(iter(get("causal_mask").checks))
    result = grade(pytester, "-v", f"handed-in/masks.ipynb::causal_mask::{name}")
    result.stdout.fnmatch_lines(
        [f"handed-in/masks.ipynb::causal_mask::{name} NOT ATTEMPTED*", "*= 1 not attempted in *"]
    )


def test_a_node_id_selects_an_exercise(pytester, handed_in):
    result = grade(pytester, "handed-in/masks.ipynb::causal_mask")
    found = len(get("causal_mask").checks)
    result.stdout.fnmatch_lines(
        [f"handed-in/masks.ipynb *causal_mask *0 of {found} passed*", f"*= {found} not attempted*"]
    )


def test_k_selects_by_name(pytester, handed_in):
    found = len(get("causal_mask").checks)
    result = grade(pytester, "-k", "causal_mask", "handed-in")
    result.stdout.fnmatch_lines([f"*= {BOTH - found + 1} deselected, {found} not attempted in *"])


def test_x_stops_at_the_first_failure(pytester, handed_in):
    result = grade(pytester, "-x", "handed-in/masks.ipynb")
    result.stdout.fnmatch_lines(["*= 1 not attempted in *"])


def test_collecting_only_names_every_check_and_runs_none(pytester, handed_in):
    result = grade(pytester, "--collect-only", "-q", "handed-in")
    lines = [line for line in result.outlines if "::" in line]
    assert len(lines) == BOTH + 1
    assert "handed-in/text.ipynb::unreadable" in lines
    assert result.ret == pytest.ExitCode.OK


def test_no_terminal_obeys_the_name_of_a_file_or_folder(pytester):
    folder = pytester.mkdir("handed-in") / "in\x1b[2J"
    folder.mkdir()
    (folder / "a\x1b]0;title\x07.py").write_text(IMPORTS + RIGHT, encoding="utf-8")
    (folder / "b\u202egpj.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "c\x1b[1m.ipynb").write_text("my homework", encoding="utf-8")
    arguments = "--grade", *QUICK, "-v", "--junitxml=j.xml", "handed-in"
    told = pytester.runpytest_subprocess(*arguments).stdout.str()  # it starts a worker
    assert f"in\\x1b[2J/a\\x1b]0;title\\x07.py  softmax            {ALL}" in told
    for word in ("\x1b[2J", "\x1b[1m", "\x1b]0", "\x07", "\u202e"):
        assert word not in told
        assert word not in (pytester.path / "j.xml").read_text(encoding="utf-8")


def test_a_folder_without_submissions_has_nothing_to_grade(pytester):
    pytester.mkdir("none")
    assert grade(pytester, "none").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_grading_nothing_is_an_error_of_use(pytester):
    result = pytester.runpytest_inprocess("--grade")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--grade needs at least one notebook, .py file or folder*"])


def test_a_path_that_is_not_there_is_an_error_of_use(pytester):
    assert grade(pytester, "missing.ipynb").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("name", ["pytest.ini", "tox.ini"])
def test_a_configuration_among_the_submissions_is_not_obeyed(pytester, handed_in, name):
    section = "[pytest]\n"
    (handed_in / name).write_text(section + "addopts = --junitxml=stolen.xml\n")
    result = grade(pytester, "handed-in")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{name} lies among the submissions and is not obeyed*"])
    told = grade(pytester, "-c", os.devnull, "--rootdir=.", "handed-in")
    told.stdout.fnmatch_lines([f"*= 1 failed, {BOTH} not attempted in *"])
    assert not list(pytester.path.rglob("stolen.xml"))


def test_the_file_after_c_is_no_submission(pytester, handed_in):
    result = grade(pytester, "-c", os.devnull, "handed-in/text.ipynb")
    result.stdout.fnmatch_lines(["*handed-in/text.ipynb*", "*= 1 failed in *"])
    assert "null" not in "".join(line for line in result.outlines if "passed" in line)


def test_an_isolation_that_is_not_to_be_had_is_an_error_of_use(pytester, handed_in):
    result = grade(pytester, "--grade-isolation=strongest", "handed-in")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*isolation must be one of auto, require, bubblewrap, *"])


def test_the_level_of_isolation_is_told(pytester, handed_in):
    result = grade(pytester, "--grade-isolation=limits", "handed-in/text.ipynb")
    result.stdout.fnmatch_lines(["isolation: limits", "Submissions are not confined here: *"])


def test_the_options_are_explained(pytester):
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(
        [
            "grading submissions to the course's exercises:",
            "*--grade *grade the notebooks and .py files in the given paths as",
            "*--grade-seconds=S*seconds of processor time that each exercise may take*",
            "*--grade-memory=GIB*",
            "*--grade-isolation=LEVEL*",
        ]
    )


def test_without_the_option_pytest_is_as_ever(pytester):
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef three():\n    return 3\n")
    pytester.makepyfile("def test_three(three):\n    assert three == 3\ndef softmax(x): pass\n")
    (pytester.path / "weighted-mean.ipynb").write_text(notebook("1 + 1"))
    result = pytester.runpytest_inprocess(*QUICK)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*submissions*")


# In every pytest of the environment, whatever it runs and however old it is

OLD = """
import sys
from types import ModuleType, SimpleNamespace

old = sys.modules["pytest"] = ModuleType("pytest")
old.hookimpl = lambda **options: lambda function: function
old.UsageError = type("UsageError", (Exception,), {})
old.__version__ = "7.4.4"
before = set(sys.modules)
from attncourse.grading import plugin

imported = {name for name in set(sys.modules) - before if name.startswith(("attncourse", "torch"))}
assert imported == {"attncourse", "attncourse.grading", "attncourse.grading.plugin"}, imported
options = []
group = SimpleNamespace(addoption=lambda name, **more: options.append(name))
plugin.pytest_addoption(SimpleNamespace(getgroup=lambda *words: group))
plugin.pytest_load_initial_conftests(None, ["tests"])
plugin.pytest_configure(SimpleNamespace(getoption=lambda name: False))
assert len(options) == 4
try:
    plugin.pytest_load_initial_conftests(None, ["--grade", "tests"])
except old.UsageError as error:
    print(error)
"""


def test_a_pytest_that_is_too_old_is_left_alone_and_does_not_grade():
    """All that this pytest has is what the plugin needs to be loaded."""
    done = subprocess.run([sys.executable, "-c", OLD], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == "--grade needs pytest 8.0 or newer: got 7.4.4\n"


IN_PYTEST_8_0 = {
    *("Collector", "Config", "Dir", "ExceptionInfo", "ExitCode", "File", "Item", "Parser"),
    *("TestReport", "UsageError", "hookimpl", "main", "skip", "__version__"),
}


@pytest.mark.parametrize("module", [plugin, table, items], ids=lambda module: module.__name__)
def test_nothing_is_asked_of_pytest_that_the_oldest_one_lacks(module):
    assert plugin.OLDEST == (8, 0)
    tree = ast.parse(inspect.getsource(module))
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "pytest"
    }
    assert asked <= IN_PYTEST_8_0
    assert len(asked) > 3


def test_the_extra_asks_for_the_oldest_pytest_that_grades():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = next(x for x in project["optional-dependencies"]["grade"] if x.startswith("pytest"))
    assert wanted == f"pytest>={plugin.OLDEST[0]}"
