"""The command line: a module for each kind of reader, a function for each command."""

import click

from attncourse import __version__
from attncourse.cli.console import Commands
from attncourse.cli.interviewing import interview
from attncourse.cli.learning import check, hint, list_, status, watch
from attncourse.cli.making import build, execute, new
from attncourse.cli.measuring import bench
from attncourse.cli.quizzing import quiz
from attncourse.cli.teaching import doctor, grade
from attncourse.cli.trying import try_


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="attncourse")
def main() -> None:
    """Exercises on attention that name your mistake.

    \b
    Learning:  attncourse list            which exercises there are
               attncourse check FILE      check what you wrote in a notebook
               attncourse watch FILE      check it each time you save it
               attncourse try FILE        what you wrote, inside a language model
               attncourse hint softmax    the next hint
               attncourse status          how far you are
               attncourse interview       a problem and three questions, against the clock
               attncourse quiz            interview questions, what you missed first
    Teaching:  attncourse grade FOLDER    grade submissions, each in its own process
               attncourse doctor          how submissions are confined here
    Measuring: attncourse bench           every mechanism against PyTorch's attention
    Making:    attncourse new, attncourse build, attncourse execute
    """


for command in (
    list_,
    status,
    hint,
    check,
    watch,
    try_,
    interview,
    quiz,
    grade,
    doctor,
    bench,
    new,
    build,
    execute,
):
    main.add_command(command)
