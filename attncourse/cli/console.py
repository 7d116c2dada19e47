"""What the commands share: errors of input, tables, lines."""

import os
from typing import Any

import click

from attncourse.core.errors import CourseError


class BadInput(click.ClickException):
    """Input that cannot be used: one sentence, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """The commands: where one meets a CourseError, its sentence is all that is shown."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was given."""
        try:
            return super().invoke(context)
        except CourseError as error:
            raise BadInput(str(error)) from None


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


def show_line(indent: str, mark: str, text: str, colour: str) -> None:
    """Print a mark and a text that is wrapped behind it."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    content = Text.assemble((f"{mark} " if mark else "", colour), text)
    Console().print(Padding(content, (0, 0, 0, len(indent)), expand=False))
