"""Functions that are a layer with its projections, or stand between the heads and the layer."""

from typing import Any

import torch
from torch import Tensor

import attncourse
from attncourse.course.plugs.plug import Function, Sockets

# layers and heads of SmolLM2 with the highest induction score (bench/evaluation.py)
COPYING = {17: (3, 4, 5), 18: (6, 7), 20: (6,), 22: (7,), 23: (2, 7), 24: (4,)}


def self_attention(function: Function) -> Sockets:
    """A layer of self-attention, whose heads are calls of the function."""
    return head_by_head(lambda x, memory, *weights: function(x, *weights))


def head_by_head(function: Function) -> Sockets:
    """A layer whose heads are calls of the function, each with its part of the weights."""

    def heads(x: Tensor, memory: Tensor, *given: Tensor, h: int, mask: Tensor | None = None) -> Any:
        *projections, w_o = given
        parts = zip(*(w.chunk(h, dim=-1) for w in projections), strict=True)
        return torch.cat([function(x, memory, *w) for w in parts], dim=-1) @ w_o

    return {"multi_head_attention": heads}


def tied(function: Function) -> Sockets:
    """A layer whose heads ask and are found by the weights of their queries."""
    return head_by_head(lambda x, memory, w_q, w_k, w_v: function(x, memory, memory @ w_v, w_q))


def without_copying_heads(function: Function) -> Sockets:
    """Without the ten heads that copy most."""

    def merged(x: Tensor, *, layer: int) -> Any:
        return attncourse.merge_heads(function(x, list(COPYING.get(layer, ()))))

    return {"merge_heads": merged}
