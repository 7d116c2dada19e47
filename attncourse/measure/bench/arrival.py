"""What is looked at when somebody sends in a file of their own card, before the book shows it."""

import re
from collections.abc import Iterator
from pathlib import Path

from attncourse.measure.bench.files import card_file, read_report
from attncourse.measure.bench.report import Report
from attncourse.measure.devices import Device, named

ABOVE = 1.1  # times the published ceiling: clocks may be higher than the data sheet's, not by more


def faults(path: Path | str) -> list[str]:
    """A sentence for each thing that keeps a file `cuda-<card>-<suite>.json` from the book.

    It keeps the schema, came to its end, is called by its card, was measured from a commit, has
    nothing wrong or failed in it and no place of a machine; and where the card is in devices.yml,
    no rate lies above the published one, which only a mistake of timing reaches.
    """
    try:
        report = read_report(path)
    except ValueError as error:
        return [str(error)]
    return [*_of_form(report, Path(path).name), *_of_rows(report), *_too_fast(report)]


def card_of(report: Report) -> str:
    """What PyTorch calls the card that a report is about."""
    return report.provenance.device.partition(" (")[0]


def _of_form(report: Report, name: str) -> Iterator[str]:
    about, wanted = report.provenance, card_file(card_of(report), "").removesuffix("-.json")
    if not name.startswith(wanted + "-"):
        yield f"the file must be called {wanted}-<suite>.json, by its card: got {name}"
    if not about.command.startswith("attncourse bench --device cuda"):
        yield f"the command must be attncourse bench --device cuda: got {about.command}"
    if re.search(r"(^|[ =])(/|~|[A-Za-z]:\\)", about.command):
        yield f"the command must name no place of a machine: got {about.command}"
    if not re.fullmatch(r"[0-9a-f]{40}", about.commit):
        yield f"it must be measured from a commit without changes: got {about.commit}"
    if not report.complete:
        yield "the run must have come to its end: got one that was stopped"


def _of_rows(report: Report) -> Iterator[str]:
    if not any(row.seconds for row in report.rows):
        yield "at least 1 row must be measured: got 0"
    for row in report.rows:
        if row.state in ("wrong", "failed"):
            yield f"no row may be {row.state}: got {row.mechanism} by {row.implementation}"


def _too_fast(report: Report) -> Iterator[str]:
    """Rates above what the card's maker publishes; nothing where the card is unknown."""
    try:
        card = named(card_of(report))
    except ValueError:
        return
    rates = {
        f"the ceiling in {dtype}": (dtype, top.flops) for dtype, top in report.ceilings.items()
    }
    for row in report.rows:
        if row.seconds is not None and row.flops:
            name = f"{row.mechanism} by {row.implementation}, n = {row.n}, {row.direction}"
            rates[f"{name}, d = {row.d}"] = row.dtype, row.flops / row.seconds.median
    for name, (dtype, rate) in rates.items():
        peak = _peak(card, dtype)
        if rate > ABOVE * peak:
            told = f"{rate / 1e12:.4g} TFLOP/s for {name}"
            yield f"no rate may lie above {card.name}'s {peak / 1e12:.4g} TFLOP/s: got {told}"
    for top in report.ceilings.values():
        if top.bandwidth > ABOVE * card.bandwidth:
            told = f"{top.bandwidth / 1e9:.4g}"
            yield f"no copy may be faster than {card.bandwidth / 1e9:.4g} GB/s: got {told}"


def _peak(card: Device, dtype: str) -> float:
    """The published rate; of float32 the higher one, since kernels may take TF32 parts."""
    if dtype == "float32" and card.flops["tf32"]:
        return max(card.peak("fp32"), card.peak("tf32"))
    return card.peak(dtype)
