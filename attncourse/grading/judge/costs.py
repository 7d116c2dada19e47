"""What a call costs, as a submission's own process cannot forge it: see `replay`."""

from collections.abc import Sequence
from typing import Any

from attncourse.course.execution import Outcome
from attncourse.grading.judge.counting import UNCONFIRMED
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire import replay
from attncourse.testing import same_value


def cost(worker: Worker, function: str, probe: str, args: Sequence[Any], kwargs: Any) -> Outcome:
    """What a call costs, counted by a process in which nothing of the submission runs.

    The worker only tells which operators the call uses, and is not believed: what it tells must
    give the values of the function itself, on the inputs and on others that nobody could know.
    """
    given = replay.real((list(args), kwargs))
    both = given, replay.changed(given)
    told = worker.reply(call(function, "record", *given), (), replay.LARGEST).outcome
    if told.failure:
        return told if told.failure.kind != "Unrepeatable" else UNCONFIRMED
    plain = [worker.reply(call(function, None, *inputs)).outcome for inputs in both]
    lost = next((outcome for outcome in plain if outcome.failure), None)
    if lost:
        return lost
    counted = worker.repeat(told.value, probe, given)
    again = [worker.repeat(told.value, None, inputs) for inputs in both]
    if any(o.failure for o in (counted, *again)) or type(counted.value) is not int:
        return UNCONFIRMED
    same = (same_value(a.value, b.value) for a, b in zip(plain, again, strict=True))
    return counted if all(same) else UNCONFIRMED


def call(function: str, probe: str | None, args: Sequence[Any], kwargs: Any) -> Request:
    """The request to call a function, or a probe on it. Raises ValueError for what is too large."""
    order = {"op": "call", "function": function, "probe": probe}
    return Request(order, list(args), kwargs)
