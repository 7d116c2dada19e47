r"""# Linear attention in chunks

A query sees itself and what came before:

$$o_i = \frac{\sum_{j \le i} \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}
{\sum_{j \le i} \phi(q_i) \cdot \phi(k_j)}, \qquad \phi(x) = \mathrm{elu}(x) + 1 .$$

Take `chunk` tokens at a time. What came before the chunk is a state, two sums; inside the chunk
weigh each query against each key, as ordinary attention does.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e) in the dtype of `v`,
  and its gradient is right. `chunk` is at least 1 and may be larger than n; the last chunk may be
  short. The result does not depend on `chunk`, and there is no scale.
- At twice the length it takes twice the FLOPs, and its largest tensor is twice as large. No tensor
  holds a state for every token.
- It takes a few operators for each chunk, not for each token.

Your `elu_feature_map` is of use.
"""

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.linear import linear_attention
from attncourse.measure.cost import flops, largest_tensor, operators
from attncourse.mechanisms.linear.linear_transformer import causal_linear_attention as solution
from attncourse.mechanisms.linear.linear_transformer import (
    causal_linear_attention_by_definition as by_definition,
)
from attncourse.mechanisms.linear.linear_transformer import elu_feature_map
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 40
hints = (
    "Write it first with `chunk` of n: all weights, `tril`, times the values, over the sum of each "
    "row. Then with `chunk` of 1: your step in a loop. A chunk is both at once.",
    "An output's two sums have two parts each: weights inside the chunk, `tril`, and phi(q) with "
    "the state from *before* the chunk. Add the chunk to the state after that, and divide once.",
)
forbidden = (
    *("causal_linear_attention", "linear_attention_segment", "causal_kernel_attention"),
    *("linear_attention", "kernel_attention", "scaled_dot_product_attention"),
)

SIZES = ((13, 8, 6), (10, 3, 7))  # n, d, e


def check_equals_the_mean_over_the_past(student):
    """any chunk gives the mean over the past: one token, a short last chunk, one chunk for all"""
    for sizes, chunks in ((SIZES[0], (4, 1, 13, 64)), (SIZES[1], (5, 3, 64))):
        q, k, v = _inputs(sizes=sizes, seed=10)
        for chunk in chunks:
            assert_same(student(q, k, v, chunk=chunk), by_definition(q, k, v, chunk=chunk))


def check_past_does_not_see_the_future(student):
    """other tokens at the end leave the outputs before them as they are"""
    q, k, v = _inputs(sizes=(13, 8, 6), seed=20)
    other_k, other_v = k.clone(), v.clone()
    other_k[7:], other_v[7:] = gaussian(6, 8, seed=25), gaussian(6, 6, seed=26)
    for chunk in (5, 4, 64):
        before = by_definition(q, k, v, chunk=chunk)[:7]
        assert_same(student(q, other_k, other_v, chunk=chunk)[:7], before, "the first 7 outputs")


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one token"""
    one = (1, 3, 7)
    for lead, sizes in (((2, 3), (9, 5, 3)), ((1,), (9, 5, 3)), ((4, 1), one), ((2, 3), one)):
        q, k, v = _inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(q, k, v, chunk=4), by_definition(q, k, v, chunk=4))


def check_weighs_small_features(student):
    """tokens far below zero, and a large spread within a row, are weighed right"""
    for std, shift in ((2.0, -12.0), (2.0, -30.0), (100.0, 0.0)):
        q, k, v = _inputs(sizes=(13, 8, 6), std=std, seed=40)
        q, k = q + shift, k + shift
        assert_same(student(q, k, v, chunk=4), by_definition(q, k, v, chunk=4))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    for sizes, chunk in zip(SIZES, (4, 3), strict=True):
        q, k, v = _inputs(sizes=sizes, seed=50)
        expected = gradients(by_definition, q, k, v, chunk=chunk)
        found = gradients(student, q, k, v, chunk=chunk)
        for name, a, b in zip("qkv", found, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in _inputs(sizes=(13, 8, 6), std=1.0, seed=60))
    exact = by_definition(q.double(), k.double(), v.double(), chunk=4)
    assert_same(student(q, k, v, chunk=4), exact.float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs and largest tensor, and no state for each token"""
    found = []
    for n in (20, 40):
        q, k, v = _inputs(sizes=(n, 8, 6), seed=70)
        assert_same(student(q, k, v, chunk=10), by_definition(q, k, v, chunk=10))
        work = flops(student, q, k, v, chunk=10)
        found.append((work, largest_tensor(student, q, k, v, chunk=10)))
    (work, most), (more_work, more) = found
    assert_that(
        more_work <= 2.5 * work,
        f"20 tokens take {work:,} FLOPs, 40 take {more_work:,}: some product grows with the "
        "square of the length.",
    )
    assert_that(
        more <= 2.5 * most and more < 40 * 8 * 6 // 2,
        f"at 20 tokens your largest tensor holds {most:,} numbers, at 40 it holds {more:,}: "
        "something is as large as n times n, or as a state for every token.",
    )


def check_works_chunk_by_chunk(student):
    """16 tokens in chunks of 8 take fewer operators than in chunks of 1"""
    q, k, v = _inputs(sizes=(16, 8, 6), seed=80)
    assert_same(student(q, k, v, chunk=8), by_definition(q, k, v, chunk=8))
    few, many = (operators(student, q, k, v, chunk=chunk) for chunk in (8, 1))
    assert_that(
        few <= 200 and few <= many,
        f"16 tokens in two chunks take {few} operators, and {many} in chunks of one: you go token "
        "by token whatever the chunk.",
    )


def _inputs(*lead, sizes, std=2.0, seed):
    n, d, e = sizes
    q, k = gaussian(*lead, n, d, std=std, seed=seed), gaussian(*lead, n, d, std=std, seed=seed + 1)
    return q, k, gaussian(*lead, n, e, std=std, seed=seed + 2)


def _phi(x):
    return x.clamp(max=0).exp() + x.clamp(min=0)


def _chunks(q, k, v, chunk):
    """Features of queries and keys, and the values, of one chunk after another."""
    phi_q, phi_k = _phi(q), _phi(k)
    for i in range(0, q.shape[-2], chunk):
        here = slice(i, i + chunk)
        yield phi_q[..., here, :], phi_k[..., here, :], v[..., here, :]


def _nothing(q, v):
    """The two sums before the first token: S (..., d, e) and z (..., 1, d)."""
    return torch.zeros_like(q[..., 0, :, None] * v[..., 0, None, :]), torch.zeros_like(
        q[..., :1, :]
    )


def wrong_future_inside_the_chunk(q, k, v, *, chunk):
    """You let the queries of a chunk see all its keys, the later ones too: right with chunks of one
    token and never else. Inside the chunk hide the future, `tril`.
    """
    outs = []
    s, z = _nothing(q, v)
    for phi_q, phi_k, values in _chunks(q, k, v, chunk):
        s = s + phi_k.mT @ values
        z = z + phi_k.sum(dim=-2, keepdim=True)
        outs.append((phi_q @ s) / (phi_q @ z.mT))
    return torch.cat(outs, dim=-2)


def wrong_past_forgotten(q, k, v, *, chunk):
    """You compute each chunk by itself, so that a query sees nothing from before its chunk. Carry
    the two sums from chunk to chunk and read from them, too.
    """
    outs = []
    for phi_q, phi_k, values in _chunks(q, k, v, chunk):
        weights = (phi_q @ phi_k.mT).tril()
        outs.append(weights @ values / weights.sum(dim=-1, keepdim=True))
    return torch.cat(outs, dim=-2)


def wrong_chunk_not_seen(q, k, v, *, chunk):
    """You read from the state alone, and what is in the query's own chunk is not in it yet. Weigh
    the keys inside the chunk, too.
    """
    outs = []
    s, z = _nothing(q, v)
    for phi_q, phi_k, values in _chunks(q, k, v, chunk):
        outs.append((phi_q @ s) / (phi_q @ z.mT))
        s = s + phi_k.mT @ values
        z = z + phi_k.sum(dim=-2, keepdim=True)
    return torch.cat(outs, dim=-2)


def _in_chunks(q, k, v, chunk, *, diagonal=0, after=False, sums=True, values_too=True, keep=1.0):
    """The chunked form, with what a mistake does otherwise."""
    outs = []
    s, z = _nothing(q, v)
    for phi_q, phi_k, values in _chunks(q, k, v, chunk):
        weights = (phi_q @ phi_k.mT).tril(diagonal)
        more_s, more_z = phi_k.mT @ values, phi_k.sum(dim=-2, keepdim=True)
        if after:
            s, z = s + more_s, z + more_z
        total = weights.sum(dim=-1, keepdim=True) + (phi_q @ z.mT if sums else 0)
        outs.append((weights @ values + (phi_q @ s if values_too else 0)) / total)
        if not after:
            s, z = keep * s + more_s, keep * z + more_z
    return torch.cat(outs, dim=-2)


def wrong_chunk_counted_twice(q, k, v, *, chunk):
    """You add the chunk to the state before you read it, so that its keys count twice, and later
    ones are seen. Read first, then add the chunk.
    """
    return _in_chunks(q, k, v, chunk, after=True)


def wrong_own_token_hidden(q, k, v, *, chunk):
    """You hide a query's own key inside the chunk. It sees itself and what came before: the
    diagonal stays.
    """
    return _in_chunks(q, k, v, chunk, diagonal=-1)


def wrong_one_key_too_many(q, k, v, *, chunk):
    """You let a query see one key of the future inside its chunk. The diagonal is the last that it
    sees: `tril()`, without a shift.
    """
    return _in_chunks(q, k, v, chunk, diagonal=1)


def wrong_divided_by_the_chunk_alone(q, k, v, *, chunk):
    """You add what the state gives to the output, but divide by the weights inside the chunk alone.
    The sum of the weights has two parts as well: add phi(q) . z.
    """
    return _in_chunks(q, k, v, chunk, sums=False)


def wrong_last_chunk_only_in_the_state(q, k, v, *, chunk):
    """Your state holds the chunk before and nothing older: it is made anew each time. Add to it."""
    return _in_chunks(q, k, v, chunk, keep=0.0)


def wrong_two_means_averaged(q, k, v, *, chunk):
    """You averaged two means, that of the chunk and that of the past, as if both had the same
    weight. Add the sums of both, above and below, and divide once.
    """
    outs = []
    s, z = _nothing(q, v)
    for i, (phi_q, phi_k, values) in enumerate(_chunks(q, k, v, chunk)):
        weights = (phi_q @ phi_k.mT).tril()
        mine = weights @ values / weights.sum(dim=-1, keepdim=True)
        outs.append((mine + (phi_q @ s) / (phi_q @ z.mT)) / 2 if i else mine)
        s, z = s + phi_k.mT @ values, z + phi_k.sum(dim=-2, keepdim=True)
    return torch.cat(outs, dim=-2)


def wrong_short_chunk_left_out(q, k, v, *, chunk):
    """You left out the last tokens where they do not fill a chunk. Count the chunks upwards,
    `range(0, n, chunk)`: a slice that reaches too far is cut.
    """
    n = q.shape[-2]
    whole = max(n // chunk * chunk, min(n, chunk))
    out = _in_chunks(q[..., :whole, :], k[..., :whole, :], v[..., :whole, :], chunk)
    return torch.cat([out, torch.zeros_like(v[..., whole:, :])], dim=-2)


def wrong_all_weights(q, k, v, *, chunk):
    """Your values are right, but you compute all n times n weights, whatever the chunk. Keep what
    came before the chunk as two sums.
    """
    weights = (_phi(q) @ _phi(k).mT).tril()
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def wrong_state_for_every_token(q, k, v, *, chunk):
    """Your values are right, but you hold a (d, e) state for every token at once, `cumsum` over
    their products. Go chunk by chunk and keep one state.
    """
    phi_q, phi_k = _phi(q), _phi(k)
    states = (phi_k[..., None] * v[..., None, :]).cumsum(dim=-3)
    total = (phi_q * phi_k.cumsum(dim=-2)).sum(dim=-1, keepdim=True)
    return (phi_q[..., None, :] @ states).squeeze(-2) / total


def wrong_token_by_token(q, k, v, *, chunk):
    """Your values are right, but you go token by token, and so does whoever waits for it: the chunk
    is there to take many at once. Weigh inside the chunk with one product.
    """
    return _in_chunks(q, k, v, 1)


def wrong_past_read_again_for_every_chunk(q, k, v, *, chunk):
    """Your values are right, but each chunk multiplies all keys before it anew, and the work grows
    with the square of the length. Keep their sum from chunk to chunk.
    """
    outs = []
    phi_k = _phi(k)
    for i in range(0, q.shape[-2], chunk):
        phi_q = _phi(q[..., i : i + chunk, :])
        weights = phi_q @ phi_k[..., : i + chunk, :].mT
        weights = weights.tril(i)
        outs.append(weights @ v[..., : i + chunk, :] / weights.sum(dim=-1, keepdim=True))
    return torch.cat(outs, dim=-2)


def wrong_causal_ignored(q, k, v, *, chunk):
    """You let every query see every key. Causal means itself and what came before: keep a state of
    the past alone.
    """
    phi_q, phi_k = _phi(q), _phi(k)
    return (phi_q @ (phi_k.mT @ v)) / (phi_q @ phi_k.sum(dim=-2, keepdim=True).mT)


def wrong_future_instead_of_the_past(q, k, v, *, chunk):
    """You let each query see itself and what comes after it. Keep the lower triangle, `tril`, in
    which the key is not later than the query.
    """
    weights = (_phi(q) @ _phi(k).mT).triu()
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def wrong_state_detached(q, k, v, *, chunk):
    """Your values are right, but you cut the state off from the gradient: keys and values learn
    nothing from later chunks. Leave out `detach`.
    """
    outs = []
    s, z = _nothing(q, v)
    for phi_q, phi_k, values in _chunks(q, k, v, chunk):
        weights = (phi_q @ phi_k.mT).tril()
        total = weights.sum(dim=-1, keepdim=True) + phi_q @ z.mT
        outs.append((weights @ values + phi_q @ s) / total)
        s = (s + phi_k.mT @ values).detach()
        z = (z + phi_k.sum(dim=-2, keepdim=True)).detach()
    return torch.cat(outs, dim=-2)


def _for_each_token(answer):
    """An answer to `linear_attention`, asked for each token and its past."""

    def causal_linear_attention(q, k, v, *, chunk):
        pasts = range(1, q.shape[-2] + 1)
        outs = [answer(q[..., i - 1 : i, :], k[..., :i, :], v[..., :i, :]) for i in pasts]
        return torch.cat(outs, dim=-2)

    return causal_linear_attention


borrowed = (
    Borrow(
        linear_attention,
        _for_each_token,
        (
            "wrong_softmax",
            "wrong_no_features",
            "wrong_not_divided",
            "wrong_divided_by_the_number_of_keys",
            "wrong_a_little_added",
            "wrong_features_of_the_keys_alone",
            "wrong_features_of_the_queries_alone",
            "wrong_scaled",
            "wrong_elu_without_the_one",
            "wrong_small_features_lose_digits",
            "wrong_softmax_features",
            "wrong_float64_returned",
        ),
    ),
)


def right_by_a_state_and_a_triangle(q, k, v, *, chunk):
    """two sums for the past, a triangle of weights inside the chunk"""
    outs = []
    s = torch.zeros_like(k[..., 0, :, None] * v[..., 0, None, :])
    z = torch.zeros_like(k[..., :1, :])
    for i in range(0, q.shape[-2], chunk):
        queries = elu_feature_map(q[..., i : i + chunk, :])
        keys = elu_feature_map(k[..., i : i + chunk, :])
        values = v[..., i : i + chunk, :]
        weights = (queries @ keys.mT).tril()
        total = weights.sum(dim=-1, keepdim=True) + queries @ z.mT
        outs.append((weights @ values + queries @ s) / total)
        s = s + keys.mT @ values
        z = z + keys.sum(dim=-2, keepdim=True)
    return torch.cat(outs, dim=-2)


def right_by_a_column_of_ones(q, k, v, *, chunk):
    """a column of ones behind the values, so that one sum is both"""
    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    state, outs = 0, []
    for phi_q, phi_k, values in _chunks(q, k, ones, chunk):
        sums = (phi_q @ phi_k.mT).tril() @ values + (phi_q @ state if outs else 0)
        outs.append(sums[..., :-1] / sums[..., -1:])
        state = state + phi_k.mT @ values
    return torch.cat(outs, dim=-2)


def right_by_summed_chunks(q, k, v, *, chunk):
    """the sums of all chunks first, added up, then all chunks at once"""
    n = q.shape[-2]
    chunk = min(chunk, n)
    missing = -n % chunk
    phi_q, phi_k = (torch.nn.functional.pad(_phi(x), (0, 0, 0, missing)) for x in (q, k))
    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    values = torch.nn.functional.pad(ones, (0, 0, 0, missing))
    phi_q, phi_k, values = (x.unflatten(-2, (-1, chunk)) for x in (phi_q, phi_k, values))
    each = phi_k.mT @ values
    before = each.cumsum(dim=-3) - each
    sums = ((phi_q @ phi_k.mT).tril() @ values + phi_q @ before).flatten(-3, -2)[..., :n, :]
    return sums[..., :-1] / sums[..., -1:]


shown = right_by_a_state_and_a_triangle
