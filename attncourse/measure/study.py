"""A scaling measurement joined with what was counted: times, and the work that they went into."""

import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import attncourse
from attncourse.measure.bench.case import Shape, Suite
from attncourse.measure.bench.files import pick, read_report
from attncourse.measure.bench.report import Direction, Report
from attncourse.measure.bench.session import measure
from attncourse.measure.bench.suites import scaling

LIVE = 512, 1024, 2048


@dataclass(frozen=True)
class Call:
    """A mechanism at a length: its work as counted, and its time.

    seconds are comparable with those of every other call of the same length: the ratio to the
    baseline in the same rounds, times the baseline's own time. operators and moved (bytes that
    they read and write) are None where they were not counted.
    """

    name: str
    n: int
    seconds: float
    ratio: float
    flops: int
    peak: int
    operators: int | None = None
    moved: int | None = None

    @property
    def work(self) -> tuple[float, float, float]:
        """Operators, FLOPs and bytes. Raises ValueError where they were not counted."""
        if self.operators is None or self.moved is None:
            raise ValueError(f"operators and bytes must be counted: got none for {self.name}")
        return float(self.operators), float(self.flops), float(self.moved)


def data_folder() -> Path:
    """Where the book's data files are: beside the notebook, in the checkout, or installed."""
    places = [
        Path("data"),
        Path(attncourse.__file__).parents[1] / "book" / "data",
        Path(sysconfig.get_path("data")) / "share" / "attncourse",
    ]
    found = next((place for place in places if (place / "cpu-scaling.json").is_file()), None)
    if found is None:
        raise FileNotFoundError("there is no measured scaling: no file data/cpu-scaling.json")
    return found


def calls_of(
    report: Report,
    counts: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    direction: Direction = "forward",
) -> list[Call]:
    """The calls of a report of the suite `scaling`, of its first shape, in the order of the file.

    counts has operators and bytes of a mechanism by its name and its length, as
    `bench/scaling.py` writes them. This library's mechanisms go by their own names, others have
    the implementation behind theirs.
    """
    rows = pick(report.rows, suite="scaling", direction=direction)
    first = rows[0]
    rows = [row for row in rows if (row.dtype, row.h, row.d) == (first.dtype, first.h, first.d)]
    base = {row.n: row.seconds.median for row in rows if _is_baseline(row) and row.seconds}
    found = []
    for row in rows:
        if row.ratio is None or row.flops is None or row.peak_bytes is None or row.n not in base:
            continue
        counted = (counts or {}).get(f"{row.mechanism} · {row.implementation}", {})
        operators, moved = counted.get(str(row.n), (None, None))
        seconds = row.ratio.median * base[row.n]
        work = row.flops, row.peak_bytes, operators, moved
        found.append(Call(_name(row), row.n, seconds, row.ratio.median, *work))
    return found


def read_calls(path: Path | str, counts: Mapping[str, Mapping[str, Any]]) -> list[Call]:
    """`calls_of` a file, forward."""
    return calls_of(read_report(path), counts)


def tables(calls: Iterable[Call]) -> tuple[Tensor, Tensor]:
    """Counts (calls, 3) and seconds (calls,) in float64, as `fit_cost` takes them."""
    listed = list(calls)
    counts = torch.tensor([call.work for call in listed], dtype=torch.float64)
    return counts, torch.tensor([call.seconds for call in listed], dtype=torch.float64)


def measured_again(
    names: Iterable[str], *, device: str = "cuda", lengths: Iterable[int] = LIVE
) -> list[Call]:
    """Some mechanisms of the suite timed now, in half precision; none where there is no device.

    On a graphics card that takes some seconds a mechanism. Every form is first compared with its
    definition, as in any run of the bench.
    """
    if device == "cuda" and not torch.cuda.is_available():
        return []
    wanted = set(names)
    whole = scaling(device)
    cases = tuple(
        case
        for case in whole.cases
        if case.mechanism in wanted and case.implementation == "attncourse"
    )
    dtype = torch.float32 if device == "cpu" else torch.float16
    shape = Shape(h=8, d=64, dtype=dtype)
    suite = Suite(
        "scaling",
        whole.baseline,
        (whole.baseline, *cases),
        quick_lengths=tuple(lengths),
        shapes=(shape,),
    )
    return calls_of(measure([suite], "live", device=device, quick=True))


def _is_baseline(row: Any) -> bool:
    return row.mechanism == "full" and row.implementation == "PyTorch"


def _name(row: Any) -> str:
    if _is_baseline(row):
        return "all pairs"
    if row.implementation == "attncourse":
        return str(row.mechanism)
    return f"{row.mechanism} ({row.implementation})"
