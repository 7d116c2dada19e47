"""What is generated in a checkout: the contents, the boxes of exercises, counts and lists."""

import nbformat
import pytest
import yaml

from attncourse.course import boxes, build, passages
from attncourse.course import exercise as contract
from attncourse.course.contents import CHAPTERS, PARTS, ROOT, TITLES, UNGRADED, toc
from attncourse.course.exercise import get, read
from machinery import only
from pages import ROOT as CHECKOUT

URL = "https://example.org/someone/attncourse"
BOX = "```{{exercise}}\n:label: ex-{}\n```"


def markdown(text, identity):
    return nbformat.v4.new_markdown_cell(text, id=identity)


def notebook(*texts):
    cells = [markdown(text, f"c{number}") for number, text in enumerate(texts)]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture
def root(tmp_path):
    """A checkout with three pages, one of them a chapter."""
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {URL}\n")
    book = tmp_path / "book"
    book.mkdir()
    hello = "# Hello\n\n<!-- generated: counts -->\n<!-- end -->\n"
    nbformat.write(notebook(hello), book / "intro.ipynb")
    (book / "faq.md").write_text("# Questions and answers\n")
    nbformat.write(notebook("# Masks and numerical safety", "## Exercises"), book / "masks.ipynb")
    build.write(tmp_path)
    return tmp_path


# The contents


def test_slugs_are_unique_and_a_chapter_is_a_page_of_a_numbered_part():
    slugs = [slug for part in PARTS for slug in part.pages]
    assert len(slugs) == len(TITLES) == len(set(slugs))
    assert len(CHAPTERS) == 28
    assert ROOT not in slugs


def test_the_table_of_contents_lists_the_pages_that_are_there(root):
    assert yaml.safe_load(toc(root)) == {
        "format": "jb-book",
        "root": "book/intro",
        "parts": [
            {"caption": "Concepts", "numbered": 1, "chapters": [{"file": "book/masks"}]},
            {"caption": "Appendices", "chapters": [{"file": "book/faq"}]},
        ],
    }
    assert (root / "_toc.yml").read_text() == toc(root)


def test_a_page_that_the_contents_do_not_name_so_is_found(root):
    assert build.unlisted(root) == []
    (root / "book" / "mask.md").write_text("# Mask\n")
    (root / "book" / "faq.md").write_text("# FAQ\n")
    assert build.unlisted(root) == [
        "faq.md is titled 'FAQ', and 'Questions and answers' in attncourse/course/contents.py",
        "mask.md is not in the contents: name it in attncourse/course/contents.py",
    ]


def test_a_chapter_without_exercises_says_why(root, monkeypatch):
    assert build.idle(root) == []
    monkeypatch.setattr(build, "names", lambda: {"softmax": "interview-questions"})
    assert build.idle(root) == [
        "the chapter masks has no exercises: "
        "write one, or say in UNGRADED of attncourse/course/contents.py why",
        "the chapter interview-questions has exercises: "
        "it is not to stand in UNGRADED of attncourse/course/contents.py",
    ]


def test_every_chapter_of_this_book_has_exercises_or_says_why():
    assert build.idle(CHECKOUT) == []
    assert set(UNGRADED) <= set(CHAPTERS)


# Boxes


def test_a_box_tells_what_is_asked_what_is_checked_and_where_to_start():
    text = boxes.text(get("softmax"))
    assert text.startswith("```{exercise} Softmax\n:label: ex-softmax\n\n`softmax(x)` · ★☆☆☆☆ · ")
    assert get("softmax").statement in text
    assert "*Checked:* equals exp(x) over its sum, row by row; works on" in text
    assert "{download}`scores-and-scaling.ipynb <../exercises/scores-and-scaling.ipynb>`" in text
    assert text.endswith('`hint("softmax")` gives a nudge.\n```')


def test_a_statement_with_a_fence_gets_a_longer_one(variant):
    module = variant()
    module.__doc__ = "# Twice\n\n````text\nx\n````\n"
    assert boxes.text(read(module)).startswith("`````{exercise} Twice")


def test_boxes_stay_where_they_were_put_and_the_others_go_below_the_heading():
    masks = notebook("# Masks", BOX.format("padding-mask"), "## Exercises", "## Summary")
    boxes.place(masks, "masks")
    assert [cell.id for cell in masks.cells] == [
        "c0",
        "exercise-padding-mask",
        "c2",
        "exercise-causal-mask",
        "exercise-masked-softmax",
        "exercise-fix-masked-softmax",
        "exercise-masked-attention",
        "c3",
    ]
    assert masks.cells[1].source == boxes.text(get("padding_mask"))
    before = nbformat.writes(masks)
    boxes.place(masks, "masks")
    assert nbformat.writes(masks) == before


def test_a_page_that_is_no_chapter_gets_no_box():
    setup = notebook("# Set-up", "## Exercises")
    boxes.place(setup, "setup")
    assert len(setup.cells) == 2


def test_a_box_of_another_chapter_is_named():
    masks = notebook("# Masks", BOX.format("softmax"), BOX.format("padding-mask"))
    assert list(boxes.problems(masks, "masks")) == [
        "its box ex-softmax is of no exercise of this chapter"
    ]


def test_a_box_that_was_edited_is_drift_and_is_written_again(root):
    path = root / "book" / "masks.ipynb"
    before = path.read_bytes()
    path.write_text(path.read_text().replace("*Checked:*", "*Not checked:*"))
    assert build.drift(root) == [path.relative_to(root)]
    assert build.write(root) == {path.relative_to(root): None}
    assert path.read_bytes() == before


# Passages


def test_counts_are_of_what_is_written(root, monkeypatch):
    count = len(contract.names())
    said = f"<!-- generated: counts -->\nWritten so far: 1 chapter with {count} exercises.\n"
    assert said in nbformat.read(root / "book" / "intro.ipynb", 4).cells[0].source
    only(monkeypatch, get("softmax"))
    assert "1 chapter with 1 exercise.\n" in passages.renewed(said + "<!-- end -->", root)


def test_the_outline_links_what_is_written_and_names_the_rest(root):
    text = passages.renewed("<!-- generated: outline -->\nold\n<!-- end -->", root)
    lines = text.splitlines()
    assert lines[1].startswith("1. **Concepts.** [Masks and numerical safety](masks.ipynb). ")
    assert "*To come:* Attention as a query-dependent weighted mean; " in lines[1]
    assert len(lines) == 2 + sum(part.numbered for part in PARTS)
    assert "old" not in text


def test_what_the_introduction_printed_stands_in_the_readme(root):
    page = notebook("# Hello")
    for text in ("asked  what\n", "0 of 8\nYou did not.\n"):
        output = nbformat.v4.new_output("stream", name="stdout", text=text)
        page.cells.append(nbformat.v4.new_code_cell(outputs=[output]))
    nbformat.write(page, root / "book" / "intro.ipynb")
    text = passages.renewed("<!-- generated: spoilt -->\n<!-- end -->", root)
    assert "```\nasked  what\n```\n" in text
    assert "> 0 of 8  \n> You did not.\n" in text


def test_a_page_that_is_no_notebook_is_left_alone(root):
    page = root / "book" / "intro.ipynb"
    page.write_text("{")
    assert "book/intro.ipynb" not in map(str, build.files(root))


def test_an_unknown_passage_is_refused(root):
    with pytest.raises(ValueError, match="^there is no generated passage 'count': there are count"):
        passages.renewed("<!-- generated: count -->\n<!-- end -->", root)
