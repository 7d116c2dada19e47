"""``quiz``: interview questions on the terminal, what was missed first."""

import random
from pathlib import Path

import click

from attncourse.cli.console import STOPPED, BadInput, show
from attncourse.cli.questions import terminal
from attncourse.course.bank import LEVELS, POINTS, Question

LETTERS = "abcd"
ENOUGH = 2  # points of an open question that count as right


@click.command()
@click.option("--part", help="A part of the book: concepts, mathematics-and-cost, ...")
@click.option("--chapter", help="A chapter: masks, serving, ...")
@click.option("--level", type=click.IntRange(LEVELS[0], LEVELS[-1]), help="1 easy, 3 hard.")
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, help="The same questions again, where nothing is due.")
@click.option("--predictions", is_flag=True, help="The boxes of the pages, too; read them first.")
@click.pass_context
def quiz(
    context: click.Context,
    part: str | None,
    chapter: str | None,
    level: int | None,
    count: int,
    seed: int | None,
    predictions: bool,
) -> None:
    """Ask interview questions, and what you missed first.

    Choices and numbers are graded. For an open question you answer aloud, see the model answer and
    the rubric, and mark yourself. What you know comes again after 1, 3, 7 and 21 days, what you
    missed at once; that is kept after each answer, here or in exercises/. q or Ctrl-C ends it.

    \b
    For example:  attncourse quiz
                  attncourse quiz --part concepts --level 1
                  attncourse quiz --chapter serving --predictions --count 5
    """
    from attncourse.course import leitner, progress

    asked = {question.identity: question for question in _chosen(part, chapter, level, predictions)}
    if not terminal():
        raise BadInput("a quiz needs a terminal, where you can answer: it was given none")
    folder = _folder()
    cards, day = progress.cards(folder), leitner.today()
    names = leitner.drawn(list(asked), cards, count, day, random.Random(seed))
    right, done = 0, 0
    try:
        for number, name in enumerate(names, 1):
            click.echo("")
            _head(asked[name], number, len(names))
            good = _ask(asked[name])
            progress.record_card(name, leitner.moved(cards.get(name), good, day), folder)
            right, done = right + good, number
    except (click.Abort, KeyboardInterrupt):
        click.echo("")
        _end(right, done, len(names))
        context.exit(STOPPED)
    except _Quit:
        pass
    _end(right, done, len(names))


class _Quit(Exception):
    """Enough for today."""


def _chosen(
    part: str | None, chapter: str | None, level: int | None, predictions: bool
) -> list[Question]:
    """The questions that the options leave. Raises BadInput for a name that there is not."""
    from attncourse.course import bank

    found = bank.load() + (bank.predictions() if predictions else [])
    if not found:
        raise BadInput("the questions are not here: install the course, or work in a checkout")
    _known("part", part, list(dict.fromkeys(bank.part_of(q.chapter) for q in found)))
    _known("chapter", chapter, list(dict.fromkeys(q.chapter for q in found)))
    left = [
        question
        for question in found
        if part in (None, bank.part_of(question.chapter))
        and chapter in (None, question.chapter)
        and level in (None, question.level)
    ]
    if not left:
        raise BadInput("no question is of that part, chapter and level at once: leave one out")
    return left


def _known(what: str, name: str | None, names: list[str]) -> None:
    if name is not None and name not in names:
        raise BadInput(f"there is no {what} {name} with questions: choose of {', '.join(names)}")


def _folder() -> Path:
    """Where progress is kept: here, or in exercises/ where it has been kept before."""
    from attncourse.course import progress

    here = Path.cwd()
    there = here / "exercises"
    elsewhere = not progress.file(here).exists() and progress.file(there).exists()
    return there if elsewhere else progress.file().parent


def _head(question: Question, number: int, count: int) -> None:
    from attncourse.course.contents import TITLES

    title = TITLES[question.chapter]
    kind = "a prediction of the page" if question.prediction else f"level {question.level}"
    click.secho(f"{number} of {count} · {title} · {kind}", bold=True)
    _words(question.question)


def _ask(question: Question) -> bool:
    """Ask, show the answer, and say whether it was right."""
    if question.kind == "open":
        return _open(question)
    good = _choice(question) if question.kind == "choice" else _number(question)
    _answer(question)
    return good


def _choice(question: Question) -> bool:
    for letter, option in zip(LETTERS, question.options, strict=False):
        _words(f"{letter}) {option}")
    letters = list(LETTERS[: len(question.options)])
    while (said := _prompt(f"{letters[0]} to {letters[-1]}").lower().rstrip(").")) not in letters:
        click.echo(f"Choose a letter from {letters[0]} to {letters[-1]}, or q to end.")
    rightly = letters[question.right - 1]
    return _verdict(said == rightly, f"it is {rightly}")


def _number(question: Question) -> bool:
    from attncourse.course import numerals

    unit = f" ({question.unit})" if question.unit else ""
    while (said := numerals.read(_prompt(f"a number{unit}"))) is None:
        click.echo("Type a number, as in 1.25, 8,192 or 8e22, or q to end.")
    value = question.number()
    return _verdict(
        numerals.right(said, value), f"it is {numerals.written(value, question.digits)}{unit}"
    )


def _open(question: Question) -> bool:
    _prompt("Say your answer aloud, then press Enter")
    _answer(question)
    for points, line in enumerate(question.rubric, 1):
        _words(f"{points}: {line}")
    while (said := _prompt(f"Your points, 0 to {POINTS}")) not in map(str, range(POINTS + 1)):
        click.echo(f"Give a number from 0 to {POINTS}, or q to end.")
    for asks, answer in question.follow_ups:
        _words(f"*Then they ask:* {asks} {answer}")
    return int(said) >= ENOUGH


def _answer(question: Question) -> None:
    _words(question.told())
    if question.trap:
        _words(f"*Trap:* {question.trap} {question.why}")
    page, target = question.shown
    click.secho(f"Shown in book/{page}" + (f", at {target}" if target else ""), dim=True)


def _verdict(right: bool, told: str) -> bool:
    click.secho("Right." if right else f"Not this time: {told}.", fg="green" if right else "red")
    return right


def _prompt(text: str) -> str:
    """What was typed. Raises _Quit for q."""
    said = str(click.prompt(text, default="", show_default=False, prompt_suffix=": ")).strip()
    if said.lower() in ("q", "quit"):
        raise _Quit
    return said


def _words(text: str) -> None:
    from rich.markdown import Markdown

    show(Markdown(" ".join(text.split())))


def _end(right: int, done: int, count: int) -> None:
    if done < count:
        click.echo(f"Stopped after {done} of {count}; what you answered is kept.")
    click.echo(f"{right} of {done} right. What you missed comes first next time.")
