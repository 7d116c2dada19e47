"""Reading a submission: what it answers is found, nothing is run, and nothing makes it crash."""

import contextlib
import json
import sys
import time
import warnings

import nbformat
import pytest

from attncourse.course.exercise import of_chapter
from attncourse.grading.confined import definitions, surroundings
from attncourse.grading.confined.definitions import Definitions
from attncourse.grading.judge import reading
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.content import LARGEST_FILE
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.submission import UnreadableError, read, settled
from attncourse.grading.judge.worker import Worker
from attncourse.grading.parsing.magics import to_python

SOFTMAX = "def softmax(x):\n    return x.exp() / x.exp().sum(-1, keepdim=True)\n"
NOTEBOOK = "attncourse.course.notebook"
CHAPTER = [exercise.name for exercise in of_chapter("scores-and-scaling")]


@pytest.fixture
def file(tmp_path):
    """Write a file and read it as a submission."""

    def submitted(text, name="answer.py"):
        path = tmp_path / name
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8")
        return read(path)

    return submitted


@pytest.fixture
def cells(file):
    """Write a notebook of code cells and read it as a submission."""

    def submitted(*sources, name="answer.ipynb", **metadata):
        made = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=made, metadata=metadata)
        return file(nbformat.writes(notebook), name)

    return submitted


def loaded(submission):
    """The functions that the worker would hold, once all has run; nothing fails."""
    done = run(submission)
    assert done.notes == []
    return done.functions


def run(submission):
    """What running the cells gives."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("__main__", "submission"):
            patch.setitem(sys.modules, name, sys.modules["__main__"])
        patch.setitem(sys.modules, NOTEBOOK, surroundings._silent_notebook())
        return Definitions(submission.cells).run()


# What is found


def test_definitions_of_exercises_are_found_in_a_notebook(cells):
    submission = cells("import torch", SOFTMAX, "def mine(x):\n    return x\n")
    assert submission.defined == {"softmax"}
    assert submission.exercises == ("softmax",)
    labels = [cell.label for cell in submission.cells]
    assert labels == ["code cell 1", "code cell 2", "code cell 3"]


def test_definitions_are_found_in_a_python_file(file):
    submission = file(f"import torch\n{SOFTMAX}")
    assert submission.defined == {"softmax"}
    assert [cell.label for cell in submission.cells] == ["answer.py"]


def test_only_code_cells_count_and_only_they_are_numbered(file):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(SOFTMAX),
            nbformat.v4.new_code_cell("1"),
            nbformat.v4.new_raw_cell(SOFTMAX),
            nbformat.v4.new_code_cell("def attention(q, k, v, *, mask=None): return v"),
        ]
    )
    submission = file(nbformat.writes(notebook), "a.ipynb")
    assert submission.defined == {"attention"}
    assert [cell.label for cell in submission.cells] == ["code cell 1", "code cell 2"]


def test_an_empty_cell_is_not_counted_as_jupyter_does_not(cells):
    assert [cell.label for cell in cells("", " \n", "1", "", "2").cells] == [
        "code cell 1",
        "code cell 2",
    ]


def test_exercises_come_in_the_order_of_the_course(file):
    text = "def attention(q, k, v): pass\ndef weighted_mean(w, v): pass\ndef softmax(x): pass\n"
    assert file(text).exercises == ("weighted_mean", "softmax", "attention")


@pytest.mark.parametrize(
    "text",
    [
        "async def softmax(x): pass",
        "class softmax: pass",
        "@staticmethod\ndef softmax(x): pass",
        "softmax = lambda x: x",
        "softmax: object = lambda x: x",
        "mine = lambda x: x\nsoftmax = mine",
        "def mine(x): return x\nsoftmax = mine",
        "def mine(x): return x\nother = softmax = mine",
        "if True:\n    def softmax(x): return x",
        "try:\n    import no_such\nexcept ImportError:\n    def softmax(x): return x",
        "with open('/dev/null'):\n    def softmax(x): return x",
        "for _ in range(2):\n    def softmax(x): return x",
        "while True:\n    def softmax(x): return x\n    break",
        "match 1:\n    case 1:\n        def softmax(x): return x",
    ],
)
def test_whatever_defines_the_name_counts(file, text):
    submission = file(text)
    assert submission.defined == {"softmax"}
    assert callable(loaded(submission)["softmax"])


@pytest.mark.parametrize(
    "text",
    [
        "softmax(x)",
        "softmax = weights / weights.sum()",
        "softmax = 3",
        "softmax: object",
        "softmax += 1",
        "softmax.seen = 1",
        "softmax[0] = lambda x: x",
        "def f():\n    def softmax(x): pass",
        "class Mine:\n    def softmax(x): pass",
        "from torch import softmax",
        "# def softmax(x): pass",
        "'''\ndef softmax(x): pass\n'''",
    ],
)
def test_whatever_does_not_define_it_does_not_count(file, text):
    assert file(text).defined == frozenset()


MAYBE = {
    "a partial": ("from functools import partial\nsoftmax = partial(max, 1)", True),
    "an instance": ("class M:\n    def __call__(self, x): return x\nsoftmax = M()", True),
    "a method": ("class M:\n    def f(self, x): return x\nsoftmax = M().f", True),
    "one of two": ("def a(x): return x\nsoftmax = a if True else None", True),
    "a table's": ("table = {'f': lambda x: x}\nsoftmax = table['f']", True),
    "what is checked": ("from attncourse import check\ncheck('softmax', lambda x: x)", True),
    "a result": ("def weights(x): return x\nsoftmax = weights(3)", False),
    "what is not there": ("softmax = other", False),
}


@pytest.mark.parametrize("what", MAYBE)
def test_what_may_be_a_function_is_settled_by_running_it(file, zygote, tmp_path, what):
    text, there = MAYBE[what]
    submission = file(text)
    assert (submission.defined, submission.unsure) == (frozenset(), {"softmax"})
    found = settled(submission, run(submission).functions)
    assert found.exercises == (("softmax",) if there else ())
    assert reading.read(tmp_path / "answer.py", zygote) == found


def test_a_function_under_another_name_counts_by_assignment(cells):
    submission = cells("def my_softmax(x):\n    return x + 1", "softmax = my_softmax")
    assert loaded(submission)["softmax"](1) == 2


def test_of_two_definitions_the_last_counts(cells):
    submission = cells("def softmax(x): return 1", "def softmax(x): return 2")
    assert loaded(submission)["softmax"](0) == 2


@pytest.mark.parametrize("demo", ["softmax = softmax(scores)", "softmax = 3", "del softmax"])
def test_a_demo_that_reuses_the_name_does_not_replace_the_function(cells, demo):
    submission = cells(f"{SOFTMAX}\nscores = __import__('torch').ones(3)", demo)
    assert callable(loaded(submission)["softmax"])


def test_an_import_does_not_replace_a_function_of_ones_own(cells):
    submission = cells("def softmax(x): return 2", "from torch import softmax, nn as layers")
    assert loaded(submission)["softmax"](0) == 2
    submission = cells("from torch import softmax", "def softmax(x): return 2")
    assert loaded(submission)["softmax"](0) == 2


def test_what_is_checked_by_name_counts_where_only_the_stub_has_the_name(cells):
    stub = "from attncourse import check\ndef softmax(x):\n    raise NotImplementedError"
    mine = "def mine(x): return 2\ncheck('softmax', mine)"
    assert loaded(cells(stub, mine))["softmax"](0) == 2
    own = "from attncourse import check\ndef softmax(x): return 3"
    assert loaded(cells(own, mine))["softmax"](0) == 3


# What is expected of a chapter's notebook


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("scores-and-scaling.ipynb", {}, CHAPTER),
        ("renamed.ipynb", {"attncourse": {"chapter": "scores-and-scaling"}}, CHAPTER),
        ("masks.ipynb", {"attncourse": {"chapter": "scores-and-scaling"}}, CHAPTER),
        ("scores-and-scaling (1).ipynb", {}, []),
        ("renamed.ipynb", {"attncourse": {"chapter": "no-such"}}, []),
        ("renamed.ipynb", {"attncourse": {"chapter": ["masks"]}}, []),
        ("renamed.ipynb", {"attncourse": {}}, []),
    ],
)
def test_all_exercises_of_its_chapter_are_expected(cells, name, metadata, expected):
    submission = cells("1 + 1", name=name, **metadata)
    assert list(submission.exercises) == expected
    assert submission.defined == frozenset()


def test_a_helper_that_bears_the_name_of_another_chapters_exercise_is_not_graded(cells):
    submission = cells("def weighted_mean(w, v): pass", name="scores-and-scaling.ipynb")
    assert list(submission.exercises) == list(CHAPTER)


# What is run and what is not


RUN = {
    "a constant": "SCALE = 2\ndef softmax(x): return SCALE * x",
    "in a default": "TWO = 2\ndef softmax(x, n=TWO): return n * x",
    "added to": "A = 1\nA += 1\ndef softmax(x): return A * x",
    "an item": "A = {}\nA['k'] = 2\ndef softmax(x): return A['k'] * x",
    "a table filled": "A = {}\nA.update(k=2)\ndef softmax(x): return A['k'] * x",
    "a list filled in a loop": "A = []\nfor i in range(3): A.append(i)\n"
    "def softmax(x): return A[2] * x",
    "one of two": "import torch\nif torch.cuda.is_available() or True:\n    n = 2\n"
    "else:\n    n = 3\ndef softmax(x): return n * x",
    "an import that fails": "try:\n    import no_such as m\nexcept ImportError:\n    m = None\n"
    "def softmax(x): return 2 * x if m is None else x",
    "an import in Colab": "IN_COLAB = 'google.colab' in str(get_ipython())\nif IN_COLAB:\n"
    "    from google.colab import drive\ndef softmax(x): return 2 * x",
    "a setting for a block": "import torch\nwith torch.no_grad():\n    n = torch.tensor(2)\n"
    "def softmax(x): return int(n) * x",
    "a data class": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass C:\n    n: 'int' = 2\ndef softmax(x): return C().n * x",
    "type hints": "from typing import get_type_hints\nclass C:\n    n: 'C'\n"
    "assert get_type_hints(C)['n'] is C\ndef softmax(x): return 2 * x",
    "an assertion": "def softmax(x): return 2 * x\nassert softmax(1) == 2",
    "its own text": "import inspect\ndef softmax(x): return 2 * x\n"
    "assert inspect.getsource(softmax)",
    "code from a text": "exec('def softmax(x): return 2 * x')",
    "what is awaited": "import asyncio\nasync def two(): return 2\nn = await two()\n"
    "await asyncio.sleep(0)\ndef softmax(x): return n * x",
    "global names": "def set_two():\n    global n\n    n = 2\nset_two()\n"
    "def softmax(x): return n * x",
    "a main part": "if __name__ == '__main__':\n    def softmax(x): return 2 * x",
}


@pytest.mark.parametrize("what", RUN)
def test_a_notebook_means_what_it_means_after_run_all(cells, what):
    assert loaded(cells(RUN[what]))["softmax"](3) == 6


def test_a_future_lasts_from_its_cell_on(cells):
    used = "def softmax(x: NoSuch) -> Other: return 2 * x"
    assert loaded(cells("from __future__ import annotations", used))["softmax"](3) == 6
    assert run(cells(used)).notes == [
        "code cell 1, line 1: NameError: name 'NoSuch' is not defined"
    ]


def test_a_file_is_imported_and_its_main_part_left_alone(file):
    assert loaded(file(f"{SOFTMAX}\nif __name__ == '__main__':\n    1 / 0"))["softmax"]


FAILS = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise SystemExit": "SystemExit",
    "exit(3)": "SystemExit: 3",
    "assert False": "AssertionError",
    "raise ValueError('a\\nb')": "ValueError: a",
    "(lambda: 1 / 0)()": "ZeroDivisionError: division by zero",
}


@pytest.mark.parametrize("line", FAILS)
def test_a_cell_that_fails_keeps_what_it_has_bound_and_costs_only_its_rest(cells, line):
    done = run(cells(f"def one(x): return 1\n{line}\ndef two(x): return 2", SOFTMAX))
    assert {"one", "softmax"} <= done.functions.keys()
    assert "two" not in done.functions
    (note,) = done.notes
    assert note.startswith("code cell 1, line 2: ")
    assert note.endswith("; the rest of it did not run")
    assert note == f"code cell 1, line 2: {FAILS[line]}; the rest of it did not run"


ONLY_HERE = {
    "a package that is not here": "import no_such as m\ny = m.f(1)",
    "a file of the learner's": "with open('no-such.json') as f:\n    y = f.read()\nprint(y)",
    "a file to be written": "import torch\ntorch.save(torch.ones(2), '/x.pt')",
    "the course's own": "from attncourse import softmax as s\nimport torch\ny = s(torch.ones(2))\n"
    "assert y is not None",
}


@pytest.mark.parametrize("what", ONLY_HERE)
def test_what_fails_only_here_costs_only_itself_and_is_noted_once(file, cells, zygote, what):
    submission = cells(f"{ONLY_HERE[what]}\n{SOFTMAX}")
    with Worker(submission, Limits(), zygote) as worker:
        assert worker.has("softmax")
        assert len(worker.notes) == 1
        assert "did not run" not in worker.notes[0]


def test_what_is_logged_when_it_is_called_is_printed(cells, zygote):
    logs = "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('early')"
    submission = cells(logs, "def softmax(x):\n    logging.info('called')\n    return x")
    with Worker(submission, Limits(), zygote) as worker:
        assert RemoteAnswer(worker, "softmax").run(None, [1], {}).value == 1
        worker.stop()
        assert worker.log.text().strip() == "INFO:root:called"


ALIVE = {
    "compiled": "import torch\n@torch.compile\ndef softmax(x): return x",
    "compiled with options": "import torch\n@torch.compile(dynamic=True)\ndef softmax(x): return x",
    "all of the course": "from attncourse import *\ndef softmax(x): return x",
    "of the main module": "K = 1\nfrom __main__ import K as one\ndef softmax(x): return one * x",
    "dispatched": "from functools import singledispatch\n@singledispatch\ndef softmax(x): return x",
    "a pickled class": "import pickle\nclass C: pass\nassert pickle.loads(pickle.dumps(C()))\n"
    "def softmax(x): return x",
    "its tests": "import unittest\ndef softmax(x): return x\nclass T(unittest.TestCase):\n"
    "    def test(self): self.assertEqual(softmax(1), 1)\n"
    "unittest.main(argv=[''], exit=False)",
    "a builtin's name": "sum = 0\nfor i in range(3): sum += i\ndef softmax(x): return x",
    "a setting for all": "import torch\ntorch.set_default_dtype(torch.float64)\n"
    "def softmax(x): return x",
    "a walrus": "if (softmax := lambda x: x): pass",
}


@pytest.mark.parametrize("what", ALIVE)
def test_what_people_write_runs_in_a_worker_as_in_jupyter(cells, zygote, what):
    with Worker(cells(ALIVE[what]), Limits(), zygote) as worker:
        for _ in range(2):
            worker.begin()
            assert RemoteAnswer(worker, "softmax").run(None, [1], {}).value == 1
            assert worker.notes == ()


def test_in_a_file_a_statement_that_fails_costs_only_itself(file):
    done = run(file("1 / 0\ndef softmax(x): return undefined\nx = undefined\n"))
    assert "softmax" in done.functions
    assert done.notes == [
        "answer.py, line 1: ZeroDivisionError: division by zero",
        "answer.py, line 3: NameError: name 'undefined' is not defined",
    ]


def test_of_a_long_statement_the_line_that_failed_is_told(cells):
    (note,) = run(cells("for i in range(3):\n    x = 1\n    y = 1 / (1 - i)")).notes
    assert note == "code cell 1, line 3: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("while True: pass", "it computed for too long"),
        ("while True:\n    try: 1\n    except Exception: 2", "it computed for too long"),
        ("import time; time.sleep(1000)", "it waited for too long"),
    ],
)
def test_a_cell_without_an_end_is_stopped_and_costs_only_its_rest(cells, monkeypatch, line, told):
    monkeypatch.setattr(definitions, "LONGEST", 0.4)
    submission = cells("def one(x): return 1", line, SOFTMAX)
    held = Definitions(submission.cells)
    first, again = held.run(), held.run()
    assert {"one", "softmax"} <= first.functions.keys()
    assert [note.partition(" was stopped: ")[2] for note in first.notes] == [told]
    assert again.same(first)


def test_what_is_printed_while_cells_run_is_not_kept(cells, capsys):
    loaded(cells("print('demo')", SOFTMAX, "import sys\nprint('error', file=sys.stderr)"))
    assert capsys.readouterr() == ("", "")


def test_two_runs_draw_the_same_numbers(cells):
    submission = cells("import random, torch\nA = random.random(), float(torch.rand(()))", SOFTMAX)
    ask = "def numbers(): return A"
    first, again = (loaded(cells(*(c.source for c in submission.cells), ask)) for _ in range(2))
    assert first["numbers"]() == again["numbers"]()


# What is stood in for


def test_a_bar_runs_through_what_it_is_about(cells):
    source = (
        "from tqdm import tqdm, trange\nfrom tqdm.auto import tqdm as auto\nn = 0\n"
        "for i in tqdm(range(3)): n += i\nfor i in trange(3, desc='x'): n += i\n"
        "bar = auto([4])\nfor i in bar:\n    n += i\n    bar.set_postfix(n=n)\n"
        "def softmax(x): return n"
    )
    with without("tqdm"):
        assert loaded(cells(source))["softmax"](0) == 10


def test_what_draws_takes_every_call_and_is_told(cells):
    source = (
        "import matplotlib.pyplot as plt\nfig, axes = plt.subplots(1, 2)\n"
        "for ax, name in zip(axes, 'ab'): ax.set_title(name)\naxes[0].imshow([[1]])\n"
        "plt.xlim(0, 2 * fig.dpi + 1)\nassert len(axes) == 2\nplt.show()"
    )
    with without("matplotlib"):
        done = run(cells(source, SOFTMAX))
    assert done.notes == ["skipped, as nothing is drawn here: matplotlib"]


def test_what_makes_a_function_interactive_leaves_it_what_it_is(cells):
    source = "from ipywidgets import interact\n@interact\ndef one(x): return 1\n"
    source += "@interact(n=(1, 3))\ndef softmax(x): return 2"
    with without("ipywidgets"):
        done = loaded(cells(source))
    assert (done["one"](0), done["softmax"](0)) == (1, 2)


@contextlib.contextmanager
def without(package):
    """As in a worker, where the package is not there but stood in for."""
    finder = surroundings._Modules()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            patch.delitem(sys.modules, name)
        patch.setattr(sys, "meta_path", [finder, *sys.meta_path])
        yield
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]


# Magics


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("%matplotlib inline", ""),
        ("%load_ext autoreload", ""),
        ("%pip install -q attncourse", ""),
        ("%pip install -q torch", "%pip"),
        ("!ls -l", "!ls"),
        ("!pip install \\\n    torch \\\n    numpy", "!pip"),
        ("files = !ls", "!ls"),
        ("files=!ls", "!ls"),
        ("now = %time 1 + 1", ""),
        ("here = %env HOME", "%env"),
        ("%timeit 1 / 0", "%timeit"),
        ("softmax?", ""),
        ("torch.nn.Linear??", ""),
        ("?softmax", ""),
        ("%%time", ""),
        ("%%capture out\nx = 1", ""),
        ("%%prun -l 3", ""),
    ],
)
def test_a_cell_with_magics_keeps_its_definitions_and_its_line_numbers(cells, line, left_out):
    source = f"{line}\n{SOFTMAX}"
    submission = cells(source)
    told = f"skipped, as only IPython runs it: {left_out} (code cell 1)"
    assert submission.notes == ((told,) if left_out else ())
    assert submission.defined == {"softmax"}
    assert to_python(source)[0].count("\n") == source.count("\n")
    function = loaded(submission)["softmax"]
    assert function.__code__.co_firstlineno == 2 + line.count("\n")


@pytest.mark.parametrize("magic", ["%%bash", "%%html", "%%writefile", "%%javascript", "%%timeit"])
def test_a_cell_in_another_language_is_left_out_and_told(cells, magic):
    submission = cells(f"{magic} x.py\n{SOFTMAX}", f"\n\n{magic}\nfor x in *; do echo; done")
    told = f"skipped, as only IPython runs it: {magic} (code cell 1, code cell 2)"
    assert (submission.defined, submission.notes) == (frozenset(), (told,))


def test_what_a_magic_runs_is_run(cells):
    done = loaded(cells("%time n = 2\n%prun m = n + 1\np = %time m + 1\ndef softmax(x): return p"))
    assert done["softmax"](0) == 4


def test_what_the_shell_would_have_said_is_nothing(cells):
    done = loaded(cells("files = !ls\nn = len(files)\nhome = %env HOME\ndef softmax(x): return n"))
    assert done["softmax"](0) == 0


def test_a_magic_inside_a_function_is_passed_over(cells):
    submission = cells("def softmax(x):\n    %time y = x + 1\n    !ls\n    return y\n")
    assert loaded(submission)["softmax"](3) == 4


COLAB = '''# -*- coding: utf-8 -*-
"""masks.ipynb

Automatically generated by Colab.

Original file is located at
    https://colab.research.google.com/drive/1
"""

# Where the course is missing (Colab, Kaggle) this installs it; torch and numpy stay as they are.
import importlib.util

if importlib.util.find_spec("attncourse") is None:
# Commented out IPython magic to ensure Python compatibility.
#     %pip install -q --no-deps "attncourse @ git+https://example.org"

import torch
!pip install einops

"""## Softmax"""

def softmax(x):
    return x
'''


def test_a_download_from_colab_is_read(file):
    submission = file(COLAB)
    assert submission.defined == {"softmax"}
    assert submission.notes == ("skipped, as only IPython runs it: !pip (answer.py)",)
    assert loaded(submission)["softmax"].__code__.co_firstlineno == COLAB.count("\n") - 1


TIMED = """import torch

# Commented out IPython magic to ensure Python compatibility.
# %%time
# # the largest first
# def softmax(x):
#     y = x - x.amax()
#
#     return y

n = 1
"""


def test_a_cell_that_colab_made_comments_of_is_read(file):
    submission = file(TIMED)
    assert submission.defined == {"softmax"}
    assert submission.notes == ()
    softmax = loaded(submission)["softmax"]
    assert softmax.__code__.co_firstlineno == 6
    assert softmax.__code__.co_varnames == ("x", "y")


@pytest.mark.parametrize(
    "cell", ["%%bash\n# def softmax(x): ...", "%%time\n# nothing, or def softmax(x)"]
)
def test_other_comments_stay_comments(file, cell):
    head = "# Commented out IPython magic to ensure Python compatibility.\n"
    assert file(f"{head}# {cell}\n\nn = 1").defined == set()


@pytest.mark.parametrize("text", ["if True:\n# nothing\nx = 1", "if True:\nx = 1"])
def test_a_block_that_is_empty_for_another_reason_is_an_error(file, text):
    (note,) = file(text).notes
    assert "expected an indented block" in note


def test_a_line_of_python_that_begins_like_a_magic_is_kept(cells):
    submission = cells(
        'def softmax(x):\n    """\n    %time\n    """\n    return (x\n        % 5)\n'
    )
    function = loaded(submission)["softmax"]
    assert function(13) == 3
    assert function.__doc__.strip() == "%time"


# Cells that cannot be read


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("def f(:\n    pass", "code cell 2 could not be read: line 1: invalid syntax: `def f(:`"),
        ("x = 1\n\nreturn x +", "code cell 2 could not be read: line 3: invalid syntax"),
        ("if True:\n1", "code cell 2 could not be read: line 2: expected an indented block"),
        ("x = '\x00'", "code cell 2 could not be read: "),
        (
            "return 3",
            "code cell 2 could not be read: line 1: 'return' outside function: `return 3`",
        ),
        ("(" * 10_000, "code cell 2 could not be read: line 1: too many nested parentheses"),
    ],
)
def test_a_cell_that_does_not_parse_is_reported_and_costs_only_itself(cells, source, note):
    submission = cells("import math", source, SOFTMAX)
    assert submission.defined == {"softmax"}
    assert len(submission.notes) == 1
    assert submission.notes[0].startswith(note)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "1+" * 200_000 + "1",
        "x = " + "1+" * 200_000 + "1\ndef f(): return x",
        "def softmax(x): return " + "-" * 5_000 + "x",
        "x" + ".y" * 50_000,
        "x = " + "[" * 150 + "]" * 150,
        "if 1:\n" + "".join(" " * i + "if 1:\n" for i in range(1, 120)) + " " * 120 + "pass",
    ],
    ids=lambda text: text[:12].strip(),
)
def test_code_that_nests_too_deeply_is_read_in_bounded_time(file, text):
    before = time.process_time()
    submission = file(text)
    assert all(note.startswith("answer.py could not be read: ") for note in submission.notes)
    assert time.process_time() - before < 5


def test_what_would_stand_in_a_cell_that_cannot_be_read_is_known(cells):
    submission = cells("def softmax(x:\n    return", "def other():\n    nonlocal x\n", "1")
    names = [(function.name, function.label) for function in submission.functions]
    assert names == [("softmax", "code cell 1"), ("other", "code cell 2")]
    assert submission.exercises == ("softmax",)
    assert cells("def softmax(x:\n    return").exercises == ()  # nothing can be read: no 0


def test_a_backslash_in_a_docstring_warns_no_one(file, cells):
    text = 'def softmax(x):\n    """\\sqrt{d}"""\n    return x is 1\n'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert file(text).defined == cells(text).defined == {"softmax"}


# Files that cannot be read


NOT_A_NOTEBOOK = "answer.ipynb is not a Jupyter notebook: "
FORM = f"{NOT_A_NOTEBOOK}its JSON does not have the form of one"

UNREADABLE = {
    "empty": ("", "answer.ipynb is empty"),
    "blank": (" \n\n", "answer.ipynb is empty"),
    "not JSON": ("def softmax(x): pass", f"{NOT_A_NOTEBOOK}it is not JSON"),
    "half a notebook": ('{"cells": [', f"{NOT_A_NOTEBOOK}it is not JSON"),
    "not UTF-8": (b'{"cells": "\xff"}', "answer.ipynb is not a text file in UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00", "answer.ipynb is not a text file in UTF-8"),
    "null": ("null", FORM),
    "a number": ("3", FORM),
    "a list": ("[]", FORM),
    "no format": ("{}", FORM),
    "a future format": ('{"nbformat": 99, "nbformat_minor": 0, "cells": []}', FORM),
    "no cells": ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', FORM),
    "cells that are none": (
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3, "x"]}',
        FORM,
    ),
    "metadata that are none": (
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"attncourse": 3}, "cells": []}',
        FORM,
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_is_no_notebook_is_refused_in_one_sentence(file, what):
    text, sentence = UNREADABLE[what]
    with pytest.raises(UnreadableError) as caught:
        file(text, "answer.ipynb")
    assert str(caught.value) == sentence


def test_json_that_nests_too_deeply_is_refused(file):
    with pytest.raises(UnreadableError, match=NOT_A_NOTEBOOK):
        file("[" * 200_000, "answer.ipynb")


def test_a_file_that_is_too_large_is_refused(file, tmp_path):
    with pytest.raises(UnreadableError, match="^answer.py is larger than 8 MiB$"):
        file(b"#" * (LARGEST_FILE + 1))
    assert file(b"#" * LARGEST_FILE).defined == frozenset()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.ipynb", "missing.ipynb cannot be read: No such file or directory"),
        ("folder.py", "folder.py cannot be read: Is a directory"),
        ("folder.py/deeper.py", "deeper.py cannot be read: No such file or directory"),
        ("file.py/deeper.py", "deeper.py cannot be read: Not a directory"),
        ("loop.py", "loop.py cannot be read: Too many levels of symbolic links"),
    ],
)
def test_a_path_that_is_no_file_is_refused_in_one_sentence(tmp_path, name, sentence):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "file.py").write_text("1")
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path / name)
    assert str(caught.value) == sentence


# Notebooks of other makers


def raw(**cell):
    """A notebook's JSON with one cell."""
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []} | cell
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    return json.dumps(notebook)


def test_a_notebook_without_cell_ids_is_read_without_a_warning(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert file(raw(source=SOFTMAX), "a.ipynb").defined == {"softmax"}


def test_a_source_may_be_a_list_of_lines(file):
    text = raw(source=SOFTMAX.splitlines(keepends=True))
    assert file(text, "a.ipynb").defined == {"softmax"}


@pytest.mark.parametrize("source", [3, None, {"a": 1}, [["x"]]])
def test_a_source_of_the_wrong_kind_is_no_crash(file, source):
    try:
        assert file(raw(source=source), "a.ipynb").defined == frozenset()
    except UnreadableError as error:
        assert str(error).startswith("a.ipynb is not a Jupyter notebook")


def test_a_notebook_of_format_3_is_read(file):
    cell = {"cell_type": "code", "input": SOFTMAX, "language": "python", "outputs": []}
    sheets = [{"cells": [cell | {"metadata": {}, "collapsed": False}], "metadata": {}}]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": sheets}
    assert file(json.dumps(old), "a.ipynb").defined == {"softmax"}


def test_a_byte_order_mark_is_no_obstacle(file):
    assert file(f"\ufeff{SOFTMAX}").defined == {"softmax"}


# Hostile texts


@pytest.mark.parametrize(
    "source",
    ["X = " + "1+" * 200_000 + "1", "(" * 50_000, "x" + ".y" * 100_000, "\n" * 10**6, "[[" * 90],
    ids=["a long sum", "brackets", "attributes", "empty lines", "lists"],
)
def test_a_hostile_text_is_read_in_bounded_time(tmp_path, zygote, source):
    path = tmp_path / "answer.py"
    path.write_text(f"def softmax(x): return x\n{source}\n")
    before = time.process_time()
    try:
        submission = reading.read(path, zygote)
        assert submission.notes or submission.defined
    except UnreadableError as error:
        assert str(error).endswith("it takes too much time or memory")
    assert time.process_time() - before < 5  # the judge; the process that parses has limits


def test_a_notebook_is_read_there_as_here(tmp_path, zygote):
    path = tmp_path / "masks.ipynb"
    made = [nbformat.v4.new_code_cell(f"%time\n{SOFTMAX}"), nbformat.v4.new_code_cell("def (:")]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=made)))
    assert reading.read(path, zygote) == read(path)


def test_a_link_is_followed_only_where_nothing_is_a_strangers(tmp_path, zygote):
    (tmp_path / "real.py").write_text(SOFTMAX)
    (tmp_path / "link.py").symlink_to(tmp_path / "real.py")
    assert read(tmp_path / "link.py").defined == {"softmax"}
    with pytest.raises(UnreadableError, match=r"^link\.py is a link$"):
        reading.read(tmp_path / "link.py", zygote)


def test_a_notebook_of_deep_json_is_refused_in_bounded_time(tmp_path, zygote):
    path = tmp_path / "deep.ipynb"
    path.write_text('{"cells":' * 800_000)
    with pytest.raises(UnreadableError):
        reading.read(path, zygote)
