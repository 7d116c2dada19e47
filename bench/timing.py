"""Mistakes of timing that a CPU shows, beside those of `attncourse bench --suite pitfalls`.

    python bench/timing.py --out book/data/timing.json

All are ratios of medians in the same run, but for SmolLM2's own times, which stand beside this
machine's ceilings. One thread. `--quick` takes less of everything, as the test does.
"""

import argparse
import multiprocessing
import subprocess
import sys
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.measure.placing import STEPS, smollm_work, timed_smollm
from attncourse.measure.roofline import measured_ceilings
from attncourse.measure.timing import Call, Effort, WallClock, interleaved, median_seconds
from attncourse.mechanisms.dense.softmax import attention

FRESH = """
import time, torch
torch.set_num_threads(1)
x = torch.randn(64, 64)
times = []
for _ in range(101):
    start = time.perf_counter()
    torch.softmax(x @ x, -1)
    times.append(time.perf_counter() - start)
print(times[0] / sorted(times[1:])[50])
"""


def medians(calls: dict[str, Call], seconds: float) -> dict[str, float]:
    """The median seconds of some calls, measured in turn."""
    for call in calls.values():
        call()
    effort = Effort(least=5, most=200, seconds=seconds)
    taken = interleaved(calls, clock=WallClock(), effort=effort)
    return {name: median_seconds(samples) for name, samples in taken.items()}


def inputs_made_inside(seconds: float) -> float:
    """A product of two matrices, its inputs drawn in the timed part, over that without."""
    a, b = torch.randn(512, 512), torch.randn(512, 512)

    def inside() -> Tensor:
        return torch.randn(512, 512) @ torch.randn(512, 512)

    found = medians({"product": lambda: a @ b, "with its inputs": inside}, seconds)
    return found["with its inputs"] / found["product"]


def copied_inside(seconds: float) -> float:
    """A matrix times a vector, the matrix copied in the timed part, over that without."""
    a, x = torch.randn(2048, 2048), torch.randn(2048)
    found = medians({"product": lambda: a @ x, "with a copy": lambda: a.clone() @ x}, seconds)
    return found["with a copy"] / found["product"]


def special_numbers(seconds: float) -> dict[str, float]:
    """A sum and a product of matrices of zeros and of denormals, over those of normal ones."""
    normal = torch.rand(256, 256) + 0.5
    kinds = {
        "normal": normal,
        "zeros": torch.zeros_like(normal),
        "denormals": torch.full_like(normal, 1e-40),
    }
    found = {}
    for what, function in {"sum": torch.add, "product": torch.mm}.items():
        calls: dict[str, Call] = {name: partial(function, x, x) for name, x in kinds.items()}
        taken = medians(calls, seconds)
        found |= {f"{what}, {n}": taken[n] / taken["normal"] for n in ("zeros", "denormals")}
    return found


def first_calls(processes: int) -> list[float]:
    """The first small call of a fresh process over the median of its later ones, sorted."""
    command = [sys.executable, "-c", FRESH]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True)
        for _ in range(processes)
    ]
    return sorted(float(run.stdout) for run in runs)


def work_for_ever() -> None:
    """What a busy neighbour does."""
    x = torch.randn(1024, 1024)
    while True:
        x @ x


def with_a_neighbour(neighbours: int, seconds: float) -> dict[str, float]:
    """Two forms of attention without busy processes and with: times and ratios."""
    x = torch.randn(1, 8, 512, 64)
    calls: dict[str, Call] = {
        "fused": lambda: scaled_dot_product_attention(x, x, x),
        "plain": lambda: attention(x, x, x),
    }
    alone = medians(calls, seconds)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=work_for_ever, daemon=True) for _ in range(neighbours)]
    for other in others:
        other.start()
    time.sleep(3.0)
    try:
        crowded = medians(calls, seconds)
    finally:
        for other in others:
            other.terminate()
            other.join()
    return {
        "time, crowded over alone": crowded["fused"] / alone["fused"],
        "plain over fused, alone": alone["plain"] / alone["fused"],
        "plain over fused, crowded": crowded["plain"] / crowded["fused"],
    }


def smollm(rounds: int) -> dict[str, Any]:
    """FLOPs, bytes and median seconds of what SmolLM2 does."""
    return {
        name: [
            smollm_work(tokens, past).flops,
            smollm_work(tokens, past).moved_bytes,
            rounded(median_seconds(timed_smollm(tokens, past, rounds=rounds))),
        ]
        for name, (tokens, past) in STEPS.items()
    }


def rounded(x: float) -> float:
    """Three digits: more would not come again."""
    return float(f"{x:.3g}")


def study(*, quick: bool = False) -> dict[str, Any]:
    """All of it; ratios to three digits."""
    torch.set_num_threads(1)
    seconds, processes, rounds = (0.05, 1, 2) if quick else (3.0, 7, 15)
    fresh = first_calls(processes)
    ceilings = measured_ceilings(clock=WallClock(), quick=quick)
    found: dict[str, Any] = {
        "inputs made inside": rounded(inputs_made_inside(seconds)),
        "a copy inside": rounded(copied_inside(seconds)),
        "numbers": {name: rounded(x) for name, x in special_numbers(seconds).items()},
        "first call of a process": [rounded(x) for x in fresh],
        "neighbour": {n: rounded(x) for n, x in with_a_neighbour(2, seconds).items()},
        "smollm": smollm(rounds),
        "ceilings": {"flops": rounded(ceilings.flops), "bandwidth": rounded(ceilings.bandwidth)},
    }
    return found


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began = time.perf_counter()
    results = study(quick=given.quick)
    about = provenance(" ".join(["python bench/timing.py", *sys.argv[1:]]))
    write_experiment(given.out, results, about=about, seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
