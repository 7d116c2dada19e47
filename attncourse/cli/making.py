"""For those who make the course: ``new``, ``build`` and ``execute``."""

from pathlib import Path

import click

from attncourse.cli.console import BadInput, show, table


@click.group()
def new() -> None:
    """Write the skeleton of an exercise or of a chapter, to be filled in (for maintainers).

    \b
    For example:  attncourse new exercise masks causal_mask
                  attncourse new chapter masks
    """


@new.command("exercise")
@click.argument("chapter")
@click.argument("name")
@click.option("--module", help="Where the solution is defined, if the package does not export it.")
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
def new_exercise(chapter: str, name: str, module: str | None, root: Path) -> None:
    """Write an exercise's module, with the library's function NAME as its solution.

    \b
    For example:  attncourse new exercise masks causal_mask
    """
    from attncourse.course import skeletons

    _checkout(root)
    path = skeletons.exercise(root, chapter, name, module)
    click.echo(f"wrote {path}; pytest tests/test_exercises.py -k {name} says what is missing")


@new.command("chapter")
@click.argument("slug")
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
def new_chapter(slug: str, root: Path) -> None:
    """Write a chapter's notebook, with the sections that a chapter has.

    \b
    For example:  attncourse new chapter masks
    """
    from attncourse.course import skeletons

    _checkout(root)
    path = skeletons.chapter(root, slug)
    click.echo(f"wrote {path}; attncourse execute {path} runs it")


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 on drift.")
@click.option("--chapters", "numbers", is_flag=True, help="Change nothing; show their numbers.")
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
@click.pass_context
def build(context: click.Context, only_check: bool, numbers: bool, root: Path) -> None:
    """Generate what follows from the exercise modules and the contents (for maintainers).

    That is exercises/ and solutions/, the boxes of exercises in the chapters, _toc.yml and the
    counts and lists of a few pages. With --check, say instead which files are not as generated,
    and what is wrong with exercises and chapters; with --chapters, how long each chapter is.

    \b
    For example:  attncourse build
                  attncourse build --check
                  attncourse build --chapters
    """
    from attncourse.course import build as course
    from attncourse.course.exercise import broken

    _checkout(root)
    if numbers:
        _show_numbers(root)
        found = []
    elif only_check:
        found = course.problems(root)
    else:
        for path, kept in course.write(root).items():
            click.echo(f"wrote {path}" + (f" (what stood there is now {kept})" if kept else ""))
        found = list(broken().values())
    for problem in found:
        click.echo(problem)
    context.exit(1 if found else 0)


@click.command()
@click.argument(
    "paths", metavar="NOTEBOOK...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
def execute(paths: tuple[Path, ...], root: Path) -> None:
    """Run chapters and keep their text outputs, without images or traces of this machine.

    \b
    For example:  attncourse execute book/masks.ipynb
    """
    from attncourse.course import chapters
    from attncourse.course.bootstrap import repository_url
    from attncourse.grading.judge.submission import UnreadableError, read

    _checkout(root)
    for path in paths:
        try:
            read(path)
        except UnreadableError as error:
            raise BadInput(str(error)) from None
        click.echo(f"executing {path} ...")
        chapters.execute(path, repository_url(root))


def _show_numbers(root: Path) -> None:
    """A table of the chapters, each with its numbers and the budgets above them."""
    from attncourse.course import budgets, page

    limits = {
        "sections": f"≤ {budgets.SECTIONS}",
        "code lines": f"≤ {budgets.LINES}",
        "asserts": "",
        "predict": f"≥ {budgets.PREDICTIONS}",
        "figures": f"≥ {budgets.FIGURES}",
        "words": "",
        "minutes": "",
        "stated": f"± {budgets.TOLERANCE:.0%}",
        "problems": "0",
    }
    rows = table("Chapters", "chapter", *limits)
    rows.add_row("", *limits.values())
    for path in budgets.written(root):
        counted = budgets.count(page.read(path))
        numbers = [counted.sections, counted.lines, counted.asserts, counted.predictions]
        numbers += [counted.figures, counted.words, round(counted.minutes), counted.stated]
        rows.add_row(path.stem, *map(str, numbers), str(len(budgets.problems(path))))
    show(rows)


def _checkout(root: Path) -> None:
    if not (root / "_config.yml").is_file():
        raise BadInput(f"{root.resolve()} is not a checkout of the course: it has no _config.yml")
