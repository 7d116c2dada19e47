"""One run of the bench on one device: its ceilings first, then the suites, and a report."""

from collections.abc import Callable, Iterable

from attncourse.measure.bench.budget import Budget
from attncourse.measure.bench.case import Suite
from attncourse.measure.bench.group import Listen
from attncourse.measure.bench.instrument import instrument_for
from attncourse.measure.bench.pitfalls import pitfalls
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import FORMAT, Pitfall, Report, Row
from attncourse.measure.bench.runner import run


def measure(
    suites: list[Suite],
    command: str,
    *,
    device: str = "cpu",
    quick: bool = False,
    mistakes: bool = False,
    listen: Listen = lambda what: None,
    keep: Callable[[Report], None] = lambda report: None,
    budget: Budget | None = None,
) -> Report:
    """Run suites on a device and, if wanted, a call with each classic mistake of timing.

    keep is given the report so far, which says that it is not complete, whenever a length of a
    suite is done: a run that is stopped loses little.

    With a budget every suite has an equal share of the time that is left when it begins.
    """
    whole = budget or Budget()
    found: list[Pitfall] = list(pitfalls(device, quick=quick, listen=listen)) if mistakes else []
    dtypes = [shape.dtype for suite in suites for shape in suite.shapes]
    instrument = instrument_for(device, dtypes, quick=quick)
    packages = {case.package for suite in suites for case in suite.cases if case.package}
    about = provenance(command, sorted(packages), device=device)
    rows: list[Row] = []

    def report(now: Iterable[Row], *, complete: bool = False) -> Report:
        ceilings = instrument.ceilings
        return Report(FORMAT, about, ceilings, (*rows, *now), tuple(found), complete)

    for place, suite in enumerate(suites):
        rows += run(
            suite,
            instrument,
            quick=quick,
            listen=listen,
            keep=lambda now: keep(report(now)),
            budget=whole.share(len(suites) - place),
        )
    return report([], complete=True)
