"""Self- and cross-attention, and multi-head attention."""

from functools import partial

from attncourse.mechanisms.dense import heads, self_attention
from attncourse.testing import gaussian
from rows import Mechanism
from rows.softmax import plain_attention

N, M, D, E = 5, 37, 8, 6


def projected(*lead, std=2.0, seed=0):
    """x, memory and the weights of one head."""
    x, memory = gaussian(*lead, N, 9, std=std, seed=seed), gaussian(*lead, M, 4, seed=seed + 1)
    shapes = (9, D), (4, D), (4, E)
    weights = (gaussian(*shape, std=0.5, seed=seed + 2 + i) for i, shape in enumerate(shapes))
    return x, memory, *weights


def plain_cross(x, memory, w_q, w_k, w_v):
    return plain_attention(x @ w_q, memory @ w_k, memory @ w_v)


def of_heads(*lead, std=2.0, seed=0):
    """x, memory and the weights of two heads of width 8, values of width 6."""
    x, memory = gaussian(*lead, N, 9, std=std, seed=seed), gaussian(*lead, M, 4, seed=seed + 1)
    shapes = (9, 2 * D), (4, 2 * D), (4, 2 * E), (2 * E, 7)
    weights = (gaussian(*shape, std=0.5, seed=seed + 2 + i) for i, shape in enumerate(shapes))
    return x, memory, *weights


def plain_heads(x, memory, w_q, w_k, w_v, w_o):
    q, k, v = (
        y.unflatten(-1, (2, -1)).transpose(-3, -2) for y in (x @ w_q, memory @ w_k, memory @ w_v)
    )
    return plain_attention(q, k, v).transpose(-3, -2).flatten(-2) @ w_o


MECHANISMS = {
    "cross_attention": Mechanism(self_attention.cross_attention, plain_cross, projected),
    "multi_head_attention": Mechanism(
        partial(heads.multi_head_attention, h=2),
        plain_heads,
        of_heads,
    ),
}
OPTIONS = {heads.split_heads: {"h": 2}}
ELSEWHERE = {heads.merge_heads, self_attention.self_attention}
