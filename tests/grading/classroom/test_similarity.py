"""Copies are found whatever they are called; what the exercise explains accuses no one."""

import csv
import itertools
import json

import jsonschema
import pytest
from made_class import STUB

from attncourse.course import source
from attncourse.course.exercise import all_exercises
from attncourse.grading.classroom import similarity
from attncourse.grading.classroom.exports import results
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.similarity import Answer, pairs
from attncourse.grading.parsing.parser import parse

HEAD = "import math\nimport torch\n\n"

OWN = """
def masked_softmax(scores, mask):
    empty = ~mask.any(dim=-1, keepdim=True)
    filled = torch.where(mask, scores, torch.full_like(scores, float("-inf")))
    biggest = torch.nan_to_num(filled.amax(-1, keepdim=True), neginf=0.0)
    num = (filled - biggest).exp()
    den = num.sum(-1, keepdim=True)
    return (num / den.masked_fill(den == 0, 1.0)).masked_fill(empty, 0.0)
"""

# the same, with other names and literals, a comment, a docstring, and lines in another order
COPY = '''
def masked_softmax(x, keep):
    """All my own work."""
    y = torch.where(keep, x, torch.full_like(x, float("-inf")))  # fill
    top = torch.nan_to_num(y.amax(-1, keepdim=True), neginf=0)
    nothing = ~keep.any(dim=-1, keepdim=True)

    a = (y - top).exp()
    b = a.sum(-1, keepdim=True)
    return (a / b.masked_fill(b == 0, 2.0)).masked_fill(nothing, 0)
'''

# the same work in a function of its own
HIDDEN = (
    COPY.replace("def masked_softmax", "def _work")
    + "\n\ndef masked_softmax(s, m):\n    return _work(s, m)\n"
)

# right answers that people wrote without each other
INDEPENDENT = {
    "masked_softmax": (
        OWN,
        """
def masked_softmax(scores, mask):
    scores = scores.masked_fill(~mask, float("-inf"))
    top = scores.max(dim=-1, keepdim=True).values
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    e = torch.exp(scores - top)
    total = e.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, e / total.clamp(min=1e-30), torch.zeros_like(e))
""",
        """
def masked_softmax(scores, mask):
    scores = scores.masked_fill(~mask, float("-inf"))
    max_scores = scores.max(dim=-1, keepdim=True).values
    max_scores = max_scores.masked_fill(max_scores == float("-inf"), 0.0)
    exp_scores = torch.exp(scores - max_scores)
    sum_scores = exp_scores.sum(dim=-1, keepdim=True)
    sum_scores = sum_scores.masked_fill(sum_scores == 0, 1.0)
    return exp_scores / sum_scores
""",
        """
def masked_softmax(scores, mask):
    empty = ~mask.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~mask, float("-inf"))
    scores = scores.masked_fill(empty, 0.0)
    weights = torch.softmax(scores, dim=-1)
    return weights.masked_fill(empty, 0.0)
""",
    ),
    "attention": (
        """
def attention(q, k, v, *, mask=None):
    d = q.shape[-1]
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(d)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    scores = scores - scores.max(dim=-1, keepdim=True).values
    weights = torch.exp(scores)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.matmul(weights, v)
""",
        """
def attention(q, k, v, *, mask=None):
    s = torch.einsum("...nd,...md->...nm", q, k) / q.shape[-1] ** 0.5
    if mask is not None:
        s = torch.where(mask, s, torch.tensor(float("-inf"), dtype=s.dtype))
    m = s.amax(dim=-1, keepdim=True)
    e = torch.exp(s - m)
    p = e / e.sum(dim=-1, keepdim=True)
    return torch.einsum("...nm,...me->...ne", p, v)
""",
        """
def attention(q, k, v, *, mask=None):
    d_k = k.shape[-1]
    scores = q @ k.transpose(-1, -2) / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    weights = torch.nan_to_num(weights)
    return weights @ v
""",
    ),
    "softmax": (
        "def softmax(x):\n    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)\n"
        "    return e / e.sum(dim=-1, keepdim=True)\n",
        "def softmax(s):\n    t = torch.exp(s - s.max(dim=-1, keepdim=True).values)\n"
        "    return t / t.sum(dim=-1, keepdim=True)\n",
    ),
}


def answers(texts, name):
    """Answers to an exercise as they are compared."""
    made = []
    for number, text in enumerate(texts):
        prints = parse(HEAD + text, "a.py").prints
        lines = [line for found in prints for line in found.lines]
        marks = [mark for found in prints for mark in found.marks]
        made.append(Answer(Student(f"s{number}"), "a.py", lines, marks))
    return {name: made}


def test_a_copy_is_found_with_its_lines():
    (pair,) = pairs(answers([OWN, COPY], "masked_softmax"))
    assert (pair.exercise, pair.shared) == ("masked_softmax", 15)
    assert pair.share > 0.8
    one, other = pair.sides
    assert "    den = num.sum(-1, keepdim=True)" in one.lines
    assert "    b = a.sum(-1, keepdim=True)" in other.lines
    assert "" not in other.lines


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_right_answers_accuse_no_one(name):
    assert pairs(answers(INDEPENDENT[name], name)) == []


@pytest.mark.parametrize("name", all_exercises())
def test_what_the_course_contains_accuses_no_one(name):
    exercise = all_exercises()[name]
    stub = source.stub(exercise.solution, exercise.stub)
    known = [*exercise.right.values(), *exercise.wrong.values(), exercise.solution]
    for text in (stub, *map(source.whole, known)):
        renamed = text.replace("scores", "s").replace("mask", "m")
        assert pairs(answers([text, renamed, text], name)) == []
        assert {code for a in answers([text], name)[name] for code in a.codes} <= (
            similarity.known(name)
        )


def test_what_many_wrote_accuses_no_one():
    texts = [OWN.replace("num", f"n{i}") for i in range(11)]
    assert pairs(answers(texts, "masked_softmax")) == []
    found = pairs(answers(texts[:10], "masked_softmax"))
    assert len(found) == len(list(itertools.combinations(range(10), 2)))


def test_a_class_gets_its_pairs_in_every_form(tmp_path, graded):
    folder = tmp_path / "class"
    folder.mkdir()
    texts = {"ada": OWN, "<b>eve": HIDDEN, "bob": INDEPENDENT["masked_softmax"][1]}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(HEAD + text + STUB)
    report = graded(folder, tmp_path / "out")
    (pair,) = report.book.similar
    assert [side.student.name for side in pair.sides] == ["<b>eve", "ada"]
    with (tmp_path / "out/similarity.csv").open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == [
        *("exercise", "share", "shared", "student_1", "number_1", "file_1", "lines_1"),
        *("student_2", "number_2", "file_2", "lines_2"),
    ]
    assert (row["student_1"], row["student_2"]) == ("<b>eve", "ada")
    assert "    b = a.sum(-1, keepdim=True)" in row["lines_1"]
    told = json.loads((tmp_path / "out/results.json").read_text())
    jsonschema.validate(told, results.schema())
    assert [side["student"] for side in told["similar"][0]["sides"]] == ["<b>eve", "ada"]
    page = (tmp_path / "out/class.html").read_text()
    assert "&lt;b&gt;eve" in page
    assert "den = num.sum(-1, keepdim=True)" in page
    assert "<b>" not in page
    for path in (tmp_path / "out/students").iterdir():
        assert "alike" not in path.read_text()
