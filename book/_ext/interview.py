"""The bank of interview questions on a page: ``{interview}``; its form is in `course/bank.py`.

With names, one a line, it shows those questions, each with its answer folded: ``masks/empty-row``,
or ``empty-row`` where the page is that of the chapter. With ``:all:`` it shows the whole bank, part
by part, below a form in which ``interview.js`` puts filters, and a quiz over what they leave.
Without a script all questions are there, and the answers unfold.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attncourse.course import bank
from attncourse.course.bank import Question
from attncourse.course.contents import PARTS, TITLES
from elements import element, loads

LETTERS = "abcd"


class Interview(SphinxDirective):
    """Questions with folded answers."""

    has_content = True
    option_spec = {"all": directives.flag}  # noqa: RUF012 - docutils' way

    def run(self) -> list[nodes.Node]:
        """Put them on the page."""
        known = self.bank()
        if "all" in self.options:
            return [self.whole(known)]
        names = [line.strip() for line in self.content if line.strip()]
        if not names:
            raise self.error("{interview} names its questions, one a line, or has :all:")
        page = self.env.docname.rpartition("/")[2]
        found = {question.identity: question for question in known}
        shown = []
        for name in names:
            identity = name if "/" in name else f"{page}/{name}"
            if identity not in found:
                raise self.error(f"the bank has no question {identity}")
            shown.append(self.box(found[identity], n=len(shown) + 1 if len(names) > 1 else 0))
        return shown

    def bank(self) -> list[Question]:
        """All questions. Raises the directive's error where a file is not as it should be."""
        place = Path(self.env.srcdir, "book", "interview")
        for path in place.glob("*.yml"):
            self.env.note_dependency(str(path))
        self.env.note_reread()  # a file more is no dependency yet
        try:
            return bank.load(place)
        except bank.BadBank as error:
            raise self.error(str(error)) from None

    def whole(self, known: list[Question]) -> nodes.Node:
        """The bank by parts and chapters, with room for what the script adds."""
        box = element("div", "interview-bank", data_interview="bank")
        box += element("form", "interview-controls", aria_label="Choose questions")
        for part in PARTS:
            own = [question for question in known if question.chapter in part.pages]
            if not own:
                continue
            held = element("section", "interview-part", data_part=bank.part_of(own[0].chapter))
            held += self.head("h3", part.title)
            for chapter in dict.fromkeys(question.chapter for question in own):
                group = element("section", "interview-chapter", data_chapter=chapter)
                group += self.head("h4", TITLES[chapter])
                group += [self.box(question) for question in own if question.chapter == chapter]
                held += group
            box += held
        return box

    def head(self, tag: str, text: str) -> nodes.Node:
        """A heading that is no section of the page's contents."""
        made = element(tag)
        made += nodes.Text(text)
        return made

    def box(self, asked: Question, n: int = 0) -> nodes.Node:
        """A question, its options, and its answer, folded."""
        box = element(
            "section",
            "interview-question",
            data_interview=asked.kind,
            data_level=asked.level,
            data_name=asked.identity,
            **self.graded(asked),
        )
        there = self.env.temp_data.setdefault("interview", set())
        if asked.identity not in there:  # the first place that a page shows it is where links lead
            box["ids"] = [f"interview-{asked.chapter}-{asked.name}"]
        there.add(asked.identity)
        words = f"**{n}.** {asked.question}" if n else asked.question
        said = self.parsed(words, element("div", "interview-asked"))
        level = element("span", "interview-level", title=f"level {asked.level} of 3")
        level += nodes.Text(f"Level {asked.level}")
        box += [said, level]
        if asked.options:
            options = nodes.enumerated_list(classes=["interview-options"], enumtype="loweralpha")
            for option in asked.options:
                options += self.parsed(option, nodes.list_item())
            box += options
        box += self.answer(asked)
        return box

    def graded(self, asked: Question) -> dict[str, object]:
        """What the script needs to mark an answer."""
        if asked.kind == "choice":
            return {"data_right": asked.right - 1}
        if asked.kind == "number":
            return {"data_value": asked.number(), "data_unit": asked.unit}
        return {}

    def answer(self, asked: Question) -> nodes.Node:
        """The model answer, the trap, what is asked then, what earns points, where it is shown."""
        fold = element("details", "interview-answer")
        summary = element("summary")
        summary += nodes.Text("Answer")
        fold += summary
        text = "\n\n".join(lines(asked))
        return self.parsed(text, fold)

    def parsed(self, text: str, holder: Any) -> Any:
        """`holder` with the nodes of a piece of Markdown."""
        source = StringList(text.splitlines(), source=self.env.docname)
        self.state.nested_parse(source, self.content_offset, holder)
        return holder


def lines(asked: Question) -> Iterator[str]:
    """The answer in Markdown, paragraph by paragraph."""
    right = f"**{LETTERS[asked.right - 1]}.** " if asked.kind == "choice" else ""
    yield right + asked.told()
    yield f"**Trap.** {asked.trap} {asked.why}"
    if asked.follow_ups:
        yield "**Then they ask**"
        yield "\n".join(f"- **{asks}** {answer}" for asks, answer in asked.follow_ups)
    if asked.kind == "open":
        yield "**Points**"
        yield "\n".join(f"{n}. {line}" for n, line in enumerate(asked.rubric, 1))
    page, target = asked.shown
    yield f"{{ref}}`Shown in {TITLES[page]} <{target}>`"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("interview", Interview)
    app.connect(
        "html-page-context",
        loads("data-interview", lambda name: ["interview.js"] if name == "bank" else []),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
