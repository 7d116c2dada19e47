"""The bank of interview questions: ``book/interview/<part>.yml``, chapter by chapter.

::

    masks:
      leak-grows:
        level: 2
        kind: number
        question: A causal mask is one column too wide. ...
        value: 12 * 1
        unit: tokens
        digits: 3
        answer: "{value}, one for each layer."
        follow-ups:
          - asks: And what does the loss do?
            answer: It falls to nearly nothing.
        trap: One, since the mask allows one.
        why: A mask speaks of one layer.
        proof: mask-ev-law

`kind` is open, choice or number. An open question has a `rubric` of three lines, what has to be
said for 1, 2 and 3 points; a choice has `options` and the number of the `right` one; a number is
never typed: `value` is an expression, computed where it is shown (`course/numerals.py`). `proof` is
a target on the chapter's page before the cell that shows the answer, or ``serving#sv-floors``
where that is another page. Words are Markdown.

The prediction boxes of the chapters (`course/asked.py`) are questions of the bank as well.
"""

import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attncourse
from attncourse.core.errors import CourseError
from attncourse.course import as_written, asked, contents, numerals
from attncourse.course.asked import NAME, is_words

KINDS, LEVELS, POINTS, LEAST = ("open", "choice", "number"), (1, 2, 3), 3, 4
WORDS = ("question", "answer", "trap", "why", "proof")
OF_A_KIND = {
    "open": {"rubric"},
    "choice": {"options", "right"},
    "number": {"value", "digits"},
}
_TARGET = re.compile(r"\(([\w-]+)\)= *")
USUAL = (
    "The right answer",
    "and the reason",
    "and a follow-up, or the trap before it is named",
)


class BadBank(CourseError):
    """A file of questions is not as it should be; the message says what is wrong."""


@dataclass(frozen=True)
class Question:
    """A question with its model answer; what its kind does not have is empty."""

    chapter: str
    name: str
    level: int
    kind: str
    question: str
    answer: str
    follow_ups: tuple[tuple[str, str], ...] = ()
    trap: str = ""
    why: str = ""
    proof: str = ""
    rubric: tuple[str, ...] = USUAL
    options: tuple[str, ...] = ()
    right: int = 0
    value: str = ""
    unit: str = ""
    digits: int = 3

    @property
    def identity(self) -> str:
        """What it is remembered by: chapter and name; ``masks#empty-row`` is a box of its page."""
        return f"{self.chapter}{'#' if self.prediction else '/'}{self.name}"

    @property
    def prediction(self) -> bool:
        """Is it asked on a chapter's page, before the cell that answers it?"""
        return not self.proof

    @property
    def shown(self) -> tuple[str, str]:
        """The page that shows the answer, and the target there; a box has none."""
        page, _, target = self.proof.rpartition("#")
        return page or self.chapter, target

    def told(self) -> str:
        """The model answer, with the number where there is one."""
        if self.kind != "number":
            return self.answer
        return self.answer.replace("{value}", numerals.written(self.number(), self.digits))

    def number(self) -> float:
        """The number that is asked for, computed."""
        return numerals.computed(self.value)


def folder(name: str) -> Path:
    """Where files of the book are: in the checkout, or where the installation has put them."""
    inside = Path(attncourse.__file__).parents[1] / "book" / name
    put = Path(sysconfig.get_path("data"), "share", "attncourse", name)
    return inside if inside.is_dir() else put


def load(place: Path | None = None) -> list[Question]:
    """The questions of the bank, in the order of the book. Raises BadBank."""
    place = place or folder("interview")
    found = [question for path in sorted(place.glob("*.yml")) for question in _read(path)]
    order = list(contents.TITLES)
    return sorted(found, key=lambda question: order.index(question.chapter))


def predictions(place: Path | None = None) -> list[Question]:
    """The prediction boxes of the chapters, as choices of level 2. Raises BadBank."""
    place = place or folder("questions")
    found = []
    for slug in contents.CHAPTERS:
        path = place / f"{slug}.yml"
        try:
            boxes = asked.questions(path) if path.is_file() else {}
        except ValueError as error:
            raise BadBank(str(error)) from None
        found += [
            Question(
                slug,
                name,
                2,
                "choice",
                box["question"].strip(),
                box["explanation"].strip(),
                options=tuple(option.strip() for option in box["options"]),
                right=int(box["right"]),
            )
            for name, box in boxes.items()
        ]
    return found


def part_of(chapter: str) -> str:
    """The short name of the part that a chapter is in: ``mathematics-and-cost``."""
    title = next(part.title for part in contents.PARTS if chapter in part.pages)
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def problems(root: Path) -> list[str]:
    """A sentence for each file and question that is not as it should be."""
    try:
        found = load(root / "book" / "interview")
    except BadBank as error:
        return [str(error)]
    return [*_twice(found), *_few(found), *_unproved(found, root), *_numbers(found)]


def _read(path: Path) -> list[Question]:
    try:
        content = as_written.read(path)
    except as_written.BadYaml as error:
        raise BadBank(f"book/interview/{error}") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise BadBank(f"book/interview/{path.name} holds no questions by chapter and id")
    faults = [
        f"{chapter}/{name}: {fault}"
        for chapter, questions in content.items()
        for name, fields in questions.items()
        for fault in _wrong(name, fields)
    ]
    faults += [f"there is no chapter {slug}" for slug in content if slug not in contents.CHAPTERS]
    faults = faults or [
        f"{slug} is of the part {part_of(slug)}" for slug in content if part_of(slug) != path.stem
    ]
    if faults:
        raise BadBank(f"book/interview/{path.name}: {'; '.join(faults)}")
    return [
        _made(chapter, name, fields)
        for chapter, questions in content.items()
        for name, fields in questions.items()
    ]


def _made(chapter: str, name: str, fields: dict[str, Any]) -> Question:
    words = {key: fields[key].strip() for key in (*WORDS, "value", "unit") if key in fields}
    return Question(
        chapter,
        name,
        int(fields["level"]),
        fields["kind"],
        **words,
        follow_ups=tuple((f["asks"].strip(), f["answer"].strip()) for f in fields["follow-ups"]),
        rubric=tuple(line.strip() for line in fields.get("rubric", USUAL)),
        options=tuple(option.strip() for option in fields.get("options", ())),
        right=int(fields.get("right", 0)),
        digits=int(fields.get("digits", 3)),
    )


def _wrong(name: str, fields: Any) -> Iterator[str]:
    """What is wrong with a question, one sentence each."""
    if not NAME.fullmatch(name):
        yield "an id is of small letters, digits and hyphens"
    if not isinstance(fields, dict) or fields.get("kind") not in KINDS:
        yield f"a question's kind is one of {', '.join(KINDS)}"
        return
    needed = {"level", "kind", "follow-ups", *WORDS, *OF_A_KIND[fields["kind"]]}
    allowed = needed | ({"unit"} if fields["kind"] == "number" else set())
    if missing := sorted(needed - set(fields)):
        yield f"it lacks {', '.join(missing)}"
        return
    if strange := sorted(set(fields) - allowed):
        yield f"{fields['kind']} questions have no {', '.join(strange)}"
    if fields["level"] not in map(str, LEVELS):
        yield f"the level is 1, 2 or 3: got {fields['level']}"
    if not all(is_words(fields[key]) for key in WORDS):
        yield f"{', '.join(WORDS)} are words, none of them empty"
    if not _are_follow_ups(fields["follow-ups"]):
        yield "follow-ups are a list, one or more, each with what it asks and an answer"
    yield from _wrong_for_its_kind(fields)


def _wrong_for_its_kind(fields: dict[str, Any]) -> Iterator[str]:
    if fields["kind"] == "choice":
        if fault := asked.wrong_options(fields["options"], fields["right"]):
            yield fault
    elif fields["kind"] == "open":
        rubric = fields["rubric"]
        if not isinstance(rubric, list) or len(rubric) != POINTS or not all(map(is_words, rubric)):
            yield "the rubric says in three lines what earns 1, 2 and 3 points"
    else:
        if not str(fields["digits"]).isdigit():
            yield f"digits is how many are shown: got {fields['digits']}"
        if "{value}" not in str(fields["answer"]):
            yield "the answer shows the number as {value}, and does not type it"


def _are_follow_ups(found: Any) -> bool:
    return (
        isinstance(found, list)
        and bool(found)
        and all(isinstance(f, dict) and set(f) == {"asks", "answer"} for f in found)
        and all(is_words(text) for f in found for text in f.values())
    )


def _twice(found: list[Question]) -> Iterator[str]:
    for name, n in Counter(question.identity for question in found).items():
        if n > 1:
            yield f"{n} questions are called {name}"
    texts = Counter(" ".join(re.findall(r"\w+", q.question.lower())) for q in found)
    for question in found:
        if texts[" ".join(re.findall(r"\w+", question.question.lower()))] > 1:
            yield f"{question.identity} asks what another question asks"


def _few(found: list[Question]) -> Iterator[str]:
    for chapter, n in Counter(question.chapter for question in found).items():
        if n < LEAST:
            yield f"{chapter} has {n} questions: at least {LEAST}"


def _unproved(found: list[Question], root: Path) -> Iterator[str]:
    there = {slug: _targets(root, slug) for slug in contents.TITLES}
    for question in found:
        page, target = question.shown
        if target not in there.get(page, ()):
            yield f"{question.identity}: on {page} no cell stands behind a target ({target})="


def _targets(root: Path, slug: str) -> set[str]:
    """The targets of a page that a cell follows before the next section begins."""
    import nbformat

    path = root / "book" / f"{slug}.ipynb"
    if not path.is_file():
        return set()
    try:
        cells = nbformat.v4.reads(path.read_text(encoding="utf-8")).cells
    except ValueError:  # no notebook, which `chapters.problems` says
        return set()
    found: set[str] = set()
    waiting: set[str] = set()  # targets since the section began
    for cell in cells:
        if cell.cell_type == "code":
            found |= waiting
            waiting = set()
            continue
        heads: set[str] = set()  # targets of the line that comes
        for line in filter(str.strip, cell.source.splitlines()):
            if target := _TARGET.fullmatch(line):
                heads.add(target[1])
            else:
                waiting = heads if line.startswith("## ") else waiting | heads
                heads = set()
        waiting |= heads
    return found


def _numbers(found: list[Question]) -> Iterator[str]:
    for question in found:
        if question.kind == "number":
            try:
                question.number()
            except (
                ArithmeticError,
                LookupError,
                NameError,
                SyntaxError,
                TypeError,
                ValueError,
            ) as error:
                yield f"{question.identity}: {question.value} cannot be computed: {error}"
