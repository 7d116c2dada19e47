"""A chapter's Markdown in plain Markdown: what GitHub, Colab and JupyterLab show of it.

Directives become words, quotes and ``<details>``; roles become links; answers are folded.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from attncourse.course.bank import Question
from attncourse.course.citations import Source
from attncourse.course.directives import Fence, blocks

FOLDER = "book/colab"
GITHUB, COLAB = "https://github.com/", "https://colab.research.google.com/"

_LETTERS = "abcd"
_ROLE_CODE_OR_LINK = re.compile(
    r"\{(?P<role>[\w:+-]+)\}(?P<run>`+)(?P<text>.+?)(?P=run)"
    r"|(?P<code>(`+)(?!`).+?(?<!`)\5(?!`))"
    r"|(?<=\]\()(?!https?:|mailto:|#)(?P<link>[^()\s]+)(?=\))",
    re.DOTALL,
)
_TITLED = re.compile(r"(?P<title>.*?)\s*<(?P<target>[^<>]+)>\s*$", re.DOTALL)
_TARGET = re.compile(r"^\(([\w-]+)\)= *$\n?", re.MULTILINE)
_LABEL_OF_FORMULA = re.compile(r"^(\s*\$\$) *\([\w-]+\) *$", re.MULTILINE)
_UNSEEN = re.compile(r"^(?:%.*|\+\+\+.*)$\n?", re.MULTILINE)
_MISSING: dict[str, Any] = {
    "question": "To be written.",
    "options": [],
    "right": "1",
    "explanation": "",
}
_SILENT = ("bibliography", "contents", "tableofcontents", "raw", "eval-rst", "include")


@dataclass(frozen=True)
class Book:
    """What a page's words lead to: questions, works, targets by name, and where files are.

    files are those of the pages by their names without an ending; base is the address of the files
    on the web, empty where there is none.
    """

    questions: Mapping[str, Any]  # of the prediction boxes, and below those of the bank
    works: Mapping[str, Source]
    titles: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    bank: Mapping[str, Question] = field(default_factory=dict)

    def page(self, name: str) -> str:
        """Where a page is that is named without its ending."""
        return self.link(self.files.get(name, f"{name}.ipynb"))

    def link(self, target: str) -> str:
        """Where a file is that the page names from its own folder; a notebook is its copy."""
        file, sign, anchor = target.partition("#")
        path = posixpath.normpath(f"book/{file}")
        if posixpath.dirname(path) == "book" and path.endswith(".ipynb"):
            path = f"{FOLDER}/{posixpath.basename(path)}"
        place = f"{self.base}/{path}" if self.base else posixpath.relpath(path, FOLDER)
        return place + sign + anchor


def plain(text: str, book: Book) -> str:
    """The same words, without a directive, a role or a target of MyST."""
    return "\n\n".join(filter(None, (_block(block, book).strip("\n") for block in blocks(text))))


def fold(summary: str, body: str) -> str:
    """Markdown that opens when its summary is chosen."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def _block(block: str | Fence, book: Book) -> str:
    if isinstance(block, str):
        return _words(block, book)
    if not block.name:
        return _code(block.argument, block.body)
    return _PLAIN.get(block.name, _titled)(block, book)


def _words(text: str, book: Book) -> str:
    """Prose: roles are links or words, targets are anchors."""
    text = _UNSEEN.sub("", _LABEL_OF_FORMULA.sub(r"\1", text))
    text = _TARGET.sub(r'<a id="\1" name="\1"></a>\n\n', text)

    def renewed(found: re.Match[str]) -> str:
        if found["role"]:
            return _role(found["role"], " ".join(found["text"].split()), book)
        return found["code"] or book.link(found["link"])

    return _ROLE_CODE_OR_LINK.sub(renewed, text)


def _role(role: str, text: str, book: Book) -> str:
    named = _TITLED.match(text)
    title, target = (named["title"], named["target"]) if named else ("", text)
    if role.startswith("cite"):
        return _citation(role, target, book)
    if role == "download":
        return _download(title, target, book)
    if role == "doc":
        known = title or book.titles.get(posixpath.basename(target), target)
        return f"[{known}]({book.page(posixpath.basename(target))})"
    if role in ("ref", "numref", "eq"):
        return f"[{title or book.titles.get(target, 'there')}](#{target})"
    return f"${text}$" if role == "math" else f"`{title or text}`"


def _download(title: str, target: str, book: Book) -> str:
    """A file as it stands, no copy of it: the notebook of the exercises is not a page."""
    path = posixpath.normpath(f"book/{target}")
    place = f"{book.base}/{path}" if book.base else posixpath.relpath(path, FOLDER)
    link = f"[`{title or posixpath.basename(target)}`]({place})"
    if not (place.startswith(GITHUB) and place.endswith(".ipynb")):
        return link
    return f"{link} ([open in Colab]({COLAB}github/{place.removeprefix(GITHUB)}))"


def _citation(role: str, keys: str, book: Book) -> str:
    """The works in brackets, or, with ``cite:t``, as part of the sentence."""
    known = [book.works.get(key.strip()) for key in keys.split(",")]
    works = [work for work in known if work]  # `links` tells of the others
    if role.partition(":")[2].startswith("t"):
        return ", ".join(f"[{w.authors} ({w.year})]({w.address})" for w in works)
    return "(" + "; ".join(f"[{w.authors}, {w.year}]({w.address})" for w in works) + ")"


def _code(language: str, body: str) -> str:
    longest = max(map(len, re.findall(r"`{3,}", body)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _quoted(title: str, body: str) -> str:
    lines = [f"**{title}**", "", *body.splitlines()] if title else body.splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _titled(block: Fence, book: Book) -> str:
    """A directive that holds text: its title, and the text."""
    title = _words(block.argument, book)
    return "\n\n".join(filter(None, (f"**{title}**" if title else "", plain(block.body, book))))


def _card(block: Fence, book: Book) -> str:
    """A card: its title, which leads where the card does, and its text."""
    title, link = _words(block.argument, book), block.options.get("link", "")
    if link and block.options.get("link-type") == "doc":
        title = f"[{title}]({book.page(posixpath.basename(link))})"
    elif link:
        title = f"[{title}]({link if '://' in link else f'#{link}'})"
    return "\n\n".join(filter(None, (f"**{title}**", plain(block.body, book))))


def _admonition(block: Fence, book: Book) -> str:
    kind = block.name.removesuffix("-note").capitalize()
    title = _words(block.argument, book)
    if "dropdown" in block.options.get("class", ""):
        return fold(title or kind, plain(block.body, book))
    return _quoted(title or kind, plain(block.body, book))


def _exercise(block: Fence, book: Book) -> str:
    title = _words(block.argument, book)
    return _quoted(f"Exercise: {title}" if title else "Exercise", plain(block.body, book))


def _question(name: str, book: Book) -> Iterator[str]:
    """A question in words; one that is not written is told as that."""
    asked = book.questions.get(name) or _MISSING
    yield f"**Question.** {plain(asked['question'], book)}"
    options = zip(_LETTERS, asked["options"], strict=False)
    yield "\n".join(f"- {letter}) {' '.join(_words(o, book).split())}" for letter, o in options)


def _answer(name: str, book: Book) -> str:
    asked = book.questions.get(name) or _MISSING
    letter = _LETTERS[int(asked["right"]) - 1]
    return fold("Answer", f"It is **{letter}**. {plain(asked['explanation'], book)}")


def _predict(block: Fence, book: Book) -> str:
    name = block.argument
    answer = [] if "later" in block.options else [_answer(name, book)]
    return "\n\n".join([*_question(name, book), *answer])


def _quiz(block: Fence, book: Book) -> str:
    asked = [(*_question(name, book), _answer(name, book)) for name in block.body.split()]
    return "\n\n".join(part for parts in asked for part in parts)


def _interview(block: Fence, book: Book) -> str:
    if "all" in block.options:
        return (
            f"{len(set(book.bank.values()))} questions: on the course's page, or `attncourse quiz`."
        )
    asked = [
        _interviewed(book.bank[name], book) for name in block.body.split() if name in book.bank
    ]
    return "\n\n".join(asked)


def _interviewed(asked: Question, book: Book) -> str:
    """A question of the bank with its answer folded."""
    options = [f"- {letter}) {o}" for letter, o in zip(_LETTERS, asked.options, strict=False)]
    right = f"It is **{_LETTERS[asked.right - 1]}**. " if asked.options else ""
    points = [f"{n}. {line}" for n, line in enumerate(asked.rubric, 1)]
    answer = [
        right + asked.told(),
        f"**Trap.** {asked.trap} {asked.why}",
        "\n".join(f"- **{asks}** {answer}" for asks, answer in asked.follow_ups),
        "\n".join(points) if asked.kind == "open" else "",
    ]
    words = "\n\n".join(filter(None, answer))
    told = [f"**{asked.question}**", "\n".join(options), fold("Answer", plain(words, book))]
    return "\n\n".join(filter(None, told))


def _interactive(block: Fence, book: Book) -> str:
    caption = _words(block.options.get("caption", ""), book)
    still = plain(block.body, book)
    return f"**A figure that moves on the page of the course.** {caption}\n\n{still}"


def _figure(block: Fence, book: Book) -> str:
    alt = block.options.get("alt", "")
    words = [f"*Figure: {alt}*" if alt else "", plain(block.body, book)]
    return "\n\n".join(filter(None, words))


def _list_table(block: Fence, book: Book) -> str:
    rows = [
        [" ".join(_words(cell, book).split()) for cell in re.split(r"^  - ", row, flags=re.M)]
        for row in re.split(r"^\* - ", block.body, flags=re.M)[1:]
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines[1:1] = ["|" + "---|" * len(rows[0])] if rows else []
    title = _words(block.argument, book)
    return "\n\n".join(filter(None, (f"**{title}**" if title else "", "\n".join(lines))))


_Directive = Callable[[Fence, Book], str]
_PLAIN: dict[str, _Directive] = {
    "predict": _predict,
    "answer": lambda block, book: _answer(block.argument, book),
    "quiz": _quiz,
    "interview": _interview,
    "interactive": _interactive,
    "exercise": _exercise,
    "dropdown": lambda block, book: fold(_words(block.argument, book), plain(block.body, book)),
    "card": _card,
    "grid-item-card": _card,
    "grid": lambda block, book: plain(block.body, book),
    "math": lambda block, book: f"$$\n{block.body}\n$$",
    "figure": _figure,
    "image": _figure,
    "list-table": _list_table,
    "hosted": lambda block, book: plain(block.body, book) if book.base else "",
    **dict.fromkeys(
        ("note", "warning", "tip", "hint", "important", "caution", "admonition", "seealso"),
        _admonition,
    ),
    **dict.fromkeys(
        ("code", "code-block", "code-cell"), lambda block, book: _code(block.argument, block.body)
    ),
    **dict.fromkeys(_SILENT, lambda block, book: ""),
}
