"""Whether each written page settles what it owes: 323 claims and all topics have a page."""

from pathlib import Path

import pytest

from attncourse.course import contents, coverage
from attncourse.course.contents import TITLES

ROOT = Path(__file__).parents[2]

TABLE = """kind,name,page
topic,scaling,masks
claim,S3-27,masks
claim,S0-01,language
"""
CLAIM = """  S3-27:
    says: Scores are divided by the width.
    verdict: wrong
    answer: By its square root.
    proof: here
"""
GOOD = f"claims:\n{CLAIM}topics:\n  scaling: here\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "book" / "claims").mkdir(parents=True)
    (tmp_path / "book" / "masks.md").write_text("(here)=\n# Masks\n")
    (tmp_path / coverage.WHERE).write_text(TABLE)
    return tmp_path


def put(root, text, slug="masks"):
    (root / "book" / "claims" / f"{slug}.yml").write_text(text)


def test_the_pages_of_this_book_leave_nothing_out():
    assert coverage.problems(ROOT) == []


def test_every_claim_of_the_five_articles_has_one_page():
    lines = coverage.due(ROOT)
    found = [line.name for line in lines if line.kind == "claim"]
    assert len(found) == len(set(found)) == 323
    assert {name[:2] for name in found} == {"S0", "S1", "S2", "S3", "S4"}
    assert {line.page for line in lines} <= set(TITLES)


def test_no_line_of_the_table_waits_for_its_page():
    lines = coverage.due(ROOT)
    assert len(lines) > 434  # as many as the articles' audit; some topics have two pages
    assert [line for line in lines if not contents.page(ROOT, line.page)] == []


def test_a_page_that_is_not_written_owes_nothing(root):
    put(root, GOOD)
    assert coverage.problems(root) == []


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (f"claims:\n{CLAIM}topics:\n", "has no topic scaling"),
        ("claims:\ntopics:\n  scaling: here\n", "has no claim S3-27"),
    ],
    ids=["topic", "claim"],
)
def test_what_a_written_page_leaves_out_is_named(root, left, words):
    put(root, left)
    (problem,) = coverage.problems(root)
    assert problem.startswith(f"book/claims/masks.yml {words}")


def test_a_page_without_a_file_leaves_out_all_it_owes(root):
    assert len(coverage.problems(root)) == 2


def test_two_pages_that_settle_a_claim_give_it_one_verdict(root):
    put(root, GOOD)
    put(root, GOOD, "positions")
    assert coverage.problems(root) == []
    put(root, GOOD.replace("verdict: wrong", "verdict: imprecise"), "positions")
    assert coverage.problems(root) == ["the claim S3-27 has 2 verdicts on its pages"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("topic,scaling,masks", "2 times"),
        ("story,scaling,masks", "a topic or a claim: got story"),
        ("topic,heads,nowhere", "the contents do not have: nowhere"),
    ],
)
def test_a_line_of_the_table_that_is_not_as_it_should_be(root, line, words):
    put(root, GOOD)
    (root / coverage.WHERE).write_text(f"{TABLE}{line}\n")
    assert any(words in problem for problem in coverage.problems(root))


def test_a_file_that_cannot_be_read_is_left_to_its_own_sentence(root):
    put(root, "claims: [")
    assert coverage.problems(root) == []


def test_without_a_table_nothing_is_owed(tmp_path):
    assert coverage.problems(tmp_path) == []
