"""A small model that learns, or fails to learn, to look at the word before: a run to be examined.

One attention, no network, no residual: whatever a word reports it has read in another place. Many
models are trained at once, each from other random numbers, so that no finding hangs on one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from attncourse.mechanisms.dense.softmax import attention, softmax
from attncourse.mechanisms.exact.backward import softmax_backward

SENTENCE = [
    *("the", "trophy", "does", "not", "fit", "in", "the"),
    *("suitcase", "because", "it", "is", "too", "big"),
]
WORDS = tuple(dict.fromkeys(SENTENCE))  # 12: "the" stands there twice
N, D, TEXTS = len(SENTENCE), 32, 8  # words of a text, width, texts of a step
LEARNED = ("w_q", "w_k", "w_v", "table")
USUAL, FAST, FAST_STEPS = 0.01, 0.3, 5  # learning rates, and for how long the second one

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Runs:
    """What was seen of `runs` trainings.

    losses (steps, runs) in nats a word. at_scores holds, for every tenth step, the length of the
    gradient of each word's own loss at that word's scores, (steps / 10, runs, words); at_weights,
    by name, that of the mean loss at w_q, w_k, w_v and table, (steps / 10, runs). tensors are the
    parameters as they were left, each (runs, ...).
    """

    losses: Tensor
    at_scores: Tensor
    at_weights: dict[str, Tensor]
    tensors: dict[str, Tensor]

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (runs, 13, 32) of the running sentence."""
        text = torch.tensor([WORDS.index(word) for word in SENTENCE])
        return _projected(self.tensors, _vectors(self.tensors, text.expand(self.runs, -1)))

    @property
    def runs(self) -> int:
        """How many models were trained."""
        return self.losses.shape[-1]

    def maps(self) -> Tensor:
        """The weights (runs, 13, 13) of the running sentence."""
        q, k, _ = self.parts()
        return softmax(q @ k.mT / D**0.5)


def learn_to_look_back(
    *,
    fast_start: bool = False,
    shrink_at: int | None = None,
    shrink: str = "w_q",
    attend: Attend = attention,
    runs: int = 100,
    steps: int = 200,
) -> Runs:
    """Train `runs` models to report, for each word of random texts, the word before it.

    Words and places have fixed random vectors; the projections of queries, keys and values and a
    table of words are learned, by Adam at 0.01. fast_start begins with five steps at 0.3 instead;
    before the step shrink_at the tensor named shrink is divided by 100. attend(q, k, v) takes
    (runs, texts, 13, 32) each; its own gradient is what the training uses. About 10 ms a step for a
    hundred models.
    """
    generator = torch.Generator().manual_seed(0)
    tensors = _random(runs, generator)
    learned = {name: tensors[name].requires_grad_() for name in LEARNED}
    adam = torch.optim.Adam(learned.values(), lr=USUAL)
    losses, at_scores, at_weights = [], [], []
    for step in range(steps):
        if step == shrink_at:
            tensors[shrink].data /= 100
        fast = fast_start and step < FAST_STEPS
        adam.param_groups[0]["lr"] = FAST if fast else USUAL
        texts = torch.randint(len(WORDS), (runs, TEXTS, N), generator=generator)
        q, k, v = _projected(tensors, _vectors(tensors, texts))
        out = attend(q, k, v)
        out.retain_grad()
        logits = out @ tensors["table"][:, None]
        said, wanted = logits[..., 1:, :].flatten(0, 2), texts[..., :-1].flatten()
        loss = functional.cross_entropy(said, wanted, reduction="none").view(runs, -1)
        adam.zero_grad()
        loss.mean(dim=-1).sum().backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach().mean(dim=-1))
        if step % 10 == 0:
            at_scores.append(_at_scores(q, k, v, out) * loss.shape[-1])
            at_weights.append([_grad(x).flatten(1).norm(dim=-1) for x in learned.values()])
        adam.step()
    sizes = (torch.stack(each) for each in zip(*at_weights, strict=True))
    return Runs(
        torch.stack(losses),
        torch.stack(at_scores),
        dict(zip(learned, sizes, strict=True)),
        {name: tensor.detach() for name, tensor in tensors.items()},
    )


@torch.no_grad()
def _at_scores(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> Tensor:
    """The length of the gradient at the scores of each word but the first, (runs, words)."""
    weights = softmax(q @ k.mT / D**0.5)
    return softmax_backward(weights, _grad(out) @ v.mT)[..., 1:, :].norm(dim=-1).flatten(1)


def _grad(x: Tensor) -> Tensor:
    """The gradient that a backward pass left at a tensor."""
    assert x.grad is not None
    return x.grad


def _random(runs: int, generator: Generator) -> dict[str, Tensor]:
    """All tensors at the start: projections that keep the size of what they are given."""
    sizes = {"words": (len(WORDS), D), "places": (N, D)}
    sizes |= dict.fromkeys(("w_q", "w_k", "w_v"), (D, D)) | {"table": (D, len(WORDS))}
    drawn = {name: torch.randn(runs, *size, generator=generator) for name, size in sizes.items()}
    return {name: x / (D if name in LEARNED else 2) ** 0.5 for name, x in drawn.items()}


def _vectors(tensors: dict[str, Tensor], texts: Tensor) -> Tensor:
    """The words (runs, ..., 13) of each run as its own vectors (runs, ..., 13, 32)."""
    places = texts.flatten(1)[..., None].expand(-1, -1, D)
    return tensors["words"].gather(1, places).reshape(*texts.shape, D)


def _projected(tensors: dict[str, Tensor], words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of words (runs, ..., 13, 32), each at its place."""

    def shared(name: str) -> Tensor:
        return tensors[name][(slice(None), *[None] * (words.ndim - 3))]

    x = words + shared("places")
    return x @ shared("w_q"), x @ shared("w_k"), x @ shared("w_v")
