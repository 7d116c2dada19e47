"""What the commands share: errors of input, tables, lines."""

import os
import sys
from typing import Any, NoReturn

import click

from attncourse.core.errors import CourseError
from attncourse.course import legible

STOPPED = 130  # the exit code of what Ctrl-C ended
NARROW = 72  # characters: in fewer a table's columns would be torn apart


class BadInput(click.ClickException):
    """Input that cannot be used: one sentence, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """The commands: where one meets a CourseError, its sentence is all that is shown.

    Nor is there more to see of an error of the system, or of Ctrl-C, which exits with 130.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        """Run from the command line, wherever the output goes: any encoding, a full disk, none."""
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
        legible.tolerate(sys.stdout)
        legible.tolerate(sys.stderr)
        try:
            os.getcwd()  # without one, PyTorch ends the process
            return super().main(*args, **options)
        except OSError as error:  # which no command expected
            _give_up(error)

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was given."""
        try:
            return super().invoke(context)
        except CourseError as error:
            raise BadInput(str(error)) from None
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            context.exit(STOPPED)


def _give_up(error: OSError) -> NoReturn:
    """Say what the system refused, and end. What could not be printed is dropped."""
    about = error.filename or "this cannot be done or printed"
    told = f"{about}: {error.strerror or error}"
    try:
        os.getcwd()
    except OSError:
        told = "the folder that you are in is no longer there: go to another"
    click.echo(f"Error: {told}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(BadInput.exit_code)


def table(title: str, *columns: str) -> Any:
    """An empty table with these columns."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=None, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def width() -> int:
    """Characters in a line of the terminal; plenty where the output goes to a file."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else 200


def show(renderable: Any) -> None:
    """Print something of rich's."""
    from rich.console import Console

    Console(width=width()).print(renderable)


def show_table(rows: Any) -> None:
    """Print a table; on a narrow terminal row by row, without the names of the columns."""
    if width() >= NARROW:
        return show(rows)
    for row in zip(*(column.cells for column in rows.columns), strict=True):
        first, *others = filter(None, row)
        show_line("  ", "", " ".join([first, *others]), "")
    return None


def show_line(indent: str, mark: str, text: str, colour: str) -> None:
    """Print a mark and a text that is wrapped behind it."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    content = Text.assemble((f"{mark} " if mark else "", colour), text)
    Console().print(Padding(content, (0, 0, 0, len(indent)), expand=False))
