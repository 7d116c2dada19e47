"""Where inputs are secret, what an author is told holds none of them, and says what is wrong."""

import re
from pathlib import Path

import pytest

from attncourse.course.checking import CheckResult, Result
from attncourse.course.exercise import get
from attncourse.grading.judge import veil
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import grade
from attncourse.grading.judge.submission import Cell, Submission, read
from attncourse.grading.judge.veil import NOT_SHOWN, SENTENCES, Veil
from attncourse.grading.judge.worker import Worker

SOURCE = "def softmax(x):\n    return x @ k\nclass Own(Exception): pass\nraise Own('my words')\n"
HIDDEN = f"; {NOT_SHOWN}."


@pytest.fixture(scope="module")
def over():
    """What the veil makes of one message."""
    cell = Cell("a.py", SOURCE, script=True)
    made = Veil(Submission(Path("a.py"), (cell,)), {5, 8, 37, 40}, ("softmax",))

    def one(message):
        check = CheckResult("c", "it", "failed", message, unusable=True)
        return made.over(Result("softmax", (check,))).checks[0].message

    return one


SHOWN = [
    "your function raised MemoryError: there is not enough memory (a.py, line 2: return x @ k)",
    "your function returned a float64 tensor of shape (37, 8); expected a float64 tensor of shape "
    "(5, 8).",
    "your function returned a tuple of 2; expected a float64 tensor of shape (5, 8).",
    "your function returned a sparse_coo tensor of float64; expected a float64 tensor of shape "
    "(5, 8).",
    "part 1 of your result came as None; expected a float64 tensor of shape (5, 8).",
    "your function raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (5x8 and 37x8) "
    "(a.py, line 2: return x @ k)",
    "your function raised Own: my words (a.py, line 4: raise Own('my words'))",
    "your function raised ZeroDivisionError: division by zero",
    "your function raised TypeError: unsupported operand type(s) for /: 'Tensor' and 'NoneType'",
    "your function raised NameError: name 'k' is not defined (a.py, line 2: return x @ k)",
    "your function raised IndexError: Dimension out of range (expected to be in range of [-2, 1], "
    "but got 3) (a.py, line 2: return x @ k)",
    "your function returned None; expected a float64 tensor of shape (5, 8). A function without "
    "`return` gives None.",
    "your function returned a numpy array; expected a float64 tensor of shape (5, 8).",
    "your function modified its argument x; work on a new tensor instead.",
    "this exercise asks you to write it yourself: softmax is not allowed",
    "this exercise asks you to write it yourself: softmax is not allowed (a.py, line 2)",
]


@pytest.mark.parametrize("told", SHOWN)
def test_what_says_what_is_wrong_is_shown(over, told):
    assert over(told) == told


VALUE = "0.1234"
CARRIED = {
    "a value": (f"your function raised ValueError: {VALUE}", "ValueError"),
    "a list": (f"your function raised KeyError: [{VALUE}, 0.3]", "KeyError"),
    "its type": ("your function raised V0_1234", "an exception"),
    "a line that is not theirs": (
        f"your function raised ValueError (line 2: return {VALUE})",
        "ValueError",
    ),
    "a name": ("your function raised NameError: name 'v0_1234' is not defined", "NameError"),
    "a shape": (
        "your function raised RuntimeError: shape '[1234]' is invalid for input of size 40",
        "RuntimeError",
    ),
    "a sentence of the grader's": (
        f"this exercise asks you to write it yourself: {VALUE}",
        "an exception",
    ),
    "free words": (f"passed {VALUE}", "an exception"),
    "two lines": (f"your function raised ValueError: division by zero\n{VALUE}", "ValueError"),
}


@pytest.mark.parametrize("what", CARRIED)
def test_what_could_carry_an_input_is_not_shown(over, what):
    told, kind = CARRIED[what]
    shown = over(told)
    assert "1234" not in shown
    assert shown.startswith(f"your function raised {kind}")


@pytest.mark.parametrize(
    "told",
    [
        f"your function returned the str '{VALUE}'; expected a float64 tensor of shape (5, 8).",
        f"your function returned the float {VALUE}; expected a float64 tensor of shape (5, 8).",
        "your function returned a V-0_1234; expected a float64 tensor of shape (5, 8).",
        "your function returned a float64 tensor of shape (1234, 5); expected a float64 tensor.",
        "your function returned a V0_1234; expected a float64 tensor of shape (5, 8).",
        "your function modified its argument v0_1234; work on a new tensor instead.",
    ],
)
def test_what_is_returned_is_named_by_no_word_of_the_submission(over, told):
    shown = over(told)
    assert "1234" not in shown
    assert shown.endswith(told.partition(";")[2])


def test_every_sentence_fits_itself(over):
    for sentence in SENTENCES:
        said = sentence.replace("#", "5").replace("@", "x")
        assert over(f"your function raised ValueError: {said}").endswith(said)
    assert len(veil._KNOWN) == len(SENTENCES) > 50


LEAKS = {
    "the text of an exception": "raise ValueError(str(x.flatten()[:3].tolist()))",
    "the name of an exception": (
        "raise type('V' + str(float(x.flatten()[0])).replace('.', '_'), (Exception,), {})()"
    ),
    "an exception of the grader's": (
        "raise type('ForbiddenError', (Exception,), {})(str(x.flatten()[:3].tolist()))"
    ),
    "a type": "return type('V' + str(float(x.flatten()[0])).replace('.', '_'), (), {})()",
    "a string": "return str(x.flatten()[:3].tolist())",
    "a number": "return float(x.flatten()[0])",
    "a source line": (
        "import linecache\n    for f in list(linecache.cache):\n"
        "        linecache.cache[f] = (1, None, [str(x.flatten()[0]) + '\\n'] * 99, f)\n"
        "    raise ValueError"
    ),
}


def of_the_answer(result):
    """What was said where there was nothing to compare."""
    return "\n".join(check.message for check in result.checks if check.unusable)


@pytest.mark.parametrize("what", LEAKS)
def test_no_answer_tells_its_author_an_input_that_is_secret(what, tmp_path, zygote):
    path = tmp_path / "a.py"
    path.write_text(f"import torch\ndef softmax(x):\n    {LEAKS[what]}\n")
    secret = b"of this run"
    submission = read(path)
    exercise = get("softmax")
    with Worker(submission, Limits(), zygote) as worker:
        told = of_the_answer(grade(submission, worker, exercise, secret))
        public = of_the_answer(grade(submission, worker, exercise))
    assert not re.findall(r"\d[\W_]?\d{3,}", told), told
    assert re.findall(r"\d[\W_]?\d{3,}", public) or what == "a source line"
