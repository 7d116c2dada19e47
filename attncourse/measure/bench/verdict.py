"""What the comparison with the definition says of each case, before anything is timed."""

import math
from collections.abc import Callable
from dataclasses import replace

from attncourse.measure.bench.case import Case, Shape, Suite, name_of
from attncourse.measure.bench.comparison import compare
from attncourse.measure.bench.report import Direction, Row
from attncourse.measure.memory import is_out_of_memory


def sort_out(
    suite: Suite, shape: Shape, direction: Direction, device: str, listen: Callable[[str], None]
) -> tuple[list[tuple[Case, Row]], list[Row]]:
    """The cases that equal their definition, with an empty row each; rows of those that do not."""
    right, refused = [], []
    for case in suite.every_case(shape):
        if direction != "forward" and not case.differentiable:
            listen(f"{case.name} has no backward pass")
            continue
        listen(f"checking {case.name}, {direction}")
        row = _check(suite, shape, case, direction, device)
        if row.state == "measured":
            right.append((case, row))
        else:
            refused.append(row)
        if case is suite.baseline and row.state != "measured":
            raise RuntimeError(f"the baseline {case.name} is {row.state}: {row.remark}")
    kept = [(case, row) for case, row in right if case in suite.cases]
    return kept, refused


def _check(suite: Suite, shape: Shape, case: Case, direction: Direction, device: str) -> Row:
    """A row without measurements: what the comparison with the definition says."""
    row = Row(
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
    try:
        found = compare(case, shape, backward=direction != "forward", device=device)
    except Exception as failure:  # whatever it is, it is this case's result
        return failed(row, failure)
    if found.right:
        return replace(row, error=found.error)
    remark = f"differs from its definition by {found.error:.2g}, more than {found.allowed:.2g}"
    finite = found.error if math.isfinite(found.error) else None
    return replace(row, state="wrong", remark=joined(row.remark, remark), error=finite)


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
