"""A chapter's numbers are counted as a reader meets them, and each budget that breaks is named."""

from pathlib import Path

import nbformat
import pytest

from attncourse.course import budgets, page, source
from attncourse.course.boxes import text as box
from attncourse.course.exercise import get

ALT = {"mystnb": {"image": {"alt": "A line that rises."}}}
QUESTIONS = (
    "{}:\n  question: Who is it?\n  options: [this one, that one]\n  right: 1\n"
    "  explanation: Because.\n"
)
PREDICT = "```{{predict}} {}\n:later:\n```"


def markdown(text, **more):
    return nbformat.v4.new_markdown_cell(text, id=more.pop("id", "here"), **more)


def code(text, *tags, **metadata):
    return nbformat.v4.new_code_cell(text, id="there", metadata={"tags": list(tags), **metadata})


def answer(name):
    return markdown(f"```{{answer}} {name}\n```")


def good():
    """The cells of a chapter that keeps every budget."""
    asked = [
        cell
        for name in ("one", "two", "three")
        for cell in (markdown(PREDICT.format(name)), code("1 + 1"), answer(name))
    ]
    figures = [code("plt.show()", "hide-input", **ALT) for _ in range(3)]
    return [markdown("# T\n\n*Time:* 1 minutes to read, 5 to practise."), *asked, *figures]


def written(folder: Path, cells, slug="serving") -> Path:
    path = folder / f"{slug}.ipynb"
    named = [nbformat.from_dict({**cell, "id": f"c{i}"}) for i, cell in enumerate(cells[:-1])]
    notebook = nbformat.v4.new_notebook(cells=[*named, cells[-1]])
    path.write_text(nbformat.v4.writes(notebook))
    (folder / "questions").mkdir(exist_ok=True)
    asked = "".join(QUESTIONS.format(name) for name in ("one", "two", "three"))
    (folder / "questions" / f"{slug}.yml").write_text(asked)
    return path


@pytest.fixture
def words(monkeypatch):
    """Nothing said of minutes, so that a case need not count its words."""
    monkeypatch.setattr(budgets, "TOLERANCE", 100.0)


def test_a_chapter_that_keeps_them_has_no_problem(tmp_path, words):
    assert budgets.problems(written(tmp_path, good())) == []


def test_numbers_are_those_of_the_open_page(tmp_path):
    cells = [
        markdown(
            "# T\n\n*Time:* 7 minutes to read.\n\n## One\n\n<!-- not this -->\n(label)=\n### Two"
        ),
        markdown(
            "A {cite}`key` and a [link](https://x.y/z) – here.\n\n```python\n# ## no\nx = 1\n```"
        ),
        markdown(
            ":::{note} Three words here\nTwo more\n:::\n\n```{exercise} X\n:label: ex-x\nno\n```"
        ),
        markdown(PREDICT.format("one")),
        code("assert 1\n\ntorch.testing.assert_close(a, b)"),
        code("assert 1\nassert 2", "hide-input"),
        code("x", "remove-output"),
        answer("one"),
        code("plt.show()", "hide-cell", **ALT),
        markdown("```{interactive} temperature-and-scale\n:caption: Move it.\n```"),
        markdown("```{figure} x.svg\n:alt: a map\n```\n\n```{figure} y.svg\n```"),
    ]
    counted = budgets.count(page.read(written(tmp_path, cells)))
    assert counted == budgets.Count(
        sections=2, lines=5, asserts=2, predictions=1, figures=3, words=29, stated=7
    )
    assert counted.minutes == pytest.approx(29 / 150 + 5 * 6 / 60)


LONG = "x = 1  # " + "a" * 60
FAULTS = {
    "it has 13 sections and subsections: at most 12": [markdown("## A\n\n### B" + "\n## C" * 11)],
    "it has 256 visible lines of code: at most 250": [code("\n".join(["x"] * 11))] * 23,
    "cell there: it shows 13 lines of code: at most 12, or fold it": [code("\n".join("x" * 13))],
    f"cell there: it has a line of {len(LONG)} columns: at most 66": [code(LONG)],
    "cell there: it shows 2 asserts: at most 1, or fold it": [code("assert a\nassert_close(a, b)")],
    "cell there: line 2 is a lambda with a name: write a function": [
        code("%time x\nf = lambda x: x", "hide-input")
    ],
    "cell there: line 1 is an assignment inside an expression (:=)": [code("print(x := 1)")],
    "cell there: line 1 is several assignments packed into one: a line for each": [
        code("n, m = 1, 2")
    ],
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_each_budget_that_breaks_is_named(tmp_path, words, sentence):
    found = budgets.problems(written(tmp_path, good() + FAULTS[sentence]))
    assert found == [f"serving.ipynb, {sentence}"]


def test_what_is_folded_or_unpacked_is_free(tmp_path, words):
    folded = [code("assert a\n" * 20 + LONG, tag) for tag in sorted(page.FOLDED)]
    welcome = code("fig, ax = draw()\nkey = sorted(x, key=lambda y: -y)")
    assert budgets.problems(written(tmp_path, [*good(), *folded, welcome])) == []


def test_too_few_questions_and_figures_are_named(tmp_path, words):
    path = written(tmp_path, [good()[0], code("plt.show()")])
    assert budgets.problems(path) == [
        "serving.ipynb, it has 0 {predict} boxes: at least 3",
        "serving.ipynb, it has 0 figures with alt text: at least 3",
    ]


def test_the_minutes_are_counted(tmp_path):
    cells = good()
    cells[0].source = "# T\n\n*Time:* 2 minutes to read.\n\n" + "word " * 450
    told = budgets.problems(written(tmp_path, cells))
    assert told == ["serving.ipynb, it says 2 minutes to read: 480 words and 3 lines of code are 4"]
    cells[0].source = cells[0].source.replace(" 2 ", " 4 ")
    assert budgets.problems(written(tmp_path, cells)) == []
    cells[0].source = "# T"
    told = budgets.problems(written(tmp_path, cells))
    assert told == ['serving.ipynb, its opening has no line "... minutes to read"']


def test_an_answer_stands_below_the_cell_that_shows_it(tmp_path, words):
    cells = good()
    cells[1:4] = [answer("one"), markdown(PREDICT.format("one")), code("1 + 1")]
    assert budgets.problems(written(tmp_path, cells)) == [
        "serving.ipynb, the answer of one stands above its question, or answers none",
        "serving.ipynb, the question one is asked with :later: and has no answer below",
    ]
    cells[1:4] = [markdown(PREDICT.format("one")), answer("one"), code("1 + 1")]
    assert budgets.problems(written(tmp_path, cells)) == [
        "serving.ipynb, between the question one and its answer is no cell that shows it"
    ]


def test_a_solution_above_its_exercise_is_named(tmp_path, words):
    softmax = get("softmax")
    solution, asked = source.whole(softmax.solution), markdown(box(softmax))
    shown = [
        code(solution),
        code("print(getsource(softmax))", outputs=[]),
        markdown(f"```python\n{solution}\n```"),
        code(
            "def mine(x):\n    wide = x\n"
            "    exponentials = (wide - wide.amax(dim=-1, keepdim=True)).exp()\n"
            "    weights = exponentials / exponentials.sum(dim=-1, keepdim=True)\n"
            "    return weights",
            "remove-output",
        ),
    ]
    shown[1].outputs = [nbformat.v4.new_output("stream", text=solution)]
    for cell in shown:
        chapter = page.read(written(tmp_path, [cell, asked], "scores-and-scaling"))
        found = [told for told in budgets.spoilers.problems(chapter) if " softmax " in told]
        assert len(found) == 1, cell.source
        assert "it shows the solution of softmax above the exercise" in found[0]
        chapter = page.read(written(tmp_path, [asked, cell], "scores-and-scaling"))
        assert not any(" softmax " in told for told in budgets.spoilers.problems(chapter))


def test_steps_in_several_cells_and_folded_code_are_no_spoiler(tmp_path):
    softmax = get("softmax")
    first, second = source.statements(softmax.solution)[1:3]
    folded = code(source.whole(softmax.solution), "hide-input")
    cells = [code(first), code(second), folded, markdown(box(softmax))]
    chapter = page.read(written(tmp_path, cells, "scores-and-scaling"))
    assert not any(" softmax " in told for told in budgets.spoilers.problems(chapter))


def test_what_is_no_notebook_is_named(tmp_path):
    path = tmp_path / "serving.ipynb"
    path.write_text("no JSON")
    assert budgets.problems(path)[0].startswith("serving.ipynb cannot be read: ")
