"""Which mutants of an exercise's right answers pass its checks, and whether they are wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from mutation import Mutant, mutants
from torch import Tensor

from attncourse.core.rules import TensorRule, read_rule
from attncourse.course.checking import LocalAnswer, Student, attempt
from attncourse.course.diagnose import Call, agree
from attncourse.course.execution import Outcome, execute
from attncourse.course.exercise import Exercise
from attncourse.testing import secret_inputs

SECRETS = [b"other inputs %d" % number for number in range(8)]
COARSE = (torch.bfloat16, torch.float16)  # rounding alone tells right answers apart


@dataclass
class Tally:
    """Mutants made; those that a check failed; those that pass and compute the same, or not."""

    made: int = 0
    killed: int = 0
    equal: list[str] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.made + other.made,
            self.killed + other.killed,
            self.equal + other.equal,
            self.alive + other.alive,
        )


def tally(exercise: Exercise, name: str) -> Tally:
    """The mutants of one right answer, `solution` among them.

    What a right answer refuses, and in which words, is its own: there nothing is compared.
    """
    function = answers(exercise)[name]
    found = Tally()
    calls = [(call, outcome(call, function)) for call in other_calls(exercise)]
    calls = [(call, right) for call, right in calls if right.failure is None]
    for mutant in mutants(function):
        found.made += 1
        if fails(exercise, mutant.function):
            found.killed += 1
        else:
            equal = all(same(right, outcome(call, mutant.function)) for call, right in calls)
            (found.equal if equal else found.alive).append(label(exercise, name, mutant))
    return found


def answers(exercise: Exercise) -> dict[str, Callable]:
    """The right answers that an exercise knows, those that a learner may be shown.

    Where a plain answer is shown in its place, the library's function is machinery, whose mutants
    are the business of the library's own tests.
    """
    if exercise.shown is not exercise.solution:
        return dict(exercise.right)
    return {"solution": exercise.solution, **exercise.right}


def label(exercise: Exercise, name: str, mutant: Mutant) -> str:
    """Which mutant it is, in a line."""
    inside = "" if mutant.where.removeprefix("right_") in (name, exercise.name) else mutant.where
    return f"{exercise.name} {name} {inside}: {mutant.what}".replace(" :", ":")


def fails(exercise: Exercise, function: Callable) -> bool:
    """Does a check fail? After the first that does, no other is asked."""
    answer = LocalAnswer(function)
    return any(attempt(exercise, check, answer)[0].state != "passed" for check in exercise.checks)


def other_calls(exercise: Exercise) -> Iterator[Call]:
    """Calls of the kind that the checks make: under other secrets, and on a part of each axis."""
    for number, secret in enumerate(SECRETS):
        with secret_inputs(secret):
            for call in calls_of(exercise):
                if call.probe in (None, "gradients") and not rounds(call):
                    yield call
                    if not any(
                        isinstance(x, tuple) for x in call.args
                    ):  # its tensors would not fit
                        yield part(exercise, call, number)


def calls_of(exercise: Exercise) -> list[Call]:
    """Every call that the checks make, recorded on the solution."""
    calls = []
    for check in exercise.checks.values():
        student = Student(exercise, LocalAnswer(exercise.solution))
        check(student)
        calls += student.calls
    return calls


def part(exercise: Exercise, call: Call, number: int) -> Call:
    """The same call with every named axis shortened, to one entry even; or with other numbers."""
    annotations = exercise.solution.__annotations__
    rules = {name: read_rule(name, annotation) for name, annotation in annotations.items()}
    dice = torch.Generator().manual_seed(number)
    given = dict(zip(rules, call.args, strict=False)) | call.kwargs
    tensors = [
        name for name, x in given.items() if isinstance(x, Tensor) and rules[name] is not None
    ]
    sizes = {axis: n for name in tensors for axis, n in axes(rules[name], given[name]) if axis}
    kept = {
        a: int(torch.randint(min(size, 1), size + 1, (), generator=dice))  # an empty memory stays
        for a, size in sizes.items()
    }
    if "lengths" in tensors:
        given["m"] = int(given["lengths"].max()) + 1 + number
    elif all(isinstance(x, int) for x in given.values()):  # positions fit the length they are of
        given = {name: another(x, dice) for name, x in given.items()}
    given |= {name: shortened(rules[name], given[name], kept) for name in tensors}
    args = [given.pop(name) for name in list(rules)[: len(call.args)]]
    return Call(call.probe, args, given, call.outcome)


def axes(rule: TensorRule, x: Tensor) -> Iterator[tuple[str, int]]:
    """The named axes of a tensor from the last on, with their sizes; "" for one that broadcasts."""
    for axis, size in zip(reversed(rule.axes), reversed(x.shape), strict=False):
        yield "" if axis.startswith("#") and size == 1 else axis.lstrip("#"), size


def another(x: int, dice: torch.Generator) -> int:
    """Another size for a size; a switch stays."""
    return int(torch.randint(1, 13, (), generator=dice)) if type(x) is int else x


def shortened(rule: TensorRule, x: Tensor, kept: dict[str, int]) -> Tensor:
    """The first entries of each named axis, as many as are kept."""
    for place, (axis, size) in enumerate(axes(rule, x), start=1):
        x = x.narrow(-place, 0, min(kept[axis], size)) if axis else x
    return x.clone()


def rounds(call: Call) -> bool:
    return any(isinstance(x, Tensor) and x.dtype in COARSE for x in call.args)


def outcome(call: Call, function: Callable) -> Outcome:
    """What a function gives for a call."""
    return execute(function, call.probe, call.args, call.kwargs)


def same(one: Outcome, other: Outcome) -> bool:
    """Are two outcomes the same, arguments untouched?"""
    return agree(one, other) and one.modified == other.modified
