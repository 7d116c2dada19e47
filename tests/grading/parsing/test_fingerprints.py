"""What two texts share is found; what a learner may change freely changes nothing."""

import ast

import pytest

from attncourse.grading.parsing import fingerprints
from attncourse.grading.parsing.fingerprints import LENGTH, MOST_NODES, WINDOW, grams, winnow
from attncourse.grading.parsing.parser import parse

TEXT = """
def f(x, mask=None):
    total = torch.exp(x - x.amax(dim=-1, keepdim=True)).sum(-1)
    return (x / total).masked_fill(mask, 0.0)
"""


def codes(text):
    (found,) = parse(text, "a.py").prints
    return [code for code, *_ in found.marks]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total", "t"),
        ("0.0", "1e-9"),
        ("mask=None):", 'mask=None):\n    """Divide."""\n'),
        ("return", "# here\n\n    return"),
        ("x, mask=None)", "x: Tensor, mask: Tensor | None=None) -> Tensor"),
        ("def f", "@cache\ndef f"),
    ],
)
def test_names_literals_comments_and_annotations_change_nothing(old, new):
    assert codes(TEXT.replace(old, new)) == codes(TEXT)


@pytest.mark.parametrize(
    ("old", "new"), [(".exp", ".log"), ("keepdim", "dtype"), ("x / total", "x * total")]
)
def test_what_pytorch_named_and_what_is_done_counts(old, new):
    assert codes(TEXT.replace(old, new)) != codes(TEXT)


def test_marks_are_of_the_lines_they_name():
    (found,) = parse(f"\n\n{TEXT}", "a.py").prints
    assert found.lines == tuple(TEXT.strip().splitlines())
    assert found.name == "f"
    assert {0 <= first <= last < 3 for _, first, last in found.marks} == {True}
    assert {line for _, first, last in found.marks for line in (first, last)} == {0, 1, 2}


def test_texts_that_share_enough_share_a_fingerprint():
    long = [(hash_, i, i) for i, hash_ in enumerate([77, 74, 42, 17, 98, 50, 17, 98, 8, 88, 67])]
    kept = list(winnow(long))
    assert [code for code, *_ in kept] == [17, 17, 8]  # as in the paper's figure 2
    for start in range(len(long) - WINDOW + 1):
        assert set(kept) & set(long[start : start + WINDOW])
    assert list(winnow(long[:2])) == [long[1]]
    assert list(winnow([])) == []


def test_a_huge_definition_costs_little():
    tree = ast.parse("def f():\n" + "    x = 1\n" * 5000).body[0]
    assert len(grams(tree)) == MOST_NODES - LENGTH + 1
    deep = ast.parse("def f(): return " + "-" * 90 + "1").body[0]
    assert len(fingerprints.fingerprint(deep, "f", "def f(): ...").marks) > 20
