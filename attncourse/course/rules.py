"""The rules of a good exercise, beside the contract: each in words, and what breaks it.

`attncourse build` writes the words into CONTRIBUTING.md, ``build --check`` and the tests say which
exercise breaks which.
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attncourse import exercises
from attncourse.course import exercise as contract
from attncourse.course import render, source
from attncourse.course.contents import CHAPTERS
from attncourse.course.exercise import Exercise, Function, whole_doc

CHECKS, WRONG, RIGHT, HINTS = 4, 3, 2, 2
DIFFICULTY, MINUTES = (1, 5), (5, 60)


@dataclass(frozen=True)
class Rule:
    """What an exercise needs, in words, and a function that says what it has instead."""

    needs: str
    instead: Callable[[Exercise], Iterator[str]]


def broken_rules(exercise: Exercise) -> list[str]:
    """One sentence for each rule that the exercise breaks: the rule, and what was found."""
    return [
        f"exercise {exercise.name} needs {rule.needs}: {found}"
        for rule in RULES
        for found in rule.instead(exercise)
    ]


def in_words() -> str:
    """All rules as a list in Markdown."""
    return "\n".join(f"- {rule.needs}" for rule in RULES)


def misplaced() -> list[str]:
    """A sentence for each name that two exercises share, and for each folder of no chapter."""
    times = Counter(path.stem for path in contract.files())
    found = [f"{n} exercises are called {name}: names are unique" for name, n in times.items()]
    shared = [sentence for sentence, n in zip(found, times.values(), strict=True) if n > 1]
    folders = {
        path.parent.name for root in exercises.__path__ for path in Path(root).glob("*/*.py")
    }
    strange = sorted(folders - set(map(contract.folder, CHAPTERS)))
    return shared + [f"attncourse/exercises/{name} is the folder of no chapter" for name in strange]


def _number(least: int, most: int, of: Callable[[Exercise], int]) -> Callable[..., Iterator[str]]:
    def instead(exercise: Exercise) -> Iterator[str]:
        if not least <= of(exercise) <= most:
            yield f"it has {of(exercise)}"

    return instead


def _least(least: int, of: Callable[[Exercise], int]) -> Callable[..., Iterator[str]]:
    return _number(least, 1000, of)


def _unstated(exercise: Exercise) -> Iterator[str]:
    if not exercise.statement:
        yield "it has a title only"


def _no_phrases(exercise: Exercise) -> Iterator[str]:
    for name, check in exercise.checks.items():
        phrase = inspect.getdoc(check) or ""
        if not phrase or "\n" in phrase or phrase[0].isupper() or phrase.endswith("."):
            yield f"check_{name} says {phrase!r}"


def _no_advice(exercise: Exercise) -> Iterator[str]:
    for name, wrong in exercise.wrong.items():
        text = whole_doc(wrong)
        clauses = re.findall(r"[.:;](?=\s|$)", text)
        if not (re.search(r"\b[Yy]ou(r|rs)?\b", text) and len(clauses) >= 2 and text[-1] == "."):
            yield f"wrong_{name} says {text!r}"


def _same_advice(exercise: Exercise) -> Iterator[str]:
    times = Counter(map(whole_doc, exercise.wrong.values()))
    for text, n in times.items():
        if n > 1:
            yield f"{n} say {text!r}"


def _unexplained(exercise: Exercise) -> Iterator[str]:
    for name, right in exercise.right.items():
        if not inspect.getdoc(right):
            yield f"right_{name} has none"


def _other_parameters(exercise: Exercise) -> Iterator[str]:
    expected = parameters(exercise.solution)
    for kind, functions in (("wrong", exercise.wrong), ("right", exercise.right)):
        for name, function in functions.items():
            if parameters(function) != expected:
                yield f"{kind}_{name} has {parameters(function)}, the solution {expected}"


def parameters(function: Function) -> str:
    """Names, kinds and defaults, without the types."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _leaning_stub(exercise: Exercise) -> Iterator[str]:
    if exercise.stub is not None:
        text = render.stub(exercise)
        missing = source.free_names(f"{render.imports(text)}\n{text}")
        if missing:
            yield f"it needs {', '.join(sorted(missing))}"


def _told(exercise: Exercise) -> Iterator[str]:
    told = "".join([exercise.statement, *exercise.hints]).replace(" ", "")
    for line in source.statements(exercise.solution):
        if line.replace(" ", "") in told:
            yield f"they hold {line!r}"


RULES = (
    Rule("a statement below its title, with the formula and the contract", _unstated),
    Rule(
        "a `difficulty` from {} to {}".format(*DIFFICULTY),
        _number(*DIFFICULTY, lambda e: e.difficulty),
    ),
    Rule("`minutes` from {} to {}".format(*MINUTES), _number(*MINUTES, lambda e: e.minutes)),
    Rule(f"exactly {HINTS} `hints`", _number(HINTS, HINTS, lambda e: len(e.hints))),
    Rule("no line of the solution in statement or hints", _told),
    Rule(f"at least {CHECKS} `check_*`", _least(CHECKS, lambda e: len(e.checks))),
    Rule(
        "a docstring of one phrase for each `check_*`: one line, no capital first, no full stop",
        _no_phrases,
    ),
    Rule(f"at least {WRONG} `wrong_*`", _least(WRONG, lambda e: len(e.wrong))),
    Rule(
        "advice for each `wrong_*`: it says *you*, has two clauses or more (what is wrong; what to "
        "do) and ends with a full stop",
        _no_advice,
    ),
    Rule("advice of its own for each `wrong_*`", _same_advice),
    Rule(f"at least {RIGHT} `right_*`", _least(RIGHT, lambda e: len(e.right))),
    Rule("a docstring for each `right_*`", _unexplained),
    Rule(
        "the solution's parameters, in their order, for each `wrong_*` and `right_*`",
        _other_parameters,
    ),
    Rule("a `stub`, if it has one, that needs no helper of the module", _leaning_stub),
)
