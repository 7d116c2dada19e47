r"""# Attention in blocks

Cut the text into blocks of `block` neighbours, and let each query attend to its own block alone:

$$Z_i = \sum_{j \in B(i)} w_{ij} \, v_j, \qquad
w_{ij} = \frac{e^{s_{ij}}}{\sum_{l \in B(i)} e^{s_{il}}}, \qquad
s_{ij} = \frac{q_i \cdot k_j}{\sqrt d},$$

where B(i) are the positions j with
$\lfloor j / \mathrm{block} \rfloor = \lfloor i / \mathrm{block} \rfloor$.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e) in the dtype of `v`,
  and its gradient is right. Not causal.
- `block` is at least 1, and may be larger than n. The last block is short where `block` does not
  divide n.
- Pairs of different blocks are not computed at all: at twice the length it is twice the FLOPs, and
  the largest tensor is twice as large. PyTorch's own attention may serve inside a block.
"""

import math

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.patterns.block_local import block_attention as solution
from attncourse.mechanisms.patterns.block_local import (
    block_attention_by_definition as by_definition,
)
from attncourse.testing import assert_same, assert_that, attention_inputs, gradients, levels

difficulty, minutes = 3, 25
hints = (
    "A block is a small attention of its own: slice queries, keys and values from i to i + block, "
    "attend, and put the outputs one after the other.",
    "`range(0, n, block)` counts the blocks, and a slice that reaches over the end is cut, so that "
    "a short last block needs no care. Without a loop the blocks are one more axis, `unflatten`.",
)


def check_equals_the_masked_attention(student):
    """each query attends to its own block, and to nothing else"""
    for n, d, e, block in ((12, 8, 6, 4), (15, 3, 7, 5)):
        q, k, v = _inputs(n, d, e, seed=10)
        assert_same(student(q, k, v, block=block), by_definition(q, k, v, block=block))


def check_takes_a_short_last_block(student):
    """the last block may be short, down to one position"""
    for n, d, e, block in ((14, 8, 6, 4), (13, 3, 7, 5), (9, 5, 2, 8), (7, 3, 7, 5)):
        q, k, v = _inputs(n, d, e, seed=20)
        assert_same(student(q, k, v, block=block), by_definition(q, k, v, block=block))


def check_takes_any_block(student):
    """blocks of one give the values back, a block larger than the text is plain attention"""
    q, k, v = _inputs(7, 8, 6, seed=30)
    assert_same(student(q, k, v, block=1), v)
    for block in (7, 8, 100):
        assert_same(student(q, k, v, block=block), by_definition(q, k, v, block=block))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one token"""
    for lead, n, d, e in (((2, 3), 11, 5, 3), ((1,), 4, 3, 7), ((4, 1), 1, 5, 3)):
        q, k, v = _inputs(n, d, e, *lead, seed=40)
        assert_same(student(q, k, v, block=4), by_definition(q, k, v, block=4))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, with scores far apart too"""
    for n, heights in ((12, (0.0,)), (14, (0.0, -900.0, 700.0))):
        q, k, v = _inputs(n, 8, 6, seed=50)
        q[:, 0], k[:, 0] = 10.0, levels(n, *heights) * math.sqrt(8) / 10.0
        ours = gradients(student, q, k, v, block=5)
        theirs = gradients(by_definition, q, k, v, block=5)
        for name, a, b in zip("qkv", ours, theirs, strict=True):
            assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in _inputs(10, 8, 6, std=1.0, seed=60))
    exact = by_definition(q.double(), k.double(), v.double(), block=4)
    assert_same(student(q, k, v, block=4), exact.float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large"""
    work, held = [], []
    for n in (70, 140):
        q, k, v = _inputs(n, 8, 6, seed=70)
        assert_same(student(q, k, v, block=7), by_definition(q, k, v, block=7))
        work.append(flops(student, q, k, v, block=7))
        held.append(largest_tensor(student, q, k, v, block=7))
    assert_that(
        work[1] <= 2.5 * work[0],
        f"at 70 positions you take {work[0]} FLOPs, at 140 you take {work[1]}: pairs of different "
        "blocks are computed, if only to be thrown away.",
    )
    assert_that(
        held[1] <= 2.5 * held[0] and held[1] < 140 * 140 // 2,
        f"at 70 positions your largest tensor holds {held[0]} numbers, at 140 it holds {held[1]}: "
        "something is as large as n times n.",
    )


def _inputs(n, d, e, *lead, std=2.0, seed):
    return attention_inputs(*lead, sizes=(n, n, d, e), std=std, seed=seed)


def _blocks(n, block):
    return [slice(i, min(i + block, n)) for i in range(0, n, block)]


def _attend(q, k, v, *, scale=None):
    scale = math.sqrt(q.shape[-1]) if scale is None else scale
    return (q @ k.mT / scale).softmax(dim=-1) @ v


def _each(q, k, v, block, attend=_attend):
    parts = _blocks(q.shape[-2], block)
    return torch.cat([attend(*(x[..., part, :] for x in (q, k, v))) for part in parts], dim=-2)


def wrong_a_mask_over_everything(q, k, v, *, block):
    """Your result is right, but you compute all n times n scores and hide most of them. A mask
    saves nothing: slice the blocks first, and compute only inside.
    """
    number = torch.arange(q.shape[-2]) // block
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill(number != number[:, None], -math.inf).softmax(dim=-1) @ v


def wrong_all_keys(q, k, v, *, block):
    """You cut the queries into blocks, and let each block see all keys. Keys and values are cut at
    the same places.
    """
    return _attend(q, k, v)


def wrong_short_block_left_out(q, k, v, *, block):
    """Your last block, where it is short, gives zeros: you computed the whole blocks alone. Its
    queries attend to each other too.
    """
    n = q.shape[-2]
    whole = n // block * block
    if whole == 0:
        return torch.zeros_like(v)
    out = _each(q[..., :whole, :], k[..., :whole, :], v[..., :whole, :], block)
    return torch.cat([out, torch.zeros_like(v[..., whole:, :])], dim=-2)


def wrong_filling_is_seen(q, k, v, *, block):
    """You filled the last block up with zeros, and its queries see them: a score of 0 takes weight.
    Hide the filling, or let the last block be short.
    """
    missing = -q.shape[-2] % block
    q_, k_, v_ = (torch.nn.functional.pad(x, (0, 0, 0, missing)) for x in (q, k, v))
    return _each(q_, k_, v_, block)[..., : q.shape[-2], :]


def wrong_last_block_moved_back(q, k, v, *, block):
    """Where the last block is short you let its queries see the last `block` keys, some of which
    are of the block before. A block has borders, also where it is short.
    """
    n = q.shape[-2]
    outs = []
    for part in _blocks(n, block):
        start = max(0, min(part.start, n - block))
        outs.append(
            _attend(q[..., part, :], k[..., start : part.stop, :], v[..., start : part.stop, :])
        )
    return torch.cat(outs, dim=-2)


def wrong_number_of_blocks(q, k, v, *, block):
    """You took `block` for the number of blocks. It is the length of each: a text of n has
    ceil(n / block) of them.
    """
    return _each(q, k, v, max(1, -(-q.shape[-2] // block)))


def wrong_every_nth(q, k, v, *, block):
    """Your blocks take every so many-th position, and not neighbours: the axes of `reshape` are in
    the other order. First comes the number of the block, then the place in it.
    """
    count = max(1, -(-q.shape[-2] // block))
    order = torch.cat([torch.arange(start, q.shape[-2], count) for start in range(count)])
    outs = [_attend(*(x[..., start::count, :] for x in (q, k, v))) for start in range(count)]
    return torch.cat(outs, dim=-2)[..., order.argsort(), :]


def wrong_block_before_too(q, k, v, *, block):
    """You let each block see the one before it as well. That is another pattern: here nothing
    crosses a border.
    """
    outs = []
    for part in _blocks(q.shape[-2], block):
        seen = slice(max(0, part.start - block), part.stop)
        outs.append(_attend(q[..., part, :], k[..., seen, :], v[..., seen, :]))
    return torch.cat(outs, dim=-2)


def wrong_causal(q, k, v, *, block):
    """You hide later keys. Inside its block a query sees both sides: nothing was said of a causal
    mask.
    """

    def attend(q, k, v):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        return scores.masked_fill(later, -math.inf).softmax(dim=-1) @ v

    return _each(q, k, v, block, attend)


def wrong_not_scaled(q, k, v, *, block):
    """You did not scale the scores. Divide them by the square root of d, as everywhere."""
    return _each(q, k, v, block, lambda q, k, v: _attend(q, k, v, scale=1.0))


def wrong_scaled_by_the_block(q, k, v, *, block):
    """You divided the scores by the square root of the block. It is the width of the queries that
    counts, d.
    """
    return _each(q, k, v, block, lambda q, k, v: _attend(q, k, v, scale=math.sqrt(k.shape[-2])))


def right_by_a_loop(q, k, v, *, block):
    """one block after the other"""
    n, d = q.shape[-2:]
    outputs = []
    for start in range(0, n, block):
        queries, keys, values = (x[..., start : start + block, :] for x in (q, k, v))
        weights = (queries @ keys.mT / math.sqrt(d)).softmax(dim=-1)
        outputs.append(weights @ values)
    return torch.cat(outputs, dim=-2)


def right_by_one_more_axis(q, k, v, *, block):
    """whole blocks as one more axis, the short one apart"""
    n = q.shape[-2]
    whole = n // block * block
    parts = []
    if whole:
        cut = [x[..., :whole, :].unflatten(-2, (-1, block)) for x in (q, k, v)]
        parts.append(_attend(*cut).flatten(-3, -2))
    if whole < n:
        parts.append(_attend(*(x[..., whole:, :] for x in (q, k, v))))
    return torch.cat(parts, dim=-2)


def right_with_hidden_filling(q, k, v, *, block):
    """filled up with zeros, which are hidden"""
    n = q.shape[-2]
    missing = -n % block
    cut = [
        torch.nn.functional.pad(x, (0, 0, 0, missing)).unflatten(-2, (-1, block)) for x in (q, k, v)
    ]
    real = (torch.arange(n + missing) < n).unflatten(0, (-1, block))[:, None]
    scores = cut[0] @ cut[1].mT / math.sqrt(q.shape[-1])
    return (scores.masked_fill(~real, -math.inf).softmax(dim=-1) @ cut[2]).flatten(-3, -2)[
        ..., :n, :
    ]


shown = right_by_a_loop
