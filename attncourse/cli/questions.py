"""What the teacher has to say: asked on a terminal, or refused with the commands to choose from."""

import shlex
import sys
from typing import Any

import click
from click.core import ParameterSource

from attncourse.cli.console import BadInput


def answered(unclear: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options that the teacher chooses. Raises BadInput where nobody can be asked."""
    question = str(unclear)
    if not terminal():
        told = [f"  {command(choice)}\n      {choice.meaning}" for choice in unclear.choices]
        end = "" if question.endswith("?") else "."
        raise BadInput("\n".join([f"{question}{end} Say it by one of", *told]))
    click.echo(f"{question[:1].upper()}{question[1:]}", err=True)
    for number, choice in enumerate(unclear.choices, 1):
        words = f"{choice.value}: " if isinstance(choice.value, str) else ""
        click.echo(f"  {number}  {words}{choice.meaning}", err=True)
    number = click.prompt("Which", type=click.IntRange(1, len(unclear.choices)), err=True)
    chosen = unclear.choices[number - 1]
    several = isinstance(options[chosen.option], tuple)
    if several:
        return {chosen.option: (chosen.value,) if chosen.value else ()}
    return {chosen.option: chosen.value}


def terminal() -> bool:
    """Is there someone to be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def command(choice: Any) -> str:
    """The command that was given, with another value of an option; None leaves the option out."""
    context = click.get_current_context()
    words = [*context.command_path.split(), *map(str, context.params["paths"])]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in ("paths", choice.option):
            words += _words(parameter, context.params[name])
        if name == choice.option and choice.value is not None:
            words += _words(parameter, choice.value)
    return shlex.join(words)


def _words(parameter: Any, value: Any) -> list[str]:
    """An option as it is typed."""
    name = max(parameter.opts, key=len)
    if value is True:
        return [name]
    values = value if isinstance(value, tuple | list) else (value,)
    return [word for one in values for word in (name, str(one))]
