"""What a call costs, as a submission's own process cannot forge it.

The worker records which operators of PyTorch a call hands to the device. A process that never
runs a line of a submission repeats them and counts with the same probes as everywhere. The
record is not believed: repeated on the check's inputs, and on inputs changed a little in a way
that nobody can know before, it must give what the function itself gives there. A forged record
that does so is a program that computes the function at the cost that is counted.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from attncourse.course.execution import Function, Outcome
from attncourse.grading.judge.counting import UNCONFIRMED
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.room import room
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire.protocol import Call, Record, Unrepeatable
from attncourse.testing import same_value

COSTS = ("flops", "largest_tensor", "operators")


def cost(
    worker: Worker,
    function: str,
    solution: Function | None,
    probe: str,
    args: Sequence[Any],
    kwargs: Any,
) -> Outcome:
    """What a call costs, counted by a process in which nothing of the submission runs."""
    given = real((list(args), kwargs))
    most = room(solution, None, *given)
    both = given, changed(given)
    told = worker.ask(Request(Record(function, most), *given))
    if told.failure:
        return told if told.failure.kind != Unrepeatable.__name__ else UNCONFIRMED
    plain = [worker.ask(Request(Call(function, None, most), *inputs)) for inputs in both]
    lost = next((outcome for outcome in plain if outcome.failure), None)
    if lost:
        return lost
    counted = worker.repeat(told.value, probe, given)
    again = [worker.repeat(told.value, None, inputs) for inputs in both]
    if any(o.failure for o in (counted, *again)) or type(counted.value) is not int:
        return UNCONFIRMED
    same = (same_value(a.value, b.value) for a, b in zip(plain, again, strict=True))
    return counted if all(same) else UNCONFIRMED


def changed(values: Any) -> Any:
    """The values, every floating number changed by about a hundredth, unpredictably."""
    return tree_map(_changed, values)


def _changed(value: Any) -> Any:
    if not (isinstance(value, Tensor) and value.is_floating_point()):
        return value
    generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(7), "little"))
    noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return (value.double() * (1 + 0.01 * noise)).to(value.dtype)


def real(values: Any) -> Any:
    """The values, those on the meta device as numbers: what has no value cannot be compared."""
    return tree_map(_real, values)


def _real(value: Any) -> Any:
    if not (isinstance(value, Tensor) and value.is_meta):
        return value
    if value.is_floating_point():
        return torch.randn(value.shape, dtype=torch.float64).to(value.dtype)
    return torch.ones(value.shape, dtype=value.dtype)
