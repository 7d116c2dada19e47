"""The bank of interview questions: as it should be, proved, and a sentence for what is not."""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml

from attncourse.course import asked, bank
from attncourse.course import page as pages
from attncourse.course.contents import CHAPTERS, UNGRADED, page
from pages import ROOT

BANK = bank.load(ROOT / "book" / "interview")
COVERED = ("concepts", "mathematics-and-cost", "efficient-attention", "on-the-gpu", "interviews")
FOUR = (  # of the articles' list
    "weighted-mean/what-is-attention",
    "sharing-and-fusion/shared-attention",
    "multi-head/multi-head",
    "serving/text-generation",
)

OPEN = {
    "level": "1",
    "kind": "open",
    "question": "Why?",
    "answer": "So.",
    "follow-ups": [{"asks": "And then?", "answer": "Then, too."}],
    "trap": "Not so.",
    "why": "It looks so.",
    "proof": "here",
    "rubric": ["one", "two", "three"],
}
BARE = {key: value for key, value in OPEN.items() if key != "rubric"}
CHOICE = BARE | {"kind": "choice", "options": ["so", "not so"], "right": "1"}
NUMBER = BARE | {"kind": "number", "value": "3 * 4", "digits": "2", "answer": "{value} of them"}


# What is there


def test_the_bank_is_as_it_should_be():
    assert bank.problems(ROOT) == []


def test_there_are_enough_questions_of_each_kind_and_level():
    assert len(BANK) >= 120
    assert min(Counter(question.kind for question in BANK).values()) >= 20
    assert min(Counter(question.level for question in BANK).values()) >= 25


def test_every_chapter_of_these_parts_is_asked_about():
    chapters = {slug for slug in CHAPTERS if bank.part_of(slug) in COVERED and page(ROOT, slug)}
    chapters -= set(UNGRADED)  # the bank's own page
    assert {question.chapter for question in BANK} >= chapters


def test_the_four_that_everybody_is_asked_have_follow_ups():
    known = {question.identity: question for question in BANK}
    assert all(len(known[name].follow_ups) >= 3 for name in FOUR)


def test_levels_are_mixed_within_chapters():
    levels = {}
    for question in BANK:
        levels.setdefault(question.chapter, set()).add(question.level)
    assert [chapter for chapter, found in levels.items() if len(found) < 2] == []


def test_the_right_option_stands_at_each_place():
    places = Counter(question.right for question in BANK if question.kind == "choice")
    assert min(places[n] for n in (1, 2, 3)) >= 3


@pytest.mark.parametrize("question", [q for q in BANK if q.kind == "number"], ids=str)
def test_a_numerical_answer_is_computed(question):
    assert "{value}" not in question.told()
    assert question.told() != question.answer


def test_short_answers_are_short():
    long = [q.identity for q in BANK if len(q.answer.split()) > 75]
    assert long == []


def test_the_boxes_of_the_chapters_are_questions_of_the_bank():
    boxes = bank.predictions(ROOT / "book" / "questions")
    assert len(boxes) > 100
    assert {question.kind for question in boxes} == {"choice"}
    assert all(question.prediction for question in boxes)
    assert not any(question.prediction for question in BANK)
    identities = [question.identity for question in BANK + boxes]
    assert len(identities) == len(set(identities))


def test_what_a_chapter_asks_is_in_the_bank():
    known = {question.identity for question in BANK}
    for slug in CHAPTERS:
        path = ROOT / "book" / f"{slug}.ipynb"
        if path.is_file():
            text = "\n".join(c.source for c in nbformat.read(path, 4).cells)
            for body in re.findall(r"```\{interview\}\n([^`]*)```", text):
                names = [line for line in body.split() if not line.startswith(":")]
                named = {name if "/" in name else f"{slug}/{name}" for name in names}
                assert named <= known


def test_what_a_page_takes_from_the_bank_counts_as_read():
    def read(source):
        cell = pages.Cell("a", False, source, frozenset(), "", "")
        return pages.Page("masks", (cell,), {}).words()

    asked = next(q for q in BANK if q.identity == "masks/empty-row")
    words = f"{asked.question} {asked.answer} {asked.trap} {asked.why}".split()
    shown = read("```{interview}\nempty-row\n```")
    assert shown == read("```{interview}\nmasks/empty-row\n```")
    assert shown == sum(any(map(str.isalnum, word)) for word in words)
    assert read("```{interview}\n:all:\n```") == 0


# What is not as it should be


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "book" / "interview").mkdir(parents=True)
    cells = [
        nbformat.v4.new_markdown_cell("(before)=\n# A page\n\n(here)=\nWords."),
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("(words)=\n## Words alone\n\n(also)=\n## The end"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "book" / "masks.ipynb")
    return tmp_path


def put(root: Path, content: object, name: str = "concepts") -> None:
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    (root / "book" / "interview" / f"{name}.yml").write_text(text, encoding="utf-8")


def four(*others: dict) -> dict:
    """A chapter with enough questions, `others` among them."""
    more = [OPEN | {"question": f"Why {word}?"} for word in ("red", "green", "blue", "grey")]
    named = [*others, *more][: max(4, len(others))]
    return {"masks": {f"q-{number}": fields for number, fields in enumerate(named)}}


@pytest.mark.parametrize("fields", [OPEN, CHOICE, NUMBER, NUMBER | {"unit": "tokens"}])
def test_a_question_as_it_should_be_has_no_fault(root, fields):
    put(root, four(fields))
    assert bank.problems(root) == []


FAULTS = [
    (OPEN | {"kind": "essay"}, "a question's kind is one of open, choice, number"),
    ("words", "a question's kind is one of open, choice, number"),
    ({k: v for k, v in OPEN.items() if k not in ("trap", "why")}, "it lacks trap, why"),
    (OPEN | {"options": ["a", "b"]}, "open questions have no options"),
    (OPEN | {"level": "4"}, "the level is 1, 2 or 3: got 4"),
    (OPEN | {"answer": " "}, "question, answer, trap, why, proof are words, none of them empty"),
    (
        OPEN | {"follow-ups": []},
        "follow-ups are a list, one or more, each with what it asks and an",
    ),
    (OPEN | {"follow-ups": [{"asks": "And?"}]}, "follow-ups are a list, one or more"),
    (OPEN | {"rubric": ["one", "two"]}, "the rubric says in three lines what earns 1, 2 and 3"),
    (CHOICE | {"right": "3"}, "right is the number of an option, 1 to 2: got 3"),
    (CHOICE | {"options": ["so", "so"]}, "two options are the same"),
    (CHOICE | {"options": ["so", ["a"]]}, "each option is words"),
    (NUMBER | {"digits": "few"}, "digits is how many are shown: got few"),
    (
        NUMBER | {"answer": "12 of them"},
        "the answer shows the number as {value}, and does not type",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), FAULTS)
def test_a_fault_is_told_with_its_question(root, fields, sentence):
    put(root, four(fields))
    (problem,) = bank.problems(root)
    assert problem.startswith(f"book/interview/concepts.yml: masks/q-0: {sentence}")


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("a: [b", "concepts", "book/interview/concepts.yml is no YAML: "),
        ("- a", "concepts", "book/interview/concepts.yml holds no questions by chapter and id"),
        (
            "masks: 3",
            "concepts",
            "book/interview/concepts.yml holds no questions by chapter and id",
        ),
        (
            {"nowhere": {"a": OPEN}},
            "concepts",
            "book/interview/concepts.yml: there is no chapter now",
        ),
        (four(OPEN), "later", "book/interview/later.yml: masks is of the part concepts"),
        (
            {"masks": {"A": OPEN}},
            "concepts",
            "book/interview/concepts.yml: masks/A: an id is of small",
        ),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_named(root, content, name, sentence):
    put(root, content, name)
    (problem,) = bank.problems(root)
    assert problem.startswith(sentence)


def test_a_chapter_with_few_questions_is_named(root):
    put(root, {"masks": {"a": OPEN}})
    assert bank.problems(root) == ["masks has 1 questions: at least 4"]


def test_no_two_questions_ask_the_same(root):
    put(root, four(OPEN, OPEN | {"question": "*why*"}))
    assert [p.partition(" asks")[0] for p in bank.problems(root)] == ["masks/q-0", "masks/q-1"]


@pytest.mark.parametrize("target", ["words", "also", "nowhere"])
def test_a_proof_is_a_target_that_a_cell_follows(root, target):
    put(root, four(OPEN | {"proof": target}))
    (problem,) = bank.problems(root)
    assert problem == f"masks/q-0: on masks no cell stands behind a target ({target})="


def test_a_proof_may_stand_on_another_page(root):
    put(root, four(OPEN | {"proof": "masks#here"}))
    assert bank.problems(root) == []
    put(root, four(OPEN | {"proof": "serving#here"}))
    assert bank.problems(root) == ["masks/q-0: on serving no cell stands behind a target (here)="]


def test_a_target_at_the_head_of_a_section_counts(root):
    put(root, four(OPEN | {"proof": "before"}))
    assert bank.problems(root) == []


@pytest.mark.parametrize("value", ["1 / 0", "nowhere(3)", "'many'"])
def test_a_number_that_cannot_be_computed_is_told(root, value):
    put(root, four(NUMBER | {"value": value}))
    (problem,) = bank.problems(root)
    assert problem.startswith(f"masks/q-0: {value} cannot be computed: ")


def test_a_page_whose_boxes_are_wrong_is_told(tmp_path):
    (tmp_path / "masks.yml").write_text("a: b", encoding="utf-8")
    with pytest.raises(bank.BadBank, match=r"masks\.yml, a: a question has"):
        bank.predictions(tmp_path)
    assert asked.questions(ROOT / "book" / "questions" / "masks.yml")


def test_installed_without_a_checkout_the_questions_are_where_they_were_put(monkeypatch, tmp_path):
    monkeypatch.setattr(bank.attncourse, "__file__", str(tmp_path / "attncourse" / "__init__.py"))
    monkeypatch.setattr(bank.sysconfig, "get_path", lambda name: str(tmp_path))
    assert bank.folder("interview") == tmp_path / "share" / "attncourse" / "interview"
    assert bank.load() == []
