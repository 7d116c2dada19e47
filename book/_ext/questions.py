"""Questions that a reader answers before reading on: ``{predict}``, ``{answer}`` and ``{quiz}``.

The questions of a page stand in ``book/questions/<page>.yml``, each under its id::

    empty-row:
      question: What are the weights of a row that may attend to nothing?
      options: [NaN, zeros, the mean of all values]
      right: 2
      explanation: Softmax divides by a sum of zeros; this library gives zeros.

Words are Markdown. ``{predict} empty-row`` puts the question on the page with its explanation,
folded, below; with ``:later:`` the explanation stands where ``{answer} empty-row`` is, below the
cell that shows it. ``{quiz}`` takes ids, one a line. The script ``questions.js`` makes buttons of
the options and keeps the explanation back until the reader has chosen; without it, it folds.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from attncourse.course.asked import questions
from elements import element, loads

LETTERS = "abcd"


class Ask(SphinxDirective):
    """What the three directives share: questions of this page, as nodes."""

    def asked(self, name: str) -> dict[str, Any]:
        """A question of the page. Raises the directive's error where there is none of the name."""
        path = Path(self.env.srcdir, f"{self.folder()}.yml")
        self.env.note_dependency(str(path))
        try:
            return questions(path)[name]
        except (OSError, KeyError):
            raise self.error(f"{path.name} has no question {name!r}") from None
        except ValueError as error:
            raise self.error(str(error)) from None

    def folder(self) -> str:
        """Where the questions of the page are, without the file's ending."""
        folder, _, page = self.env.docname.rpartition("/")
        return f"{folder}/questions/{page}" if folder else f"questions/{page}"

    def parsed(self, text: str, holder: Any) -> Any:
        """`holder` with the nodes of a piece of Markdown."""
        lines = StringList(text.splitlines(), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder

    def box(self, name: str, *, later: bool) -> nodes.Node:
        """The question, its options as a list, and the explanation unless it comes later."""
        asked, places = self.asked(name), self.env.temp_data.setdefault("questions", {})
        if name in places:
            raise self.error(f"the question {name!r} is asked twice")
        places[name] = later
        box = element("section", "question", data_question=name)
        box["ids"] = [f"question-{name}"]
        box += self.parsed(asked["question"], element("div", "question-asked"))
        options = nodes.enumerated_list(classes=["question-options"], enumtype="loweralpha")
        for option in asked["options"]:
            options += self.parsed(option, nodes.list_item())
        box += options
        box += [] if later else [self.answer(name)]
        return box

    def answer(self, name: str) -> nodes.Node:
        """The folded explanation, with the right option first."""
        asked = self.asked(name)
        right = int(asked["right"])
        fold = element("details", "question-answer", data_answers=name, data_right=right - 1)
        summary = element("summary")
        summary += nodes.Text("Answer")
        fold += summary
        held = nodes.paragraph()
        held += nodes.strong("", f"It is {LETTERS[right - 1]}.")
        return self.parsed(asked["explanation"], fold.__iadd__(held))


class Predict(Ask):
    """One question, before the cell that answers it."""

    required_arguments = 1
    option_spec = {"later": directives.flag}  # noqa: RUF012 - docutils' way

    def run(self) -> list[nodes.Node]:
        """Put it on the page."""
        return [self.box(self.arguments[0], later="later" in self.options)]


class Answer(Ask):
    """The explanation of a question that stands above."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Put it on the page."""
        name = self.arguments[0]
        places = self.env.temp_data.setdefault("questions", {})
        if not places.pop(name, False):
            raise self.error(f"no {{predict}} {name} with :later: stands above this answer")
        places[name] = False
        return [self.answer(name)]


class Quiz(Ask):
    """Several questions, each with its explanation."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Put them on the page."""
        names = [line.strip() for line in self.content if line.strip()]
        if not names:
            raise self.error("a quiz names its questions, one a line")
        return [self.box(name, later=False) for name in names]


def check(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of a question whose answer never comes."""
    for name, later in app.env.temp_data.get("questions", {}).items():
        if later:
            where = (app.env.docname, None)
            logging.getLogger(__name__).warning(
                f"the answer to {name!r} never comes", location=where
            )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    for name, directive in {"predict": Predict, "answer": Answer, "quiz": Quiz}.items():
        app.add_directive(name, directive)
    app.connect("doctree-read", check)
    app.connect("html-page-context", loads("data-question", lambda name: ["questions.js"]))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
