"""For those who make the course: ``build`` and ``execute``."""

from pathlib import Path

import click

from attncourse.cli.console import BadInput


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 on drift.")
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
@click.pass_context
def build(context: click.Context, only_check: bool, root: Path) -> None:
    """Generate exercises/ and solutions/ from the exercise modules (for maintainers).

    With --check, say instead which files are not as generated and what is wrong with the
    chapters' notebooks.

    \b
    For example:  attncourse build
                  attncourse build --check
    """
    from attncourse.course import chapters, render
    from attncourse.course.bootstrap import repository_url

    _checkout(root)
    if not only_check:
        for path, kept in render.write(root).items():
            click.echo(f"wrote {path}" + (f" (what stood there is now {kept})" if kept else ""))
        return
    stale = [f"{path} is not as generated: run `attncourse build`" for path in render.drift(root)]
    stale += [f"{path} is not the course's: move it elsewhere" for path in render.strays(root)]
    url = repository_url(root)
    found = [p for path in _chapter_files(root) for p in chapters.problems(path, url)]
    for problem in [*stale, *found]:
        click.echo(problem)
    context.exit(1 if stale or found else 0)


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


def _checkout(root: Path) -> None:
    if not (root / "_config.yml").is_file():
        raise BadInput(f"{root.resolve()} is not a checkout of the course: it has no _config.yml")


def _chapter_files(root: Path) -> list[Path]:
    return sorted((root / "book").glob("*.ipynb"))
