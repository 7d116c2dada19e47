"""How much slower every mechanism gets beside processes that want the same cores.

A laptop with a browser and a shared notebook server are such machines. An operation that runs on
all threads waits for the last of them, and who waits spins for a while before it sleeps: on the
very core, it may be, that the other needs. Then a call takes a hundred times as long, in some runs
and not in others. With a spin of 1000 turns, which OpenMP reads when PyTorch is imported, no form
does; with 20,000 some still do. All forms are measured quiet, then beside the busy processes, in
one run; the last column counts the operations on more numbers than PyTorch gives one thread.

python bench/busy.py --out book/data/busy.json                        (ten tries; an hour)
GOMP_SPINCOUNT=1000 python bench/busy.py --out book/data/busy.json    (the same file; half of that)
python bench/busy.py linear top-k --tries 3 --n 1024
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attncourse.measure.bench.case import Case, Shape
from attncourse.measure.bench.choice import chosen
from attncourse.measure.bench.prepared import Prepared
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.suites import scaling
from attncourse.measure.cost import light
from attncourse.measure.experiment import read_experiment, write_experiment

FACTOR = 5.0  # slower than quiet by more than this is a collapse
GRAIN = 32768  # numbers of which PyTorch takes one thread
BUSY = "while True: pass"
SPIN = "GOMP_SPINCOUNT"  # turns of the loop in which a thread waits; GCC's OpenMP has 300,000


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tries", default=10, show_default=True)
@click.option("--calls", default=5, show_default=True, help="Calls whose median is a try's time.")
@click.option("--n", default=4096, show_default=True, help="Length.")
@click.option("--busy", default=2, show_default=True, help="Processes that want a core each.")
@click.option("--backward", is_flag=True, help="With the gradient of every input.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write (into) this file.")
def main(
    names: tuple[str, ...],
    tries: int,
    calls: int,
    n: int,
    busy: int,
    backward: bool,
    out: Path | None,
) -> None:
    """Time every mechanism, or those named, quiet and beside busy processes."""
    try:
        [suite] = chosen([scaling()], names)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    began = time.monotonic()
    ready = {case.name: prepared(case, n, backward) for case in suite.cases}
    counts = {name: large_operations(call) for name, call in ready.items()}
    quiet = {name: median(seconds(call, calls)) for name, call in tracked(ready, "quiet")}
    worst = dict.fromkeys(ready, 0.0)
    with beside(busy):
        for number in range(1, tries + 1):
            for name, call in tracked(ready, f"busy, try {number} of {tries}"):
                worst[name] = max(worst[name], median(seconds(call, calls)))
    title = f"n = {n}, {torch.get_num_threads()} threads beside {busy} processes, {tries} tries"
    Console().print(table(title, quiet, worst, counts))
    if out is not None:
        found = {name: _in_ms(quiet[name], worst[name]) for name in ready}
        setup = {"n": n, "busy": busy, "tries": tries, "calls": calls, "backward": backward}
        write(out, setup | {"forms": found}, time.monotonic() - began)
    collapsed = [name for name in ready if worst[name] > FACTOR * quiet[name]]
    sys.exit(f"more than {FACTOR:g} times slower: {', '.join(collapsed)}" if collapsed else 0)


def _in_ms(quiet: float, worst: float) -> dict[str, float]:
    """Both in milliseconds, to three digits."""
    return {"quiet": float(f"{1e3 * quiet:.3g}"), "worst": float(f"{1e3 * worst:.3g}")}


def write(out: Path, found: dict[str, Any], spent: float) -> None:
    """Add a run to the file, under the spin that it was made with."""
    spin = os.environ.get(SPIN)
    run = {f"{SPIN}={spin}" if spin else "as PyTorch is": found}
    old = read_experiment(out) if out.exists() else None
    about = provenance(f"python bench/busy.py --out {out}", [])
    results = {**(old.results if old else {}), **run}
    write_experiment(out, results, about=about, seconds=spent + (old.seconds if old else 0.0))


def prepared(case: Case, n: int, backward: bool) -> Prepared:
    """The form on inputs of this length, in one direction."""
    direction: Any = "forward+backward" if backward and case.differentiable else "forward"
    return Prepared(case, case.inputs(Shape().of(n)), direction)


def seconds(call: Callable[[], Any], calls: int) -> list[float]:
    """What the clock on the wall shows of each call."""
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def tracked(ready: dict[str, Prepared], what: str) -> Iterator[tuple[str, Prepared]]:
    """The forms one after the other, with a bar that says what is being measured."""
    return iter(track(ready.items(), what, console=Console(stderr=True), transient=True))


@contextmanager
def beside(busy: int) -> Iterator[None]:
    """So many processes that never wait, until the end."""
    there = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
    try:
        time.sleep(1)
        yield
    finally:
        for process in there:
            process.kill()
            process.wait()


@light
class _Large(TorchDispatchMode):
    """Counts operations that run on several threads."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        out = function(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves((args, out)) if isinstance(x, torch.Tensor)]
        made = "empty" in function.name() or function.is_view
        self.count += not made and max(sizes, default=0) > GRAIN
        return out


def large_operations(call: Callable[[], Any]) -> int:
    """How many operations of a call run on several threads."""
    with _Large() as seen:
        call()
    return seen.count


def table(
    title: str, quiet: dict[str, float], worst: dict[str, float], counts: dict[str, int]
) -> Table:
    """The forms, the one that suffers most first."""
    found = Table(title=title, title_justify="left", box=None)
    for header in ("form", "quiet ms", "worst ms", "times", "large operations"):
        found.add_column(header)
    for name in sorted(quiet, key=lambda name: worst[name] / quiet[name], reverse=True):
        times = worst[name] / quiet[name]
        cells = f"{1e3 * quiet[name]:.3g}", f"{1e3 * worst[name]:.3g}", f"{times:.1f}"
        found.add_row(name, *cells, str(counts[name]))
    return found


if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    main()
