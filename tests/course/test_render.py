"""The generated notebooks: the same each time, runnable, and no solution in a student's."""

import ast
import inspect
import re

import nbformat
import pytest

import double
from attncourse.course import build, render, source
from attncourse.course import exercise as contract
from attncourse.course.bootstrap import is_bootstrap
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.contents import CHAPTERS
from attncourse.course.exercise import all_exercises, chapters, of_chapter
from attncourse.course.plugs.table import offer
from attncourse.grading.parsing.magics import to_python
from machinery import only

URL = "https://example.org/someone/attncourse"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that names its repository, with the notebooks written into it."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "_config.yml").write_text(f"repository:\n  url: {URL}\n")
    build.write(root)
    return root


@pytest.fixture(scope="module")
def notebooks(checkout):
    """Every generated notebook, by its path, read back from the disk."""
    return {
        path.relative_to(checkout).as_posix(): nbformat.read(path, as_version=4)
        for path in sorted(checkout.glob("*/*.ipynb"))
    }


@pytest.fixture
def fresh(checkout, tmp_path):
    """A copy of the checkout to spoil."""
    for path in [checkout / "_config.yml", *checkout.glob("*/*.ipynb")]:
        copy = tmp_path / path.relative_to(checkout)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def names(paths):
    return [path.as_posix() for path in paths]


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def students(notebooks):
    return {path: nb for path, nb in notebooks.items() if path.startswith("exercises/")}


# Which files


def test_every_chapter_has_an_exercise_and_a_solution_notebook(notebooks):
    assert set(notebooks) == {
        f"{f}/{c}.ipynb" for c in chapters() for f in ("exercises", "solutions")
    }


def test_every_exercise_is_in_the_notebook_of_its_chapter(notebooks):
    for name, exercise in all_exercises().items():
        for folder in ("exercises", "solutions"):
            cells = {c.id: c for c in notebooks[f"{folder}/{exercise.chapter}.ipynb"].cells}
            cell = cells[name.replace("_", "-")]
            assert re.search(rf"^def {name}\(", cell.source, re.MULTILINE)


def test_notebooks_install_the_models_where_check_offers_one(notebooks):
    for path, notebook in notebooks.items():
        offered = any(offer(e.name) for e in of_chapter(path.split("/")[1][:-6]))
        bootstrap = next(filter(is_bootstrap, notebook.cells))
        assert ("gguf" in bootstrap.source) == offered, path


def test_rendering_twice_gives_the_same_bytes(checkout):
    first, second = render.notebooks(checkout), render.notebooks(checkout)
    assert first == second
    for path, text in first.items():
        assert (checkout / path).read_bytes() == text.encode()
        assert text.endswith("}\n")


# Drift


def test_what_was_written_has_not_drifted(checkout):
    assert build.drift(checkout) == []
    assert build.strays(checkout) == []
    assert build.write(checkout) == {}


def spoil_a_cell(root):
    path = root / "exercises/masks.ipynb"
    path.write_text(path.read_text().replace("raise NotImplementedError", "return 1"))


def spoil_the_encoding(root):
    (root / "solutions/masks.ipynb").write_bytes(b"\xff\xfe")


def remove_one(root):
    (root / "solutions/weighted-mean.ipynb").unlink()


def leave_a_stray_file(root):
    (root / "exercises/notes.md").write_text("mine")


def leave_a_stray_notebook_in_a_folder(root):
    (root / "solutions/old").mkdir()
    (root / "solutions/old/masks.ipynb").write_text("{}")


def rename_the_repository(root):
    (root / "_config.yml").write_text("repository:\n  url: https://example.org/else\n")


DRIFTS = {
    spoil_a_cell: ["exercises/masks.ipynb"],
    spoil_the_encoding: ["solutions/masks.ipynb"],
    remove_one: ["solutions/weighted-mean.ipynb"],
    rename_the_repository: [
        f"{folder}/{chapter}.ipynb"
        for folder in ("exercises", "solutions")
        for chapter in sorted(chapters())
    ],
}


@pytest.mark.parametrize("spoil", DRIFTS, ids=lambda f: f.__name__)
def test_drift_is_found_and_repaired(fresh, spoil):
    spoil(fresh)
    assert names(build.drift(fresh)) == DRIFTS[spoil]
    assert sorted(names(build.write(fresh))) == sorted(DRIFTS[spoil])
    assert build.drift(fresh) == []


STRAYS = {
    leave_a_stray_file: "exercises/notes.md",
    leave_a_stray_notebook_in_a_folder: "solutions/old/masks.ipynb",
}


@pytest.mark.parametrize("leave", STRAYS, ids=lambda f: f.__name__)
def test_a_stray_file_is_named_and_left_alone(fresh, leave):
    leave(fresh)
    assert names(build.strays(fresh)) == [STRAYS[leave]]
    assert build.write(fresh) == {}
    assert (fresh / STRAYS[leave]).exists()


def test_a_learners_work_is_kept_when_a_notebook_is_written_again(fresh):
    path = fresh / "exercises/masks.ipynb"
    for number, work in enumerate(("my first answer", "my second answer"), 1):
        path.write_text(work)
        ((_, kept),) = build.write(fresh).items()
        assert str(kept) == f".replaced/exercises/masks-{number}.ipynb"
        assert (fresh / kept).read_text() == work


def test_everything_is_missing_in_an_empty_checkout(tmp_path, checkout):
    (tmp_path / "_config.yml").write_text((checkout / "_config.yml").read_text())
    assert set(build.drift(tmp_path)) == set(render.notebooks(tmp_path))
    build.write(tmp_path)
    assert build.drift(tmp_path) == []


def test_a_learners_progress_and_checkpoints_are_no_drift(fresh):
    (fresh / "exercises/.attncourse-progress.json").write_text("{}")
    (fresh / "exercises/.ipynb_checkpoints").mkdir()
    (fresh / "exercises/.ipynb_checkpoints/masks-checkpoint.ipynb").write_text("{}")
    assert build.drift(fresh) == []


# What stands in them


def test_every_notebook_is_valid_and_its_cells_have_ids_of_their_own(notebooks):
    for notebook in notebooks.values():
        nbformat.validate(notebook)
        ids = [cell.id for cell in notebook.cells]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity) for identity in ids)


def test_every_notebook_says_its_chapter_and_its_kind(notebooks):
    for path, notebook in notebooks.items():
        folder, _, name = path.partition("/")
        told = notebook.metadata.attncourse
        assert (told.kind, told.chapter) == (folder, name.removesuffix(".ipynb"))
        assert CHAPTERS[told.chapter] in notebook.cells[0].source


def test_every_notebook_begins_with_a_title_and_the_bootstrap(notebooks):
    for notebook in notebooks.values():
        assert notebook.cells[0].source.startswith("# ")
        assert is_bootstrap(notebook.cells[1])
        assert f"git+{URL}" in notebook.cells[1].source


def test_no_notebook_holds_an_output_or_a_trace_of_a_machine(notebooks):
    for notebook in notebooks.values():
        assert set(notebook.metadata) == {"attncourse", "kernelspec", "language_info"}
        for cell in notebook.cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_the_statement_tells_what_the_exercise_asks(notebooks):
    for name, exercise in all_exercises().items():
        cells = {c.id: c.source for c in notebooks[f"exercises/{exercise.chapter}.ipynb"].cells}
        told = cells[f"{name.replace('_', '-')}-statement"]
        assert told.startswith(f"## {exercise.title}\n\n{'★' * exercise.difficulty}☆")
        assert f"about {exercise.minutes} minutes" in told
        assert exercise.statement in told
        assert all(f"`{word}`" in told for word in exercise.forbidden)
        assert told.count("\n- ") >= len(exercise.checks)


def test_the_check_cell_calls_check(notebooks):
    for name, exercise in all_exercises().items():
        for folder, hint in (("exercises", f'\n# hint("{name}")'), ("solutions", "")):
            cells = {c.id: c.source for c in notebooks[f"{folder}/{exercise.chapter}.ipynb"].cells}
            assert cells[f"{name.replace('_', '-')}-check"] == f"check({name}){hint}"


def test_no_student_notebook_holds_a_line_of_a_solution(notebooks):
    told = {path: "\n".join(c.source for c in nb.cells) for path, nb in students(notebooks).items()}
    for name, exercise in all_exercises().items():
        functions = [exercise.solution, *source.needs(exercise.solution)]
        lines = [line for f in functions for line in source.body_lines(f) if len(line) >= 20]
        for path, text in told.items():
            assert [line for line in lines if line in text] == [], (name, path)


def test_no_student_notebook_says_what_a_mistake_is_called(notebooks):
    for path, notebook in students(notebooks).items():
        assert not re.search(r"\b(wrong|right)_\w+", nbformat.writes(notebook)), path


# Running them


class Recorder:
    """A stand-in for check and hint that remembers what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, function):
        self.calls.append(function)


def run_cells(notebook, recorder):
    """Run the code cells in order in a fresh namespace; the first error of each stub is kept."""
    namespace = {}
    for text in code(notebook):
        plain = re.sub(r"^( *)%pip.*", r"\1pass", text, flags=re.MULTILINE)
        exec(compile(plain, "<cell>", "exec"), namespace)
        if "check" in namespace:
            namespace["check"] = namespace["hint"] = recorder
    return namespace


def test_an_exercise_notebook_runs_and_leaves_every_exercise_to_be_done(notebooks):
    for path, notebook in students(notebooks).items():
        recorder = Recorder()
        run_cells(notebook, recorder)
        chapter = of_chapter(notebook.metadata.attncourse.chapter)
        assert [f.__name__ for f in recorder.calls] == [e.name for e in chapter], path
        for exercise, function in zip(chapter, recorder.calls, strict=True):
            if exercise.stub is None:
                given = inspect.signature(function).parameters.values()
                named = {p.name: None for p in given if p.kind is p.KEYWORD_ONLY}
                with pytest.raises(NotImplementedError):
                    function(*[None] * (len(given) - len(named)), **named)


def test_a_solution_notebook_needs_nothing_of_the_library_but_the_checks(notebooks):
    for path, notebook in notebooks.items():
        imported = set()
        for text in code(notebook):
            for node in ast.walk(ast.parse(to_python(text)[0])):
                if isinstance(node, ast.ImportFrom):
                    imported |= {f"{node.module}.{alias.name}" for alias in node.names}
                elif isinstance(node, ast.Import):
                    imported |= {alias.name for alias in node.names}
        ours = {name for name in imported if name.startswith("attncourse")}
        assert ours == {"attncourse.check", "attncourse.hint"}, path


def test_the_functions_of_a_solution_notebook_pass_their_checks(notebooks):
    for path, notebook in notebooks.items():
        if path.startswith("solutions/"):
            recorder = Recorder()
            namespace = run_cells(notebook, recorder)
            chapter = of_chapter(notebook.metadata.attncourse.chapter)
            assert len(recorder.calls) == len(chapter)
            for exercise in chapter:
                function = namespace[exercise.name]
                assert function.__globals__ is namespace
                result = run(exercise, LocalAnswer(function, exercise.forbidden))
                assert result.state == "passed", [c.message for c in result.checks]


def test_a_function_that_two_solutions_need_is_shown_once(notebooks):
    for path, notebook in notebooks.items():
        defined = re.findall(r"^def (\w+)\(", "\n".join(code(notebook)), re.MULTILINE)
        assert len(set(defined)) == len(defined), path


# An exercise whose stub is a function to mend


def test_an_exercise_to_mend_shows_the_mistake_and_does_not_name_it(variant, monkeypatch, tmp_path):
    broken = contract.read(variant(stub=double.wrong_squared))
    only(monkeypatch, broken)
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {URL}\n")
    texts = render.notebooks(tmp_path)
    student = texts[next(path for path in texts if path.parts[0] == "exercises")]
    assert "x * x + plus" in student
    assert "raise NotImplementedError" not in nbformat.reads(student, 4).cells[4].source
    assert "squared" not in student
