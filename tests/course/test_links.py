"""Links that lead nowhere are found without building the site."""

import nbformat
import pytest

from attncourse.course.links import problems

BOOK = """
@article{known2020,
  title = {T}}
"""
PAGE = """# A page

(here)=
## The first thing, & more

```{exercise} One
:label: ex-one
Text.
```
"""


@pytest.fixture
def book(tmp_path):
    """A page with one target of each kind, a second page, a file and a bibliography."""
    (tmp_path / "references.bib").write_text(BOOK)
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "data.txt").write_text("")
    cell = nbformat.v4.new_markdown_cell("# Other\n\n## In a notebook", id="a")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "other.ipynb")

    def said(text):
        (tmp_path / "page.md").write_text(PAGE + text)
        return problems(tmp_path)

    return said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[a](#here) [b](#the-first-thing--more) [c](#ex-one) [d](other.ipynb#in-a-notebook)",
        "[a](other.ipynb) [b](https://example.org/x#y) [c](mailto:a@b.c) [d](data.txt) [e](here)",
        "{ref}`here` {ref}`words <ex-one>` {cite:t}`known2020` {cite}`known2020,known2020`",
        "{download}`data.txt` {download}`it <data.txt>` {doc}`other`",
        "`[a](nowhere.md)` and ```` {ref}`nothing` ````",
        "```python\n[a](nowhere.md)\n```",
        "```{literalinclude} data.txt\n:language: text\n```",
    ],
)
def test_a_link_with_a_target_is_in_order(book, text):
    assert book(text) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a](#nowhere)", "page.md: the link #nowhere has no target"),
        ("[a](nowhere.md)", "page.md: the link nowhere.md has no target"),
        ("[a](other.ipynb#nowhere)", "page.md: the link other.ipynb#nowhere has no target"),
        ("![a](nowhere.png)", "page.md: the link nowhere.png has no target"),
        ("{ref}`nowhere`", "page.md: the ref nowhere has no target"),
        ("{ref}`words <nowhere>`", "page.md: the ref nowhere has no target"),
        ("{doc}`nowhere`", "page.md: the doc nowhere has no target"),
        ("{download}`x <nowhere.txt>`", "page.md: the download nowhere.txt has no target"),
        ("{cite}`known2020,other1999`", "page.md: the cite other1999 has no target"),
        ("```{note}\n[a](#nowhere)\n```", "page.md: the link #nowhere has no target"),
        ("```{literalinclude} nowhere.py\n```", "page.md: the file nowhere.py is not there"),
        ("(here)=\n## Again", "2 targets are called here"),
    ],
)
def test_a_link_without_one_is_named_with_its_page(book, text, sentence):
    assert book(text) == [sentence]
