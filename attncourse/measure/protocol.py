"""One protocol for every stand-in for exact attention: its error, its cost, and what becomes of a
trained model with it.

A mechanism is a function (q, k, v) of a causal model's queries, keys and values, (h, n, d) each. It
is put into SmolLM2 as it is, without training: what is lost there a training may win back.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms.dense.softmax import attention
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

Mechanism = Callable[[Tensor, Tensor, Tensor], Tensor]
Inputs = tuple[Tensor, Tensor, Tensor]
Size = TypeVar("Size")

LAYERS: Mapping[str, range] = {
    "all": range(30),
    "upper half": range(15, 30),
    "every second": range(1, 30, 2),
}


@dataclass(frozen=True)
class Point:
    """A mechanism at one of its sizes: counted cost of a call, and its error on the same inputs."""

    size: Any
    flops: int
    largest: int
    error: float


def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, what the mechanisms stand in for. Time O(n m (d + e)), memory O(n m).

    >>> exact(torch.zeros(2, 1), torch.zeros(2, 1), torch.eye(2)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    return attention(q, k, v, mask=causal_mask(q.shape[-2], k.shape[-2]).to(q.device))


def error_against_exact(approximate: Mechanism, q: Tensor, k: Tensor, v: Tensor) -> float:
    """How far the outputs are from causal attention's: |approximate - exact| / |exact|.

    Norms are Frobenius's, over all heads together: 0 is exact, and 1 what outputs of zeros have.

    >>> q, k, v = (torch.ones(2, 4, 8),) * 3
    >>> error_against_exact(lambda q, k, v: 0 * v, q, k, v)
    1.0
    """
    right = exact(q, k, v)
    return ((approximate(q, k, v) - right).norm() / right.norm()).item()


def error_cost_curve(
    family: Callable[[Size], Mechanism], sizes: Iterable[Size], inputs: Inputs
) -> list[Point]:
    """The points of a family of mechanisms, one for each size, all on the same inputs.

    family(size) is a mechanism, such as a window of that many keys.

    >>> def last(window):
    ...     return lambda q, k, v: sliding_window_attention(q, k, v, window=window, causal=True)
    >>> [point.error for point in error_cost_curve(last, [7], (torch.ones(1, 8, 4),) * 3)]
    [0.0]
    """
    points = []
    for size in sizes:
        mechanism = family(size)
        error = error_against_exact(mechanism, *inputs)
        counts = flops(mechanism, *inputs), largest_tensor(mechanism, *inputs)
        points.append(Point(size, *counts, error))
    return points


def cost_exponent(
    mechanism: Mechanism, n: int, *, d: int = 64, measure: Callable[..., int] = flops
) -> float:
    """The exponent of a cost between the lengths n and 2n: 1 is linear, 2 quadratic.

    measure is `flops` or `largest_tensor`; one head of width d.

    >>> cost_exponent(exact, 16), cost_exponent(exact, 128, measure=largest_tensor)
    (2.0, 2.0)
    """
    return scaling_exponent(measure, mechanism, lambda length: random_inputs(length, d), n)


def cheaper_from(
    mechanism: Mechanism, *, d: int = 64, shortest: int = 1, longest: int = 8192
) -> int | None:
    """The length from which on a mechanism takes fewer FLOPs than all n m pairs; None if there is
    none up to `longest`. `shortest` is the least that it takes.

    Found by doubling and halving, so it takes for granted that what is cheaper stays cheaper.
    Counts alone: a clock may say otherwise, since operators differ in how well they use a
    processor.

    >>> cheaper_from(lambda q, k, v: block_attention(q, k, v, block=10))
    11
    """
    if not _is_cheaper(mechanism, longest, d):
        return None
    low, high = shortest - 1, shortest  # too short, and one that may be long enough
    while not _is_cheaper(mechanism, high, d):
        low, high = high, min(2 * high, longest)
    while high - low > 1:
        middle = (low + high) // 2
        if _is_cheaper(mechanism, middle, d):
            high = middle
        else:
            low = middle
    return high


def _is_cheaper(mechanism: Mechanism, n: int, d: int) -> bool:
    return flops(mechanism, *random_inputs(n, d)) < 4 * n * n * d


def random_inputs(n: int, d: int) -> Inputs:
    """Queries, keys and values of one head, (n, d), of independent normal numbers."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(n, d, generator=generator) for _ in range(3))
    return q, k, v


def inputs_of_the_model(layer: int, *, tokens: int = 256) -> Inputs:
    """The queries, keys and values of a layer of SmolLM2, (9, tokens, 64), on the course's prose.

    The keys and values are repeated for the heads that share them. Raises MissingModel.
    """
    found: list[Inputs] = []

    def listening(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        if layer == wanted:
            found.append((q, k, v))
        return attention(q, k, v, mask=mask)

    wanted, model = layer, SmolLM.load(attention=listening)
    model.hidden(model.encode(prose())[:tokens])
    return found[0]


def replaced(mechanism: Mechanism, layers: Collection[int]) -> dict[str, Callable[..., Tensor]]:
    """The sockets of a SmolLM2 in which some layers, from 0, attend by a mechanism.

    The others are as they were. The mechanism is not told of a mask: it has to be causal itself.

    >>> model = SmolLM.load(**replaced(exact, LAYERS["upper half"]))
    """

    def one_or_the_other(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Tensor:
        return mechanism(q, k, v) if layer in layers else attention(q, k, v, mask=mask)

    return {"attention": one_or_the_other}


def perplexity_when_replaced(
    mechanism: Mechanism,
    layers: Collection[int] = LAYERS["all"],
    *,
    tokens: int = 768,
    text: str | Sequence[int] | None = None,
) -> float:
    """The perplexity of SmolLM2 with a mechanism in some layers, untrained.

    On the first tokens of a text, of the course's prose by default. On one core 768 tokens take
    about three seconds. Raises MissingModel.
    """
    read = prose() if text is None else text
    return SmolLM.load(**replaced(mechanism, layers)).perplexity(read, tokens=tokens)


def words_when_replaced(
    mechanism: Mechanism,
    layers: Collection[int] = LAYERS["all"],
    *,
    prompt: str = "Tell me a very short story about a fox.",
    tokens: int = 12,
) -> str:
    """What SmolLM2 writes with a mechanism in some layers: the likeliest tokens, untrained.

    All tokens are computed anew for each, so that no cache is needed. Raises MissingModel.
    """
    model = SmolLM.load(**replaced(mechanism, layers))
    return model.generate(prompt, tokens, cached=False)
