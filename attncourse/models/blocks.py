"""What the models are made of: parameters, and the functions of ``mechanisms`` that use them.

Matrices are (d_in, d_out), applied as x @ w. A mask has no axis for heads: (..., n, m) or, as
`padding_mask` makes it, (..., 1, m), True where a query may attend.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.numbers import holds_numbers
from attncourse.mechanisms.dense.heads import merge_heads, split_heads
from attncourse.mechanisms.dense.norms import layer_norm, rms_norm
from attncourse.mechanisms.dense.softmax import attention
from attncourse.models.config import StackConfig

Network = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
Turn = Callable[[Tensor], Tensor]


class Linear(nn.Module):
    """X W + b, with W (d_in, d_out) and b (d_out)."""

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(d_in, d_out))
        self.b = nn.Parameter(torch.empty(d_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis of x."""
        return functional.linear(x, self.w.mT, self.b)


class Norm(nn.Module):
    """Layer norm with a gain and a bias."""

    def __init__(self, d: int, eps: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(d))
        self.bias = nn.Parameter(torch.empty(d))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each token."""
        return layer_norm(x, self.gain, self.bias, eps=self.eps)


class RootMeanSquareNorm(nn.Module):
    """The root-mean-square norm, with a gain and no bias."""

    def __init__(self, d: int, eps: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(d))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Scale each token by its root mean square."""
        return rms_norm(x, self.gain, eps=self.eps)


class Attention(nn.Module):
    """Multi-head attention with four projections that have biases."""

    def __init__(self, d: int, h: int) -> None:
        super().__init__()
        self.h = h
        self.query, self.key, self.value, self.output = (Linear(d, d) for _ in range(4))

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, turn: Turn | None = None
    ) -> Tensor:
        """Queries from x, keys and values from memory; turn is applied to queries and keys."""
        q, k = split_heads(self.query(x), self.h), split_heads(self.key(memory), self.h)
        v = split_heads(self.value(memory), self.h)
        if turn is not None:
            q, k = turn(q), turn(k)
        every_head = None if mask is None else mask.unsqueeze(-3)
        return self.output(merge_heads(attention(q, k, v, mask=every_head)))


class Heads(nn.Module):
    """Four projections without biases: h heads of queries, g of keys and values, d / h wide."""

    def __init__(self, d: int, h: int, g: int) -> None:
        super().__init__()
        self.h, self.g = h, g
        self.query, self.output = (nn.Parameter(torch.empty(d, d)) for _ in range(2))
        self.key, self.value = (nn.Parameter(torch.empty(d, d // h * g)) for _ in range(2))

    def queries(self, x: Tensor) -> Tensor:
        """The queries (..., h, n, d / h) of the tokens x (..., n, d)."""
        return split_heads(x @ self.query, self.h)

    def pairs(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and the values (..., g, m, d / h) of the tokens that are attended to."""
        return split_heads(memory @ self.key, self.g), split_heads(memory @ self.value, self.g)

    def joined(self, out: Tensor) -> Tensor:
        """What the heads found (..., h, n, d / h), as tokens (..., n, d)."""
        return merge_heads(out) @ self.output


class FeedForward(nn.Module):
    """A position-wise network of two matrices with biases."""

    def __init__(self, d: int, d_ff: int, network: Network) -> None:
        super().__init__()
        self.first, self.second = Linear(d, d_ff), Linear(d_ff, d)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map each token alone."""
        return self.network(x, self.first.w, self.first.b, self.second.w, self.second.b)


class Block(nn.Module):
    """Self-attention, cross-attention if there is a memory, and a feed-forward network.

    Each part has its residual and its norm: before the part, x + f(LN(x)), if pre_norm, otherwise
    after the sum, LN(x + f(x)).
    """

    def __init__(
        self,
        config: StackConfig,
        network: Network,
        *,
        pre_norm: bool,
        cross: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = Attention(config.d, config.h)
        self.cross_attention = Attention(config.d, config.h) if cross else None
        self.feed_forward = FeedForward(config.d, config.d_ff, network)
        self.norms = nn.ModuleList(Norm(config.d, eps) for _ in range(3 if cross else 2))

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        turn: Turn | None = None,
    ) -> Tensor:
        """One layer: the parts in order, each added to its own input."""
        first, *middle, last = self.norms
        x = self._add(x, first, lambda y: self.attention(y, y, mask, turn))
        if self.cross_attention is not None:
            cross = self.cross_attention
            x = self._add(x, middle[0], lambda y: cross(y, memory, memory_mask))
        return self._add(x, last, self.feed_forward)

    def _add(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        return x + part(norm(x)) if self.pre_norm else norm(x + part(x))


def embed(table: Tensor, tokens: Tensor, name: str = "tokens") -> Tensor:
    """The rows of table (vocabulary, d) that the tokens (..., n) name."""
    size = table.shape[0]
    if tokens.numel() and holds_numbers(tokens) and not 0 <= tokens.min() <= tokens.max() < size:
        low, high = int(tokens.min()), int(tokens.max())
        raise ValueError(f"{name} must lie between 0 and {size - 1}: got from {low} to {high}")
    return functional.embedding(tokens, table)


@torch.no_grad()
def initialise(model: nn.Module, std: float, generator: Generator | None) -> None:
    """Biases 0, gains 1, and everything else normal with standard deviation std."""
    for name, parameter in model.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        if kind in ("b", "bias"):
            parameter.zero_()
        elif kind == "gain":
            parameter.fill_(1.0)
        else:
            parameter.normal_(0.0, std, generator=generator)
