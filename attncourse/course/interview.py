"""A mock interview: a problem and three questions in a notebook, and a page of feedback on it.

The notebook's metadata say what was asked and when it began; nothing else is kept. It ends with
its last save, so that looking at the feedback twice, or later, changes nothing.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from attncourse.core.errors import CourseError
from attncourse.course import bank, render, report
from attncourse.course.bank import Question
from attncourse.course.checking import Result
from attncourse.course.contents import CHAPTERS
from attncourse.course.exercise import Exercise, get, of_chapter

CHAPTER = "interview-coding"
AGAIN = ("shared_attention",)  # of an earlier chapter, and asked in interviews
QUESTIONS, MINUTES_EACH = 3, 4
LETTERS = "abcd"


class InterviewError(CourseError):
    """There is no interview to be had from this; the message says why."""


@dataclass(frozen=True)
class Interview:
    """What is asked, and how long it may take."""

    seed: int
    minutes: int
    problem: Exercise
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Held:
    """An interview as it was found in a notebook: answers in the order of the questions."""

    interview: Interview
    used: int
    answers: tuple[str, ...]


def now() -> datetime:
    """The time, with its zone; tests put another clock here."""
    return datetime.now(UTC)


def drawn(seed: int, minutes: int, problem: str | None = None) -> Interview:
    """A problem that fits the time and three questions, the same for the same seed.

    Raises InterviewError where nothing fits, and UnknownExercise.
    """
    left = minutes - QUESTIONS * MINUTES_EACH
    chance = random.Random(seed)
    if problem:
        chosen = get(problem)
    else:
        fitting = [each for each in problems() if each.minutes <= left]
        if not fitting:
            shortest = min(each.minutes for each in problems()) + QUESTIONS * MINUTES_EACH
            raise InterviewError(
                f"an interview takes at least {shortest} minutes: got --minutes {minutes}"
            )
        chosen = chance.choice(fitting)
    return Interview(seed, minutes, chosen, tuple(chance.sample(asked(), QUESTIONS)))


def problems() -> list[Exercise]:
    """The programming problems, from easy to hard."""
    return [*of_chapter(CHAPTER), *map(get, AGAIN)]


def asked() -> list[Question]:
    """What may be asked: the questions of the bank that have words for an answer."""
    return [question for question in bank.load() if question.kind != "number"]


def write(interview: Interview, path: Path) -> None:
    """The notebook of an interview, which begins now. Raises InterviewError where it is there."""
    if path.exists():
        raise InterviewError(f"{path} is there already: end that interview, or take another --seed")
    nbformat.write(_notebook(interview), path)


def read(path: Path) -> Held:
    """The interview in a notebook, up to its last save. Raises InterviewError."""
    try:
        notebook = nbformat.read(path, as_version=4)
        state = notebook.metadata["attncourse"]["interview"]
        known = {question.identity: question for question in asked()}
        questions = tuple(known[name] for name in state["questions"])
        problem = get(state["problem"])
        began = datetime.fromisoformat(state["began"])
        interview = Interview(state["seed"], state["minutes"], problem, questions)
    except FileNotFoundError:
        raise InterviewError(f"there is no file {path}") from None
    except Exception:  # of what is no JSON, no notebook, or one that says something else
        raise InterviewError(f"{path} is no notebook that `attncourse interview` made") from None
    saved = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    used = max(0, round((min(saved, now()) - began).total_seconds() / 60))
    return Held(interview, used, tuple(_answers(notebook, len(questions))))


def feedback(held: Held, result: Result | None) -> str:
    """The page of feedback, in Markdown; without a result where the problem was not answered."""
    interview = held.interview
    parts = [
        f"# Feedback on interview {interview.seed}",
        f"{_time(held)} The problem was `{interview.problem.name}`, planned for "
        f"{interview.problem.minutes} minutes.",
        "## The problem",
        _of_the_problem(interview.problem, result),
    ]
    for number, (question, answer) in enumerate(
        zip(interview.questions, held.answers, strict=True), 1
    ):
        parts += [f"## Question {number}", *_of_a_question(question, answer)]
    parts += ["## What next", _next(interview, result)]
    return "\n\n".join(parts) + "\n"


def _notebook(interview: Interview) -> NotebookNode:
    """The problem with its stub, the questions with room for answers."""
    problem = interview.problem
    code = render.stub(problem)
    cells = [
        _markdown(
            "title",
            f"# Interview {interview.seed}\n\nYou have {interview.minutes} minutes, about "
            f"{problem.minutes} of them for the problem. Think aloud: say the shapes, the cost "
            "and the limits before you write. Save when you are done; "
            "`attncourse interview --grade` on this file says how it went.",
        ),
        _code("imports", render.imports(code)),
        _markdown("problem", f"## The problem: {problem.title}\n\n{problem.statement}"),
        _code(problem.name, code),
    ]
    for number, question in enumerate(interview.questions, 1):
        options = "\n".join(
            f"- {letter}: {option}"
            for letter, option in zip(LETTERS, question.options, strict=False)
        )
        asked = "\n\n".join(filter(None, (question.question, options)))
        answer = _markdown(f"answer-{number}", _placeholder(number))
        answer.metadata["attncourse"] = {"answer": number}
        cells += [_markdown(f"question-{number}", f"## Question {number}\n\n{asked}"), answer]
    state = {
        "seed": interview.seed,
        "minutes": interview.minutes,
        "problem": problem.name,
        "questions": [question.identity for question in interview.questions],
        "began": now().isoformat(timespec="seconds"),
    }
    return nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "attncourse": {"interview": state},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        },
    )


def _placeholder(number: int) -> str:
    return f"*Your answer to question {number}, in place of this line.*"


def _answers(notebook: NotebookNode, count: int) -> list[str]:
    """What stands in the cells for answers; nothing where the line was left."""
    found = [""] * count
    for cell in notebook.cells:
        number = (cell.metadata.get("attncourse") or {}).get("answer", 0)
        text = cell.source.strip()
        if 1 <= number <= count and text != _placeholder(number):
            found[number - 1] = text
    return found


def _time(held: Held) -> str:
    """How long it took, beside what there was."""
    used, given = held.used, held.interview.minutes
    if used > given:
        return f"**{used} of {given} minutes: {used - given} too many.**"
    return f"**{used} of {given} minutes.**"


def _of_the_problem(problem: Exercise, result: Result | None) -> str:
    if result is None or result.state == "not attempted":
        return "Nothing was written. Begin with a version that loops, and say so."
    lines = [f"{'  ' * line.level}- {line.mark} {line.text}" for line in report.lines(result)]
    return "\n".join(lines)


def _of_a_question(question: Question, answer: str) -> Sequence[str]:
    """What was asked, what was said, and what could have been."""
    said = "\n".join(f"> {line}" for line in (answer or "(nothing)").splitlines())
    parts = [question.question, said]
    if question.options:
        letter = LETTERS[question.right - 1]
        chosen = re.match(rf"\W*([{LETTERS}])\b", answer.lower())
        mark = report.MARKS["passed" if chosen and chosen[1] == letter else "failed"]
        parts.append(f"{mark} It is {letter}: {question.options[question.right - 1]}")
    parts.append(f"**A good answer.** {question.told()}")
    if not question.options:
        points = "\n".join(f"- [ ] {point}" for point in question.rubric)
        parts.append(f"**Points.** Give yourself one for each:\n\n{points}")
    if question.trap:
        parts.append(f"**Trap.** {question.trap} {question.why}".rstrip())
    parts += [f"**And then:** {more} {answer}" for more, answer in question.follow_ups]
    return [*parts, f"More in the chapter *{CHAPTERS[question.chapter]}*."]


def _next(interview: Interview, result: Result | None) -> str:
    name = interview.problem.name
    if result is not None and result.state == "passed":
        return (
            f"`{name}` passes. Now say its cost in time and memory aloud, and what you would "
            "change for texts ten times as long."
        )
    return (
        f"Mend `{name}` in this notebook: `attncourse check` tells the same of it without a clock, "
        f"and `attncourse hint {name}` gives a nudge."
    )


def _markdown(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=identity.replace("_", "-"))


def _code(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(text, id=identity.replace("_", "-"))
