"""What the small models of the senses are trained by, and the parts that they share."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.mechanisms.dense.heads import split_heads
from attncourse.mechanisms.dense.softmax import softmax
from attncourse.models.blocks import Attention, Block, initialise
from attncourse.models.config import StackConfig

STD = 0.15  # of the numbers that a model of width 24 to 48 starts from


def fit(
    model: nn.Module, loss: Callable[[Generator], Tensor], steps: int, *, rate: float, seed: int
) -> None:
    """Steps of AdamW on the loss of data that are drawn anew; the rate goes up to `rate`, and down.

    >>> model = nn.Linear(1, 1)
    >>> fit(model, lambda generator: model(torch.ones(1)).square().sum(), 40, rate=0.1, seed=0)
    >>> abs(model(torch.ones(1)).item()) < 0.2
    True
    """
    generator = Generator().manual_seed(seed)
    adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        adam.zero_grad()
        torch.autograd.backward(loss(generator))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rates.step()


def begun(model: nn.Module, seed: int) -> None:
    """Draw a model's numbers anew, from a seed."""
    initialise(model, STD, Generator().manual_seed(seed))


def block(d: int, *, h: int = 4, cross: bool = False) -> Block:
    """A pre-norm layer of width d with a network twice as wide."""
    return Block(
        StackConfig(d=d, h=h, d_ff=2 * d, layers=1), gelu_feed_forward, pre_norm=True, cross=cross
    )


def weights_of(part: Attention, x: Tensor, memory: Tensor | None = None) -> Tensor:
    """The weights (..., h, n, m) by which x looks at a memory, or at itself."""
    q = split_heads(part.query(x), part.h)
    k = split_heads(part.key(x if memory is None else memory), part.h)
    return softmax(q @ k.mT / q.shape[-1] ** 0.5)


def share(right: Tensor) -> float:
    """The share of True, as a number."""
    return right.float().mean().item()
