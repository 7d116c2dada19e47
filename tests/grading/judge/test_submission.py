"""Reading a submission: the definitions are found, nothing is run, and nothing makes it crash."""

import json
import time
import warnings

import nbformat
import pytest

from attncourse.course.exercise import of_chapter
from attncourse.grading.confined.definitions import Definitions
from attncourse.grading.judge import reading
from attncourse.grading.judge.content import LARGEST_FILE
from attncourse.grading.judge.submission import UnreadableError, read, shortcut
from attncourse.grading.parsing.parser import without_magics

SOFTMAX = "def softmax(x):\n    return x.exp() / x.exp().sum(-1, keepdim=True)\n"
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


def names_of(submission):
    """The names that the submission itself binds in the worker."""
    return {name for name in loaded(submission) if not name.startswith("__")}


def loaded(submission):
    """What the worker would hold, having run the statements that are kept."""
    namespace, notes = Definitions(submission.cells).run()
    assert notes == []
    return namespace


# What is found


def test_definitions_of_exercises_are_found_in_a_notebook(cells):
    submission = cells("import torch", SOFTMAX, "def mine(x):\n    return x\n")
    assert submission.defined == {"softmax"}
    assert submission.exercises == ("softmax",)
    assert [(cell.label, cell.keep) for cell in submission.cells] == [
        ("code cell 1", (0,)),
        ("code cell 2", (0,)),
        ("code cell 3", (0,)),
    ]


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
    assert [cell.label for cell in submission.cells] == ["code cell 2"]


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
        "softmax = other",
        "softmax.seen = 1",
        "softmax[0] = lambda x: x",
        "def f():\n    def softmax(x): pass",
        "class Mine:\n    def softmax(x): pass",
        "if True:\n    def softmax(x): pass",
        "from torch import softmax",
        "# def softmax(x): pass",
        "'''\ndef softmax(x): pass\n'''",
    ],
)
def test_whatever_does_not_define_it_does_not_count(file, text):
    assert file(text).defined == frozenset()


def test_a_function_under_another_name_counts_by_assignment(cells):
    submission = cells("def my_softmax(x):\n    return x + 1", "softmax = my_softmax")
    assert loaded(submission)["softmax"](1) == 2


def test_of_two_definitions_the_last_counts(cells):
    submission = cells("def softmax(x): return 1", "def softmax(x): return 2")
    assert loaded(submission)["softmax"](0) == 2


def test_a_demo_that_reuses_the_name_does_not_replace_the_function(cells):
    submission = cells(SOFTMAX, "softmax = softmax(scores)", "softmax = 3")
    assert callable(loaded(submission)["softmax"])


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


@pytest.mark.parametrize(
    "demo",
    [
        "1 / 0",
        "while True: pass",
        "input()",
        "print(softmax(scores))",
        "x = input()",
        "for i in range(10**12): pass",
        "exit()",
        "import_nothing = open('/no/such/file')",
        "if True: raise SystemExit",
        "with open('/no/such/file') as f: pass",
        "try:\n    1 / 0\nfinally:\n    pass",
        "assert False",
        "del nothing",
        "await something",
        "[i for i in range(10**12)]",
        "lambda: 0",
        "nothing += 1",
        "nothing: int",
    ],
)
def test_a_demo_is_not_run(cells, demo):
    submission = cells(f"{demo}\n{SOFTMAX}", demo)
    assert [(cell.label, len(cell.keep)) for cell in submission.cells] == [("code cell 1", 1)]
    assert names_of(submission) == {"softmax"}


KEPT = {
    "a constant": ("SCALE = 3\ndef softmax(x): return SCALE * x", {"SCALE"}),
    "of a constant": ("A = 1\nB = A + 1\nC = B + 1\ndef softmax(x): return C", {"A", "B", "C"}),
    "in a default": ("EPS = 1\ndef softmax(x, eps=EPS): return eps", {"EPS"}),
    "in a decorator": ("D = staticmethod\n@D\ndef softmax(x): return 1", {"D"}),
    "in an annotation": ("T = int\ndef softmax(x: T): return 1", {"T"}),
    "in a helper": (
        "S = 2\ndef helper(): return S\ndef softmax(x): return helper()",
        {"S", "helper"},
    ),
    "in an inner function": (
        "S = 2\ndef softmax(x):\n    def inner(): return (lambda: S)()\n    return inner()",
        {"S"},
    ),
    "in a comprehension": ("S = 2\ndef softmax(x): return [S for _ in x]", {"S"}),
    "in a class": ("S = 2\nclass Box:\n    size = S\ndef softmax(x): return 1", {"S", "Box"}),
    "several at once": ("A, (B, *C) = 1, (2, 3)\ndef softmax(x): return B", {"A", "B", "C"}),
    "added to": ("A = 1\nA += 1\ndef softmax(x): return A", {"A"}),
    "an item": ("A = {}\nA['k'] = 1\ndef softmax(x): return A['k']", {"A"}),
    "with a type": ("A: int = 1\ndef softmax(x): return A", {"A"}),
    "a lambda": ("half = lambda x: x / 2\ndef softmax(x): return half(x)", {"half"}),
    "not a local name": ("A = 1 / 0\ndef softmax(A): return A", set()),
    "not a local variable": ("A = 1 / 0\ndef softmax(x):\n    A = x\n    return A", set()),
    "not an attribute": ("A = 1 / 0\ndef softmax(x): return x.A", set()),
    "not a string": ("A = 1 / 0\ndef softmax(x): return 'A'", set()),
}


@pytest.mark.parametrize("case", KEPT)
def test_an_assignment_is_kept_if_a_definition_uses_it(file, case):
    text, names = KEPT[case]
    assert names_of(file(text)) == {"softmax", *names}


def test_an_assignment_is_kept_wherever_it_stands(file):
    (cell,) = file("def softmax(x): return B\nB = A\nA = 1").cells
    assert cell.keep == (0, 1, 2)


# Magics


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline",
        "%pip install -q torch",
        "!ls -l",
        "!pip install \\\n    torch \\\n    numpy",
        "files = !ls",
        "files=!ls",
        "now = %time 1 + 1",
        "softmax?",
        "torch.nn.Linear??",
        "?softmax",
        "%%time\n1 / 0",
        "%%capture out\nx = 1",
    ],
)
def test_a_cell_with_magics_keeps_its_definitions_and_its_line_numbers(cells, line):
    source = f"{line}\n{SOFTMAX}"
    submission = cells(source)
    assert submission.notes == ()
    assert submission.defined == {"softmax"}
    assert without_magics(source).count("\n") == source.count("\n")
    function = loaded(submission)["softmax"]
    assert function.__code__.co_firstlineno == 2 + line.count("\n")


@pytest.mark.parametrize("magic", ["%%bash", "%%html", "%%writefile softmax.py", "%%javascript"])
def test_a_cell_in_another_language_is_left_out(cells, magic):
    submission = cells(f"{magic}\n{SOFTMAX}", f"\n\n{magic}\nfor x in *; do echo; done")
    assert (submission.defined, submission.notes) == (frozenset(), ())


def test_a_magic_inside_a_function_is_passed_over(cells):
    submission = cells("def softmax(x):\n    %time y = x + 1\n    !ls\n    return x\n")
    assert loaded(submission)["softmax"](3) == 3


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
        ("def f(:\n    pass", "code cell 2 could not be read: line 1: invalid syntax"),
        ("x = 1\n\nreturn x +", "code cell 2 could not be read: line 3: invalid syntax"),
        ("if True:\n1", "code cell 2 could not be read: line 2: expected an indented block"),
        ("x = '\x00'", "code cell 2 could not be read: "),
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


def test_a_kept_cell_that_compiles_in_no_way_is_kept_for_the_worker_to_report(file):
    submission = file(f"def other():\n    nonlocal x\n{SOFTMAX}")
    assert submission.defined == {"softmax"}


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


# Forbidden functions, by the text alone


SHORTCUTS = {
    "a call": ("def f(x): return torch.softmax(x, -1)", True),
    "a method": ("def f(x): return x.softmax(-1)", True),
    "a module's": ("def f(x): return torch.nn.functional.softmax(x)", True),
    "an import": ("from torch import softmax\ndef f(x): return softmax(x, -1)", True),
    "an import by another name": (
        "from torch import softmax as s\ndef f(x): return s(x, -1)",
        True,
    ),
    "an import inside": (
        "def f(x):\n    from torch import softmax as s\n    return s(x, -1)",
        True,
    ),
    "another package's": ("def f(x): return scipy.special.softmax(x)", True),
    "a string": ("def f(x): return getattr(torch, 'softmax')(x, -1)", True),
    "an alias": ("s = torch.softmax\ndef f(x): return s(x, -1)", True),
    "through a helper": ("def g(x): return x.softmax(-1)\ndef f(x): return g(x)", True),
    "a class": (
        "class L:\n    def g(self, x): return x.softmax(-1)\ndef f(x): return L().g(x)",
        True,
    ),
    "what computes the same": ("def f(x): return x.log_softmax(-1).exp()", True),
    "none": ("def f(x): return x.exp() / x.exp().sum(-1)", False),
    "one's own": ("def softmax(x): return x.exp()\ndef f(x): return softmax(x)", False),
    "one's own method": (
        "class L:\n    def softmax(self, x): return x\ndef f(x): return L().softmax(x)",
        False,
    ),
    "a string of text": ("def f(x):\n    'No softmax here.'\n    return x, 'softmax'", False),
    "elsewhere": ("def demo(x): return torch.softmax(x, -1)\ndef f(x): return x", False),
    "a demo": ("def f(x): return x\nprint(torch.softmax(f(1)))", False),
}


@pytest.mark.parametrize("what", SHORTCUTS)
def test_a_forbidden_function_is_seen_where_an_answer_uses_it(file, what):
    source, seen = SHORTCUTS[what]
    told = shortcut(file(source), "f", ("softmax",))
    if seen:
        assert told.startswith(
            "this exercise asks you to write it yourself: softmax is not allowed (answer.py, line "
        )
    else:
        assert told is None


@pytest.mark.parametrize(
    "source",
    ["X = " + "1+" * 200_000 + "1", "(" * 50_000, "x" + ".y" * 100_000, "\n" * 10**6, "[[" * 90],
    ids=["a long sum", "brackets", "attributes", "empty lines", "lists"],
)
def test_a_hostile_text_is_read_in_bounded_time(tmp_path, zygote, source):
    path = tmp_path / "answer.py"
    path.write_text(f"def softmax(x): return x\n{source}\n")
    before = time.monotonic()
    try:
        submission = reading.read(path, zygote)
        assert submission.notes or submission.defined
    except UnreadableError as error:
        assert str(error).endswith("it takes too much time or memory")
    assert time.monotonic() - before < 60


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
