"""How a peer is called on given queries, keys and values: projections replaced, axes moved.

What a peer needs made once (modules, masks) is made outside of the clock.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from attncourse.measure.bench.case import Case


class Given(nn.Module):
    """Stands in for a projection: gives the tensor it was told to."""

    def __init__(self) -> None:
        super().__init__()
        self.tensor: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor | None:
        """The tensor, whatever x is."""
        return self.tensor


def peer(package: str, mechanism: str, function: Any, definition: Any, **options: Any) -> Case:
    """A case of a package that is named with its version."""
    try:
        name = f"{package} {version(package)}"
    except PackageNotFoundError:
        name = package
    return Case(mechanism, function, definition, implementation=name, package=package, **options)


def rows_of_heads(x: Tensor) -> Tensor:
    """(1, h, n, d) as (1, n, h d), the layout of a projection's output; contiguous."""
    return x.transpose(1, 2).flatten(2).contiguous()


def heads_of_rows(x: Tensor, d: int = 64) -> Tensor:
    """(1, n, h d) as (1, h, n, d): a view."""
    return x.unflatten(-1, (-1, d)).transpose(1, 2)


def tokens_first(x: Tensor) -> Tensor:
    """(1, h, n, d) as (1, n, h, d), contiguous."""
    return x.transpose(1, 2).contiguous()


def heads_first(x: Tensor) -> Tensor:
    """(1, n, h, d) as (1, h, n, d): a view."""
    return x.transpose(1, 2)


def without_dropout(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its own parameters without gradient."""
    return module.eval().requires_grad_(False)


def double_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Efficient attention: softmax over the features of q, over the positions of k."""
    weights = torch.softmax(q, -1) @ torch.softmax(k, -2).mT / q.shape[-1] ** 0.5
    return weights @ v


def causal_softmax_features(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal linear attention with the features softmax(q) and exp(k)."""
    weights = (torch.softmax(q, -1) @ k.exp().mT).tril()
    return weights @ v / weights.sum(-1, keepdim=True)
