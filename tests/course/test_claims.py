"""Files of claims: read as they should be, or refused in a sentence; each proof is on the page."""

import pytest

from attncourse.course import claims

GOOD = """\
claims:
  S3-27:
    says: Scores are divided by the width.
    verdict: wrong
    answer: By its *square root*.
    proof: ss-ev-scale
  S0-b3:
    says: "no"
    verdict: right
    answer: Yes.
    proof: ss-ev-scale
topics:
  scaling: ss-scaling
"""
PAGE = "# Scores\n\n(ss-ev-scale)=\n## One\n\n```{note}\n:name: ss-scaling\nx\n```\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "book" / "claims").mkdir(parents=True)
    (tmp_path / "book" / "scores-and-scaling.md").write_text(PAGE)
    return tmp_path


def put(root, text, slug="scores-and-scaling"):
    (root / "book" / "claims" / f"{slug}.yml").write_text(text)


def test_a_file_is_read(root):
    put(root, GOOD)
    first, second = claims.load(root)
    assert first == claims.Claim(
        "S3-27",
        "scores-and-scaling",
        "Scores are divided by the width.",
        "wrong",
        "By its *square root*.",
        "ss-ev-scale",
    )
    assert (first.article, second.article, second.says) == ("S3", "S0", "no")
    assert claims.topics(root) == {"scores-and-scaling": {"scaling": "ss-scaling"}}
    assert claims.problems(root) == []


def test_a_course_without_claims_has_none(tmp_path):
    assert claims.load(tmp_path) == []
    assert claims.topics(tmp_path) == {}
    assert claims.problems(tmp_path) == []


def test_empty_keys_are_none(root):
    put(root, "claims:\ntopics:\n")
    assert claims.load(root) == []
    assert claims.problems(root) == []


def test_files_come_in_the_order_of_the_book(root):
    (root / "book" / "masks.md").write_text(PAGE)
    put(root, GOOD.replace("S3-27", "S3-99"), "masks")
    put(root, GOOD)
    assert [c.chapter for c in claims.load(root)] == ["scores-and-scaling"] * 2 + ["masks"] * 2


def test_a_proof_that_is_not_on_the_page_is_named(root):
    put(root, GOOD.replace("proof: ss-ev-scale", "proof: gone").replace(": ss-scaling", ": lost"))
    name = "book/claims/scores-and-scaling.yml: scores-and-scaling.md has no target"
    assert claims.problems(root) == [f"{name} (gone)= for S0-b3", f"{name} (lost)= for scaling"]


def test_a_file_of_no_page_is_named(root):
    put(root, GOOD, "nowhere")
    assert claims.problems(root) == ["book/claims/nowhere.yml is of a page that is not written"]


BAD = {
    "it has the keys claims and topics, and nothing else": "claims:\n",
    "claims are by their names": "claims: [a]\ntopics:\n",
    "X: a claim's id is like S3-27": GOOD.replace("S0-b3", "X"),
    "S3-27: a claim has says, verdict, answer, proof and nothing else": GOOD.replace(
        "    verdict: wrong\n", ""
    ),
    "S3-27: the verdict is one of right, imprecise, wrong: got false": GOOD.replace(
        "verdict: wrong", "verdict: false"
    ),
    "S0-b3: each field is words, none of them empty": GOOD.replace('says: "no"', "says:"),
    "the topic scaling has no target": GOOD.replace("scaling: ss-scaling", "scaling:"),
    "S3-27 is there twice": GOOD.replace("S0-b3", "S3-27"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_with_a_file_is_named(root, fault):
    put(root, BAD[fault])
    assert claims.problems(root) == [f"book/claims/scores-and-scaling.yml: {fault}"]
    with pytest.raises(claims.BadClaims, match="scores-and-scaling.yml"):
        claims.load(root)


def test_what_is_no_yaml_is_named(root):
    put(root, "claims: [")
    (told,) = claims.problems(root)
    assert told.startswith("book/claims/scores-and-scaling.yml is no YAML: ")
