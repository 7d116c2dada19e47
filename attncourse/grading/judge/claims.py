"""What a worker says of itself, found out again where nothing of the submission runs.

A value is compared, and needs no belief. That an argument was left as it was is a word of the
worker's, which a submission can have it say. So an answer that passes something is recorded and
repeated as for its cost (see `costs`): what the record does to the arguments, the answer does, or
else it has shown a program that computes the same and does not. Where no operator of the record
writes at all, that is known without repeating it.

What stays a word: that a gradient came through the function itself, where its value is right;
which exception was raised, of an answer that fails anyway; and that an argument was left alone by
an answer that does not follow from its arguments by operators of PyTorch, as with numpy.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attncourse.course.checking import run
from attncourse.course.execution import Function, Outcome, execute
from attncourse.course.exercise import Exercise
from attncourse.grading.judge.costs import changed, real
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.room import room
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire.protocol import Call, Record
from attncourse.testing import same_value

MOST_CALLS = 3  # of an exercise, that are repeated

Inputs = tuple[Sequence[Any], Mapping[str, Any]]


def written_into(worker: Worker, exercise: Exercise, secret: bytes) -> frozenset[int | str]:
    """The arguments that an answer writes into, positions and names, as a record shows."""
    found: set[int | str] = set()
    for args, kwargs in usual_inputs(exercise, secret):
        found.update(_modified(worker, exercise, args, kwargs))
    return frozenset(found)


def usual_inputs(exercise: Exercise, secret: bytes) -> list[Inputs]:
    """Inputs of the checks' plain calls, the smallest of each kind; asked under the same secret."""
    return _asked(exercise, secret).smallest()


def sizes_of(exercise: Exercise, secret: bytes) -> set[int]:
    """The sizes of what the checks' calls are given: of all axes, and of whole tensors."""
    return _asked(exercise, secret).sizes


def _asked(exercise: Exercise, secret: bytes) -> "_Asked":
    key = exercise.name, exercise.solution, secret
    if key not in _ASKED:
        _ASKED[key] = _Asked(exercise.solution)
        run(exercise, _ASKED[key])
    return _ASKED[key]


def _modified(
    worker: Worker, exercise: Exercise, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[int | str, ...]:
    given, name = real((list(args), dict(kwargs))), exercise.name
    most = room(exercise.solution, None, *given)
    told = worker.ask(Request(Record(name, most), *given))
    if told.failure or not _writes(told.value):
        return ()
    others = changed(given)
    plain = worker.ask(Request(Call(name, None, most), *others))
    again = worker.repeat(told.value, None, others)
    lost = plain.failure or again.failure
    return () if lost or not same_value(plain.value, again.value) else again.modified


def _writes(told: Any) -> bool:
    """May a record, repeated, write into a tensor? What is no record may."""
    try:
        record, _ = told
        return any(_writing(name) for name, _, _ in json.loads(record)["steps"])
    except Exception:  # whatever a worker wrote
        return True


@functools.lru_cache(maxsize=4096)
def _writing(operator: str) -> bool:
    """Does an operator write into what it is given? Raises RuntimeError for one that is none."""
    space, name, overload = operator.split(".")
    schema = torch._C._get_schema(f"{space}::{name}", "" if overload == "default" else overload)
    # normalisations write into their running means, and do not declare it
    return schema.is_mutable or any(one.name.startswith("running_") for one in schema.arguments)


class _Asked:
    """The solution as an answer to the checks, which keeps what is asked of it."""

    def __init__(self, solution: Function) -> None:
        self.solution = solution
        self.sizes: set[int] = set()
        self.inputs: dict[tuple[Any, ...], tuple[int, Inputs]] = {}

    def begin(self) -> None:
        """A check begins."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Keep the inputs if there are none of their kind, or larger ones."""
        leaves = tree_leaves((list(args), kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        for tensor in tensors:
            self.sizes |= {*tensor.shape, tensor.numel(), tensor.ndim}
        if probe is None and tensors:
            kind = (*map(type, args), *sorted((name, type(x)) for name, x in kwargs.items()))
            size = sum(tensor.numel() for tensor in tensors)
            self.inputs[kind] = min(
                self.inputs.get(kind, (size, (args, kwargs))),
                (size, (args, kwargs)),
                key=lambda one: one[0],
            )
        return execute(self.solution, probe, args, kwargs)

    def smallest(self) -> list[Inputs]:
        """Those of each kind, of no more kinds than are repeated."""
        kept = sorted(self.inputs.values(), key=lambda one: one[0])
        return [inputs for _, inputs in kept[:MOST_CALLS]]


_ASKED: dict[Any, _Asked] = {}
