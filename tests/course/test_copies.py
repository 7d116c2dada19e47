"""The copies of pages for GitHub and Colab: plain Markdown, answers folded, the same code."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from attncourse.course import build
from attncourse.course.bank import Question
from attncourse.course.citations import Source, sources
from attncourse.course.plain import FOLDER, Book, plain
from exercise_links import open_copies
from pages import ROOT

COPIES = sorted(Path(ROOT, FOLDER).glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.ipynb"))
WHICH = Question(
    "masks",
    "which",
    1,
    "choice",
    "Which *line*?",
    "The second.",
    (("Why?", "So."),),
    "The first.",
    "It is short.",
    "here",
    options=("one", "two"),
    right=2,
)
BOOK = Book(
    questions={
        "who": {
            "question": "Who is {ref}`it <wm-it>`?",
            "options": ["the trophy", "the\nsuitcase"],
            "right": "2",
            "explanation": "It is too {cite}`vaswani2017` small.",
        }
    },
    works={
        "vaswani2017": Source("Vaswani et al.", "2017", "https://arxiv.org/abs/1706.03762"),
        "tay2020": Source("Tay and Li", "2020", "https://x.org"),
    },
    titles={"wm-it": "It", "masks": "Masks and numerical safety"},
    bank={"which": WHICH, "masks/which": WHICH},
)
NAMED = Book(
    {}, {}, {}, {"red-team": "red-team.md"}, base="https://github.com/ada/course/blob/main"
)
QUESTION = "**Question.** Who is [it](#wm-it)?\n\n- a) the trophy\n- b) the suitcase"
ANSWER = (
    "<details>\n<summary>Answer</summary>\n\nIt is **b**. It is too "
    "([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)) small.\n\n</details>"
)

FORMS = {
    "```{predict} who\n:later:\n```": QUESTION,
    "```{answer} who\n```": ANSWER,
    "```{predict} who\n```": f"{QUESTION}\n\n{ANSWER}",
    "Before.\n\n```{quiz}\nwho\n```\nAfter.": f"Before.\n\n{QUESTION}\n\n{ANSWER}\n\nAfter.",
    "```{interview}\nwhich\n```": "**Which *line*?**\n\n- a) one\n- b) two\n\n"
    "<details>\n<summary>Answer</summary>\n\nIt is **b**. The second.\n\n"
    "**Trap.** The first. It is short.\n\n- **Why?** So.\n\n</details>",
    "```{interview}\n:all:\n```": "1 questions: on the course's page, or `attncourse quiz`.",
    "{cite:t}`vaswani2017`": "[Vaswani et al. (2017)](https://arxiv.org/abs/1706.03762)",
    "{cite}`tay2020, vaswani2017`": "([Tay and Li, 2020](https://x.org); "
    "[Vaswani et al., 2017](https://arxiv.org/abs/1706.03762))",
    "`{cite}` and ``{ref}`x` `` stay": "`{cite}` and ``{ref}`x` `` stay",
    "see {ref}`wm-it`, {ref}`nowhere`": "see [It](#wm-it), [there](#nowhere)",
    "{doc}`masks` and {math}`a`": "[Masks and numerical safety](masks.ipynb) and $a$",
    "(wm-it)=\n## It": '<a id="wm-it" name="wm-it"></a>\n\n## It',
    "$$\na\n$$ (eq-a)": "$$\na\n$$",
    "::::{grid} 1 2\n:::{grid-item-card} Read\nHere.\n:::\n::::": "**Read**\n\nHere.",
    "```{hosted}\nIn Colab.\n```\nAt home.": "At home.",
    "% unseen\nseen\n+++": "seen",
    "[m](masks.ipynb#x) [s](#wm-it) [w](https://x.y) `a[i](x)`": (
        "[m](masks.ipynb#x) [s](#wm-it) [w](https://x.y) `a[i](x)`"
    ),
    "{download}`masks.ipynb <../exercises/masks.ipynb>`": (
        "[`masks.ipynb`](../../exercises/masks.ipynb)"
    ),
    "````{exercise} Write it\n:label: ex-it\n\nText.\n\n```python\nx\n```\n````": (
        "> **Exercise: Write it**\n>\n> Text.\n>\n> ```python\n> x\n> ```"
    ),
    "```{dropdown} Compare\n:color: light\nThe *code*\n```": (
        "<details>\n<summary>Compare</summary>\n\nThe *code*\n\n</details>"
    ),
    "```{warning}\nMind.\n```": "> **Warning**\n>\n> Mind.",
    ":::{admonition} Model answer\n:class: dropdown\nYes.\n:::": (
        "<details>\n<summary>Model answer</summary>\n\nYes.\n\n</details>"
    ),
    "````{interactive} painter\n:caption: Paint.\n:::{table}\n| a |\n|---|\n:::\n````": (
        "**A figure that moves on the page of the course.** Paint.\n\n| a |\n|---|"
    ),
    "```{figure} x.svg\n:alt: A map.\nThe caption.\n```": "*Figure: A map.*\n\nThe caption.",
    "```{list-table} T\n* - a\n  - b\n* - c\n  - {ref}`wm-it`\n```": (
        "**T**\n\n| a | b |\n|---|---|\n| c | [It](#wm-it) |"
    ),
    "````{grid} 1 2\n```{grid-item-card} Work\n:link: first\n:link-type: ref\nDo.\n```\n````": (
        "**[Work](#first)**\n\nDo."
    ),
    "```{card} Read\n:link: masks\n:link-type: doc\nWell.\n```": (
        "**[Read](masks.ipynb)**\n\nWell."
    ),
    "```{grid-item} Title\nText\n```": "**Title**\n\nText",
    "```python\n{cite}`x`\n```": "```python\n{cite}`x`\n```",
    "```{math}\na\n```": "$$\na\n$$",
    "```{bibliography}\n```\nx": "x",
    "```{predict} not-yet\n:later:\n```": "**Question.** To be written.",
    "{cite}`nobody,tay2020`": "([Tay and Li, 2020](https://x.org))",
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_has_a_plain_one(text: str) -> None:
    assert plain(text, BOOK) == FORMS[text]


def test_links_lead_to_files_on_the_web_where_there_are_any() -> None:
    base = NAMED.base
    assert plain("[m](masks.ipynb#x)", NAMED) == f"[m]({base}/book/colab/masks.ipynb#x)"
    assert plain("[m](red-team.md)", NAMED) == f"[m]({base}/book/red-team.md)"
    assert plain("{doc}`red <red-team>`", NAMED) == f"[red]({base}/book/red-team.md)"
    exercises = "{download}`masks.ipynb <../exercises/masks.ipynb>`"
    colab = base.replace("github.com", "colab.research.google.com/github")
    assert plain(exercises, NAMED) == (
        f"[`masks.ipynb`]({base}/exercises/masks.ipynb) "
        f"([open in Colab]({colab}/exercises/masks.ipynb))"
    )


def test_every_page_has_a_copy_and_no_other_has() -> None:
    assert [path.name for path in COPIES] == [path.name for path in PAGES]


def test_a_stray_copy_is_found(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "gone.ipynb").write_text("{}")
    assert build.strays(tmp_path) == [Path(FOLDER, "gone.ipynb")]


RAW = re.compile(r"\{[\w:+-]+\}`|^[`:~]{3,}\s*\{|^\([\w-]+\)=|^:[a-z-]+:|^:::", re.MULTILINE)


@pytest.mark.parametrize("path", COPIES, ids=lambda path: path.stem)
def test_a_copy_shows_nothing_raw_and_no_answer_open(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    words = [cell.source for cell in cells if cell.cell_type == "markdown"]
    for text in words:
        open_text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
        assert "Answer</summary>" not in open_text
        assert "It is **" not in open_text
        assert text.count("<details>") == text.count("</details>")
        without_code = re.sub(r"^(`{3,})(?!\s*\{).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
        without_code = re.sub(r"(?<![`}])(`+)(?!`).+?(?<!`)\1(?!`)", "", without_code)
        assert RAW.findall(without_code) == []


@pytest.mark.parametrize("path", COPIES, ids=lambda path: path.stem)
def test_a_copy_has_the_code_of_its_page_and_what_it_printed(path: Path) -> None:
    page, copy = (nbformat.read(p, as_version=4) for p in (ROOT / "book" / path.name, path))
    code = [[c for c in nb.cells if c.cell_type == "code"] for nb in (page, copy)]
    assert [(c.id, c.source) for c in code[0]] == [(c.id, c.source) for c in code[1]]
    assert path.stat().st_size < 150_000
    for original, copied in zip(*code, strict=True):
        silent = {"hide-output", "hide-cell", "remove-output", "remove-cell"}
        hidden = silent & set(original.metadata.get("tags", ()))
        kept = [] if hidden else original.outputs
        assert copied.outputs == [
            o for o in kept if "<Figure" not in o.get("data", {}).get("text/plain", "")
        ]


def test_what_the_page_hides_is_hidden_and_a_figure_is_told(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://github.com/ada/course\n  branch: trunk\n"
        "sphinx:\n  config:\n    html_baseurl: https://ada.github.io/course/\n"
    )
    printed = nbformat.v4.new_output("stream", text="def solution")
    figure = nbformat.v4.new_output("display_data", {"text/plain": "<Figure size 6x4 with 1 Axes>"})
    alt = {"mystnb": {"image": {"alt": "A line."}}, "tags": ["hide-input"]}
    cells = [
        nbformat.v4.new_markdown_cell("# Masks and numerical safety", id="title"),
        nbformat.v4.new_code_cell("show()", id="a", metadata={"tags": ["hide-cell"]}),
        nbformat.v4.new_code_cell("plt.show()", id="b", metadata=alt),
        nbformat.v4.new_markdown_cell("[next](red-team.md)", id="c"),
    ]
    cells[1].outputs, cells[2].outputs = [printed], [figure]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "book" / "setup.ipynb")
    build.write(tmp_path)
    assert build.write(tmp_path) == {}
    found = nbformat.read(tmp_path / FOLDER / "setup.ipynb", as_version=4).cells
    assert [cell.id for cell in found] == ["title", "about-this-copy", "a", "b", "b-figure", "c"]
    assert "[its page](https://ada.github.io/course/book/setup.html)" in found[1].source
    for cell in found[2:4]:
        assert cell.outputs == []
        assert cell.metadata == {"jupyter": {"source_hidden": True}, "cellView": "form"}
    summary = "<summary>The figure in words</summary>"
    assert found[4].source == f"<details>\n{summary}\n\nA line.\n\n</details>"
    address = "https://github.com/ada/course/blob/trunk/book/red-team.md"
    assert found[5].source == f"[next]({address})"


def test_colabs_button_opens_the_copy() -> None:
    app = SimpleNamespace(srcdir=str(ROOT))
    start = "https://colab.research.google.com/github/ada/course/blob/main"
    buttons = [{"url": f"{start}/book/masks.ipynb"}, {"url": "https://x.org/book/masks.ipynb"}]
    open_copies(app, "book/masks", "page.html", {"header_buttons": [{"buttons": buttons}]}, None)
    assert [button["url"] for button in buttons] == [
        f"{start}/book/colab/masks.ipynb",
        "https://x.org/book/masks.ipynb",
    ]


def test_works_are_named_by_their_authors() -> None:
    works = sources(ROOT / "book" / "references.bib")
    assert works["vaswani2017"] == BOOK.works["vaswani2017"]
    assert works["martins2016"].authors == "Martins and Astudillo"
    assert works["bridle1990"].address == "https://doi.org/10.1007/978-3-642-76153-9_28"
    assert all(re.match("https?://", work.address) for work in works.values())
    assert sources(Path("nowhere.bib")) == {}
