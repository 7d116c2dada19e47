"""Carry a new measurement over: the times that experiments of the book quote from cpu-scaling.json.

    python bench/clocks.py

Several experiments put a mechanism's time beside its counts, its errors, its perplexity. The time
is measured once, for all of them, by `attncourse bench`. After a new one this writes the quoted
numbers again and leaves everything else as it was found; the pages that print them have then to be
executed. A test holds the copies to the measurement.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attncourse.measure.bench.files import ratios_to_baseline
from attncourse.measure.experiment import measured, write_experiment

DATA = Path(__file__).parents[1] / "book" / "data"
SPEED = DATA / "cpu-scaling.json"
QUOTING = ("content", "low-rank", "patterns", "random-features")


def faster_from(name: str) -> int | None:
    """The first measured length at which the clock finds it faster than PyTorch's attention."""
    ratios = ratios_to_baseline(SPEED, [name])[name]
    quick = [int(n) for n, ratio in ratios.items() if ratio < 1]
    return min(quick, default=None)


def now(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results of an experiment, with the times that the measurement gives today."""
    return {**results, "clock": ratios_to_baseline(SPEED, results["clock"])}


def side_by_side(results: Mapping[str, Any]) -> dict[str, Any]:
    """The same of the table of all mechanisms, which says from which length on each is faster."""
    told = {
        name: {**each, "faster from": faster_from(each["clock"]) if each["clock"] else None}
        for name, each in results["mechanisms"].items()
    }
    return {**results, "mechanisms": told}


def quoted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each experiment that quotes times, by its name, as it should be."""
    for name in QUOTING:
        yield name, now(measured(name).results)
    yield "side-by-side", side_by_side(measured("side-by-side").results)


if __name__ == "__main__":
    for name, results in quoted():
        old = measured(name)
        write_experiment(DATA / f"{name}.json", results, about=old.provenance, seconds=old.seconds)
