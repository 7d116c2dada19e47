"""What the comparison with the definition says of each case, before anything is timed."""

import math
from collections.abc import Callable
from dataclasses import replace

from attncourse.measure.bench.case import Case, Shape, Suite, name_of
from attncourse.measure.bench.comparison import compare
from attncourse.measure.bench.report import Direction, Row
from attncourse.measure.memory import is_out_of_memory


def sort_out(
    suite: Suite,
    shape: Shape,
    direction: Direction,
    device: str,
    listen: Callable[[str], None],
    refuse: Callable[[Case], str] = lambda case: "",
) -> tuple[list[tuple[Case, Row]], list[Row], list[tuple[Case, Row]]]:
    """The cases that equal their definition, with an empty row each; rows of those that do not;
    and what was not even compared, because `refuse` has a reason, which its row tells.
    """
    right, refused, left = [], [], []
    for case in suite.every_case(shape):
        if direction != "forward" and not case.differentiable:
            listen(f"{case.name} has no backward pass")
            continue
        reason = refuse(case)
        if reason:
            listen(f"{case.name} is left out: {reason}")
            left.append((case, left_out_row(_empty(suite, shape, case, direction), reason)))
            continue
        listen(f"checking {case.name}, {direction}")
        row = _check(suite, shape, case, direction, device)
        if row.state == "measured":
            right.append((case, row))
        else:
            refused.append(row)
        if case is suite.baseline and row.state != "measured":
            raise RuntimeError(f"the baseline {case.name} is {row.state}: {row.remark}")
    kept, gone = ([pair for pair in pairs if pair[0] in suite.cases] for pairs in (right, left))
    return kept, refused, gone


def _check(suite: Suite, shape: Shape, case: Case, direction: Direction, device: str) -> Row:
    """A row without measurements: what the comparison with the definition says."""
    row = _empty(suite, shape, case, direction)
    try:
        found = compare(case, shape, backward=direction != "forward", device=device)
    except Exception as failure:  # whatever it is, it is this case's result
        return failed(row, failure)
    if found.right:
        return replace(row, error=found.error)
    remark = f"differs from its definition by {found.error:.2g}, more than {found.allowed:.2g}"
    finite = found.error if math.isfinite(found.error) else None
    return replace(row, state="wrong", remark=joined(row.remark, remark), error=finite)


def _empty(suite: Suite, shape: Shape, case: Case, direction: Direction) -> Row:
    """A row without measurements."""
    return Row(
        suite=suite.name,
        mechanism=case.mechanism,
        implementation=case.implementation,
        direction=direction,
        n=case.check_length,
        state="measured",
        remark=case.remark,
        growth=case.growth,
        batch=shape.batch,
        h=shape.h,
        d=shape.d,
        dtype=name_of(shape.dtype),
    )


def left_out_row(row: Row, reason: str) -> Row:
    """The row of a measurement that is not made; the reason comes first in the remark."""
    return replace(row, state="left out", remark=joined(reason, row.remark))


def failed(row: Row, error: BaseException) -> Row:
    """The row of a case that raised an error."""
    if is_out_of_memory(error):
        return replace(row, state="out of memory")
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:200]}".rstrip(": ")
    return replace(row, state="failed", remark=joined(row.remark, said))


def joined(*remarks: str) -> str:
    """The remarks that there are, in one line."""
    return "; ".join(remark for remark in remarks if remark)
