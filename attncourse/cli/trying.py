"""For learners: ``try``, what you wrote inside a trained model."""

from pathlib import Path

import click

from attncourse.cli.console import BadInput


@click.command("try")
@click.argument("path", metavar="NOTEBOOK", type=click.Path(path_type=Path))
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
def try_(path: Path, exercises: tuple[str, ...]) -> None:
    """Put what you wrote in NOTEBOOK (or a .py file) into a trained language model.

    Shown are what the model writes with your function after three prompts, its perplexity, and
    what a head looks at, beside the same of the right function. Your code runs here, as it does in
    Jupyter, in this process: try no stranger's. Needs the models' packages; nothing is downloaded.

    \b
    For example:  attncourse try exercises/masks.ipynb
                  attncourse try exercises/masks.ipynb causal_mask
    """
    from attncourse.course.plugs.table import BACKWARD, PLUGS
    from attncourse.course.trying import no_place, trial
    from attncourse.grading.confined.definitions import Definitions
    from attncourse.grading.judge.submission import read

    for name in exercises:
        if name not in PLUGS and name not in BACKWARD:
            raise BadInput(no_place(name))
    done = Definitions(read(path).cells).run()
    found, notes = done.functions, done.notes
    written = [name for name in exercises or (*PLUGS, *BACKWARD) if callable(found.get(name))]
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    if missing := [name for name in exercises if name not in written]:
        raise BadInput(f"{path} defines no function {missing[0]}")
    if not written:
        raise BadInput(f"{path} defines no function that has a place in a model")
    for name in written:
        click.echo(f"{trial(name, found[name])!r}\n")
