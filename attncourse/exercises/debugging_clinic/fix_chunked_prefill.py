r"""# Mend the second chunk

A long prompt is read in chunks. The queries of a chunk are the last of the tokens read so far, and
each sees the keys of all tokens up to itself. The answers are to be those of one causal pass,

$$\mathrm{out}_i = \sum_{j \le i} w_{ij}\, v_j , \qquad
w_{ij} = \frac{e^{q_i \cdot k_j / \sqrt d}}{\sum_{l \le i} e^{q_i \cdot k_l / \sqrt d}} .$$

With one chunk for the whole prompt this function is right, and so it was tested. Find out what the
second chunk sees, and mend it.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e). `chunk` is the number
  of tokens in a chunk; the last chunk may be shorter, and one chunk may hold more than all.
- No more scores are computed at once than those of one chunk against the n keys.
- The dtype and the order of the tokens are right already, and stay so.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, assert_that, attention_inputs, gradients, levels

difficulty, minutes = 2, 10
hints = (
    "Take six tokens and chunks of three. Print the mask of the second chunk: three rows, six "
    "columns. Which keys should its first row see?",
    "`tril()` begins its staircase at the first column. Its argument moves the staircase to the "
    "right. By how many columns, if so many tokens stood there before the chunk?",
)
forbidden = ("scaled_dot_product_attention",)


def attention_in_chunks(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """Causal attention, the queries a chunk at a time.

    >>> v = torch.tensor([[2.0], [4.0], [6.0]])
    >>> attention_in_chunks(torch.zeros(3, 2), torch.zeros(3, 2), v, chunk=2).tolist()
    [[2.0], [3.0], [4.0]]
    """
    n, d = q.shape[-2:]
    outputs = []
    for start in range(0, n, chunk):
        end = min(start + chunk, n)
        seen = torch.ones(end - start, end, dtype=torch.bool).tril(start)
        scores = q[..., start:end, :] @ k[..., :end, :].mT / math.sqrt(d)
        weights = scores.masked_fill(~seen, -math.inf).softmax(dim=-1)
        outputs.append(weights @ v[..., :end, :])
    return torch.cat(outputs, dim=-2)


solution = attention_in_chunks

SIZES = ((7, 7, 8, 6), (10, 10, 3, 5))  # n, n, d, e


def check_any_chunk_gives_the_same(student):
    """chunks of any size give causal attention: 1, 2, 3, one that n is no multiple of, all"""
    for sizes in SIZES:
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        expected = attention(q, k, v, mask=causal_mask(len(q), len(q)))
        for chunk in (1, 2, 3, 4, len(q), len(q) + 3):
            assert_same(student(q, k, v, chunk=chunk), expected)


def check_survives_scores_far_apart(student):
    """scores hundreds apart within a row neither overflow nor vanish"""
    q, k, v = attention_inputs(2, sizes=SIZES[0], std=20.0, seed=20)
    k = k + 10 * levels(7, 9.0, -9.0, 0.0)[:, None]
    assert_same(student(q, k, v, chunk=3), attention_in_chunks(q, k, v, chunk=3))


def check_takes_leading_axes(student):
    """works for any batch and head axes, and for those of length one; also in float32"""
    for lead, sizes in (((2, 3), SIZES[0]), ((1,), SIZES[1])):
        args = attention_inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(*args, chunk=4), attention_in_chunks(*args, chunk=4))
        single = [x.float() for x in args]
        assert_same(student(*single, chunk=4), attention_in_chunks(*single, chunk=4))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    args = attention_inputs(sizes=SIZES[0], seed=40)
    expected = gradients(attention_in_chunks, *args, chunk=3)
    assert_same(gradients(student, *args, chunk=3), expected, "the gradient")


def check_holds_the_scores_of_one_chunk(student):
    """no tensor is larger than the scores of one chunk, or than what was given"""
    args = attention_inputs(sizes=(64, 64, 3, 5), seed=50)
    assert_same(student(*args, chunk=8), attention_in_chunks(*args, chunk=8))
    most = largest_tensor(student, *args, chunk=8)
    assert_that(
        most <= 8 * 64,
        f"64 tokens in chunks of 8: a tensor has {most:,} elements, the scores of a chunk 512.",
    )


def wrong_aligned_to_the_first_key(q, k, v, *, chunk):
    """You let the staircase of each chunk begin at the first key, so that the second chunk sees the
    beginning of the prompt and not itself. Move it by the tokens that stood before the chunk.
    """
    parts = []
    for begin in range(0, q.shape[-2], chunk):
        stop = min(begin + chunk, q.shape[-2])
        stairs = torch.ones(stop - begin, stop, dtype=torch.bool).tril()
        scores = q[..., begin:stop, :] @ k[..., :stop, :].mT / math.sqrt(q.shape[-1])
        weights = torch.softmax(scores.masked_fill(~stairs, -math.inf), dim=-1)
        parts.append(weights @ v[..., :stop, :])
    return torch.cat(parts, dim=-2)


stub = wrong_aligned_to_the_first_key


def _in_chunks(q, k, v, chunk, moved):
    """Chunk by chunk; moved(start, end) columns to the right begins the staircase."""
    outputs = []
    for start in range(0, q.shape[-2], chunk):
        end = min(start + chunk, q.shape[-2])
        seen = torch.ones(end - start, end, dtype=torch.bool).tril(moved(start, end))
        part = q[..., start:end, :], k[..., :end, :], v[..., :end, :]
        outputs.append(attention(*part, mask=seen))
    return torch.cat(outputs, dim=-2)


def wrong_no_mask_within_a_chunk(q, k, v, *, chunk):
    """You left the mask out: the tokens of a chunk see those of it that come later. Keep the
    staircase, and move it by the tokens before the chunk.
    """
    return _in_chunks(q, k, v, chunk, lambda start, end: end)


def wrong_moved_by_one_too_many(q, k, v, *, chunk):
    """You moved the staircase one column too far: each token sees the next one. A token sees
    itself and those before it, so that its diagonal is the number of tokens before the chunk.
    """
    return _in_chunks(q, k, v, chunk, lambda start, end: start + 1)


def wrong_moved_by_a_whole_chunk(q, k, v, *, chunk):
    """You moved the staircase by all keys less one whole chunk. Where the last chunk is shorter
    it ends too early: subtract the queries that there are.
    """
    return _in_chunks(q, k, v, chunk, lambda start, end: end - chunk)


def wrong_own_chunk_only(q, k, v, *, chunk):
    """You let a chunk see itself and nothing before it: the staircase is right, and the prompt is
    cut into pieces that know nothing of each other. Keep the keys of the chunks before.
    """
    parts = zip(*(x.split(chunk, dim=-2) for x in (q, k, v)), strict=True)
    outputs = [
        attention(*part, mask=causal_mask(part[0].shape[-2], part[0].shape[-2])) for part in parts
    ]
    return torch.cat(outputs, dim=-2)


def wrong_all_at_once(q, k, v, *, chunk):
    """You computed all scores at once, n by n, and the result is right. The point of chunks is
    that so many scores are never held: go through the queries in chunks.
    """
    n = q.shape[-2]
    return attention(q, k, v, mask=causal_mask(n, n))


def right_by_comparing_positions(q, k, v, *, chunk):
    """a key is seen whose position is not larger than the query's"""
    places = torch.arange(q.shape[-2])
    outputs = []
    for mine in places.split(chunk):
        seen = places <= mine[:, None]
        outputs.append(attention(q[..., mine, :], k, v, mask=seen))
    return torch.cat(outputs, dim=-2)


def right_by_the_librarys_mask(q, k, v, *, chunk):
    """`causal_mask(n, m)` is aligned to the last key"""
    outputs, end = [], 0
    for part in q.split(chunk, dim=-2):
        n = part.shape[-2]
        end += n
        past = k[..., :end, :], v[..., :end, :]
        outputs.append(attention(part, *past, mask=causal_mask(n, end)))
    return torch.cat(outputs, dim=-2)
