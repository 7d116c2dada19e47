"""What a run would measure on a card that is not here, and the least time of it: a prediction."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from attncourse.measure.bench.budget import cost
from attncourse.measure.bench.card import TENSOR_CORES_OF_TRITON, Card
from attncourse.measure.bench.case import Case, Shape, Suite, name_of
from attncourse.measure.bench.instrument import QUICK_ON_A_CARD
from attncourse.measure.bench.runner import DIRECTIONS
from attncourse.measure.devices import Device
from attncourse.measure.prediction import Prediction, Work, predicted, work_of

BACKWARD = 3.5  # times the products of a forward pass: 2 of them forward, 5 more backward


@dataclass(frozen=True)
class Planned:
    """One measurement of a run to come; without a prediction where its work cannot be counted."""

    suite: str
    case: str
    direction: str
    shape: Shape
    n: int
    prediction: Prediction | None

    @property
    def seconds(self) -> float:
        """Seconds of all of its calls at the least, as often as a quick run makes them."""
        return cost(self.prediction.seconds, QUICK_ON_A_CARD) if self.prediction else 0.0


def planned(suites: Iterable[Suite], card: Device) -> list[Planned]:
    """The measurements of a quick run on a card, in half precision that the card has.

    What the card does not run is not among them. The work is counted on tensors without memory;
    that of a backward pass is 2.5 times the products of the forward pass besides it, and its bytes
    are those of the forward pass twice.
    """
    found, counted = [], {}
    kind = _kind(card)
    for suite in suites:
        for shape in dict.fromkeys(_on(card, shape) for shape in suite.shapes):
            for n in suite.quick_lengths:
                for case in suite.every_case(shape):
                    if kind.lacks(case) or n > case.longest:
                        continue
                    key = suite.name, case.name, replace(shape, dtype=torch.float32), n
                    if key not in counted:
                        counted[key] = _work(case, shape, n)
                    found += _both(suite, case, shape, n, counted[key], card)
    return found


def _both(
    suite: Suite, case: Case, shape: Shape, n: int, work: Work | None, card: Device
) -> list[Planned]:
    """A case forward and, if it has a backward pass, with that."""
    made = []
    for direction in DIRECTIONS[: 2 if case.differentiable else 1]:
        found = None
        if work is not None:
            moved = work.moved_bytes * shape.dtype.itemsize // 4
            whole = Work(work.flops, moved)
            if direction != "forward":
                whole = Work(int(BACKWARD * work.flops), 2 * moved)
            found = predicted(whole, card, _rate(case, shape, card))
        made.append(Planned(suite.name, case.name, direction, shape, n, found))
    return made


def _work(case: Case, shape: Shape, n: int) -> Work | None:
    """FLOPs, and bytes in float32, of a forward call on tensors without memory; None where it
    looks at numbers that are not there.
    """
    size = replace(shape, dtype=torch.float32).of(n, "meta")
    try:
        if case.work is not None:  # what it moves is what its definition does
            moved = work_of(case.definition, *case.inputs(size)).moved_bytes
            return Work(case.work(size, False), moved)
        made = case.native(*case.inputs(size))
        return work_of(lambda *x: case.result(case.function(*x)), *made)
    except Exception:  # whatever a form does not do without numbers, it is then not counted
        return None


def _rate(case: Case, shape: Shape, card: Device) -> torch.dtype:
    """The number format whose rate a case has: Triton's on a T4 is that of float32."""
    slow = card.vendor == "NVIDIA" and _kind(card).capability < TENSOR_CORES_OF_TRITON
    return torch.float32 if slow and case.implementation.endswith("Triton") else shape.dtype


def _kind(card: Device) -> Card:
    if card.vendor == "AMD":
        return Card(0, amd=True)
    return Card(int(card.capability.replace(".", "")))


def _on(card: Device, shape: Shape) -> Shape:
    half = shape.dtype in (torch.float16, torch.bfloat16)
    return replace(shape, dtype=card.half) if half else shape


def summary(plan: Iterable[Planned]) -> list[tuple[str, int, int, float]]:
    """For each suite and number format: measurements, how many are predicted, and their seconds."""
    rows: dict[Any, list[Planned]] = {}
    for each in plan:
        rows.setdefault((each.suite, name_of(each.shape.dtype)), []).append(each)
    return [
        (
            f"{suite}, {dtype}",
            len(here),
            sum(each.prediction is not None for each in here),
            sum(each.seconds for each in here),
        )
        for (suite, dtype), here in rows.items()
    ]
