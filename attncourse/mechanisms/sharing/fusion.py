"""Attention to several memories: in one softmax, one after the other, side by side, gated."""

from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.merging import attention_and_lse, merge_attention


@checked
def fuse_memories_by_definition(
    q: Float[Tensor, "... n d"], memories: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "... n e"]:
    """One softmax over the keys of all memories: attention over their concatenation."""
    _check_memories(memories)
    keys, values = (torch.cat(list(part), dim=-2) for part in zip(*memories, strict=True))
    return attention(q, keys, values)


@checked
def fuse_memories(
    q: Float[Tensor, "... n d"], memories: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "... n e"]:
    """Flat fusion: attend to each memory (k, v) by itself, then weight the results by gates.

    o = sum_m g_m o_m with g = softmax_m(lse_m), where lse_m = log sum_j exp(s_mj): the same as
    one softmax over all keys at once. The lengths of memories may differ. Memories are read one
    at a time and never concatenated. Time O(n (d + e) sum m), memory O(n max m).

    Raises TypeError unless memories are pairs of tensors, ValueError if there are none or shapes
    do not fit. Source: Libovicky and Helcl 2017 (flat).

    >>> short, long = torch.tensor([[0.0]]), torch.tensor([[3.0], [3.0]])
    >>> memories = [(torch.zeros(1, 2), short), (torch.zeros(2, 2), long)]
    >>> fuse_memories(torch.zeros(1, 2), memories).round(decimals=4).tolist()  # keys count alike
    [[2.0]]
    """
    _check_memories(memories)
    parts = (attention_and_lse(q, k, v) for k, v in memories)
    out, _ = reduce(lambda a, b: merge_attention(*a, *b), parts)
    return out.to(q.dtype)


@checked
def serial_fusion(
    x: Float[Tensor, "... n d"], memories: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "... n d"]:
    """One memory after the other: x <- x + attention(x, k_m, v_m). The order matters.

    Values are as wide as x. Time O(n d sum m), memory O(n max m). Raises as `fuse_memories`.
    Source: Libovicky et al. 2018 (serial).

    >>> first = torch.zeros(1, 1), torch.ones(1, 1)
    >>> second = torch.tensor([[1e3], [0.0]]), torch.tensor([[1.0], [0.0]])
    >>> orders = [first, second], [second, first]
    >>> [serial_fusion(torch.zeros(1, 1), memories).item() for memories in orders]
    [2.0, 1.5]
    """
    _check_memories(memories)
    out = x.to(accumulation_dtype(x.dtype))
    for k, v in memories:
        out = out + _read(out, k.to(out.dtype), v.to(out.dtype))
    return out.to(x.dtype)


@checked
def parallel_fusion(
    x: Float[Tensor, "... n d"], memories: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "... n d"]:
    """All memories from the same x: x + sum_m attention(x, k_m, v_m). The order does not matter.

    Values are as wide as x. Time O(n d sum m), memory O(n max m). Raises as `fuse_memories`.
    Source: Libovicky et al. 2018 (parallel).

    >>> first = torch.zeros(1, 1), torch.ones(1, 1)
    >>> second = torch.tensor([[1e3], [0.0]]), torch.tensor([[1.0], [0.0]])
    >>> orders = [first, second], [second, first]
    >>> [parallel_fusion(torch.zeros(1, 1), memories).item() for memories in orders]
    [1.5, 1.5]
    """
    _check_memories(memories)
    start = x.to(accumulation_dtype(x.dtype))
    out = start
    for k, v in memories:
        out = out + _read(start, k.to(out.dtype), v.to(out.dtype))
    return out.to(x.dtype)


@checked
def hierarchical_fusion(
    q: Float[Tensor, "... n d"], memories: Sequence[tuple[Tensor, Tensor]], w: Float[Tensor, "e d"]
) -> Float[Tensor, "... n e"]:
    """Attend to each memory, then to what came back: c_m = attention(q, k_m, v_m), q to c_m W.

    o_i = sum_m b_im c_im with b_i = softmax_m(q_i . (c_im W) / sqrt(d)). Unlike flat fusion, a
    memory counts by what it holds for the query, not by how much its keys score in all. Time
    O(n (d + e) sum m), memory O(n max m + n e M) for M memories. Raises as `fuse_memories`.
    Source: Libovicky and Helcl 2017 (hierarchical), with dot products in place of additive scores.

    >>> short, long = torch.tensor([[0.0]]), torch.tensor([[3.0], [3.0]])
    >>> memories = [(torch.zeros(1, 2), short), (torch.zeros(2, 2), long)]
    >>> q, w = torch.zeros(1, 2), torch.zeros(1, 2)
    >>> hierarchical_fusion(q, memories, w).tolist()  # memories count alike
    [[1.5]]
    """
    _check_memories(memories)
    wide = accumulation_dtype(q.dtype)
    queries = q.to(wide)
    found = [attention(queries, k.to(wide), v.to(wide)) for k, v in memories]
    contexts = torch.stack(found, dim=-2)  # (..., n, M, e)
    out = attention(queries.unsqueeze(-2), contexts @ w.to(wide), contexts)
    return out.squeeze(-2).to(q.dtype)


@checked
def gated_fusion(
    x: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m d"],
    alpha: Float[Tensor, ""],
) -> Float[Tensor, "... n d"]:
    """A memory behind a gate: x + tanh(alpha) attention(x, k, v).

    With alpha = 0 the layer is the identity, so that a memory can be added to a trained model
    without changing what it computes; the gradient of alpha is not zero there. Time O(n m d),
    memory O(n m). Source: Alayrac et al. 2022, section 2.2.

    >>> x, k, v = torch.tensor([[1.0]]), torch.tensor([[1.0]]), torch.tensor([[10.0]])
    >>> [gated_fusion(x, k, v, torch.tensor(alpha)).item() for alpha in (0.0, 50.0)]
    [1.0, 11.0]
    """
    wide = accumulation_dtype(x.dtype)
    out = x.to(wide)
    gate = torch.tanh(alpha.to(wide))
    return (out + gate * attention(out, k.to(wide), v.to(wide))).to(x.dtype)


def _check_memories(memories: object) -> None:
    """Raise TypeError unless memories is a sequence of pairs of tensors, ValueError if empty."""
    if not isinstance(memories, Sequence):
        raise TypeError(
            f"memories must be a sequence of pairs (k, v): got {type(memories).__name__}"
        )
    if not memories:
        raise ValueError("memories must hold at least one pair (k, v): got none")
    for number, pair in enumerate(memories):
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise TypeError(
                f"memories must be a sequence of pairs (k, v)"
                f": got {type(pair).__name__} for number {number}"
            )


@checked
def _read(
    x: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"], v: Float[Tensor, "... m d"]
) -> Float[Tensor, "... n d"]:
    return attention(x, k, v)
