r"""# One token more

A model that writes has the keys and values of the tokens so far in a cache. A new token comes with
its query, its key and its value. Put key and value behind those that are kept, then attend:

$$K' = \begin{pmatrix} K \\ k \end{pmatrix}, \quad V' = \begin{pmatrix} V \\ v \end{pmatrix}, \qquad
\mathrm{out} = \mathrm{softmax}\!\left(\frac{q\, K'^\top}{\sqrt d}\right) V' .$$

- `cache` is a pair (keys, values) of t tokens, (..., t, d) and (..., t, e); t may be 0. `q` and `k`
  are (..., 1, d), `v` is (..., 1, e): one token, n = 1.
- The result is the pair `(out, cache)`: the output (..., 1, e), and a cache of t + 1 tokens, the
  new one last. All have the dtype of the inputs, and gradients go through the cache, too.
- A token sees itself and every token before it.
- The cache that was given is not changed: two answers may go on from it.
"""

import math

import torch

from attncourse.mechanisms.serving.decoding import decode_step as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "How many keys does the new token see if 3 are cached? With an empty cache it sees one, "
    "itself, so the output has to be its own value.",
    "`torch.cat` along the axis of tokens, the second to last, makes new tensors. No mask is "
    "needed: the cache holds no token of the future.",
)
forbidden = (
    "decode_step",
    "decode_step_by_definition",
    "grouped_decode_step",
    "cached_attention",
)

SIZES = ((7, 8, 6), (4, 3, 5))  # t, d, e


def check_one_token_on_top_of_a_cache(student):
    """the output and the grown cache, the new token last"""
    for sizes in SIZES:
        args = _inputs(sizes=sizes, seed=10)
        _assert_step(student(*args), right_by_concatenation(*args))


def check_first_token_gives_its_value(student):
    """with an empty cache the output is the token's own value"""
    for _, d, e in SIZES:
        args = _inputs(sizes=(0, d, e), seed=20)
        _assert_step(student(*args), right_by_concatenation(*args))


def check_steps_give_causal_attention(student):
    """seven tokens one after the other give the rows of causal attention"""
    for _, d, e in SIZES:
        q, k, v = gaussian(7, d, seed=30), gaussian(7, d, seed=31), gaussian(7, e, seed=32)
        scores = (q @ k.mT / math.sqrt(d)).masked_fill(~torch.ones(7, 7).tril().bool(), -math.inf)
        expected = scores.softmax(dim=-1) @ v
        cache = k[:0], v[:0]
        for i in range(7):
            out, cache = student(cache, q[i : i + 1], k[i : i + 1], v[i : i + 1])
            assert_same(out, expected[i : i + 1], f"output {i}")


def check_two_answers_go_on_from_one_cache(student):
    """two answers can go on from the cache that was given"""
    cache, *_ = _inputs(seed=40)
    kept = tuple(x.clone() for x in cache)
    for seed in (41, 45):
        _, *token = _inputs(seed=seed)
        _assert_step(student(cache, *token), right_by_concatenation(kept, *token))
        assert_same(tuple(cache), kept, "the cache that was given")


def check_takes_leading_axes(student):
    """works for any batch and head axes, and for those of length one"""
    for lead in ((2,), (1,), (4, 1), (2, 3)):
        args = _inputs(*lead, sizes=(5, 3, 6), seed=50)
        _assert_step(student(*args), right_by_concatenation(*args))


def check_survives_large_scores(student):
    """scores thousands above and below zero neither overflow nor vanish"""
    (keys, values), q, k, v = _inputs(seed=60)
    for large in (1e3, -1e3):
        shifted = keys + large * q / q.square().sum(), values
        args = shifted, q * math.sqrt(8), k + large * q / q.square().sum(), v
        _assert_step(student(*args), right_by_concatenation(*args))


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of the cache are right"""
    for sizes in SIZES:
        args = _inputs(sizes=sizes, seed=70)
        expected = gradients(right_by_concatenation, *args)
        found = gradients(student, *args)
        names = ("the cached keys", "the cached values", "q", "k", "v")
        for name, a, b in zip(names, found, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give a float32 output and a float32 cache"""
    (keys, values), *token = _inputs(seed=80)
    single = (keys.float(), values.float()), *(x.float() for x in token)
    _assert_step(student(*single), right_by_concatenation(*single))


def _inputs(*lead, sizes=SIZES[0], seed):
    """A cache of t tokens, then q, k and v of one more."""
    t, d, e = sizes
    cache = gaussian(*lead, t, d, seed=seed), gaussian(*lead, t, e, seed=seed + 1)
    token = (gaussian(*lead, 1, width, seed=seed + 2 + i) for i, width in enumerate((d, d, e)))
    return cache, *token


def _assert_step(actual, expected):
    whole = isinstance(actual, tuple) and len(actual) == 2
    assert_that(whole, "the result must be a pair: the output and the cache.")
    out, cache = actual
    held = isinstance(cache, tuple | list) and len(cache) == 2
    assert_that(held, "the cache must be a pair again: keys and values.")
    assert_same(out, expected[0], "the output")
    for name, a, b in zip(("keys", "values"), cache, expected[1], strict=True):
        assert_same(a, b, f"the cache's tensor of {name}")


def _grown(cache, k, v):
    return torch.cat([cache[0], k], dim=-2), torch.cat([cache[1], v], dim=-2)


def _attend(q, keys, values):
    return (q @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1) @ values


def wrong_own_token_hidden(cache, q, k, v):
    """You attend to the cache as it was and put the token in afterwards, so that it does not see
    itself. Put it in first: the text stays fluent without it, and is another one.
    """
    out = _attend(q, *cache) if cache[0].shape[-2] else v
    return out, _grown(cache, k, v)


def wrong_old_cache_returned(cache, q, k, v):
    """You return the cache that you were given, so that no later token sees this one. Return the
    one with the new key and value in it.
    """
    return _attend(q, *_grown(cache, k, v)), cache


def wrong_only_the_new_token_kept(cache, q, k, v):
    """You return the new key and value alone, and the past is forgotten. The new cache holds all
    t + 1 tokens.
    """
    return _attend(q, *_grown(cache, k, v)), (k, v)


def wrong_only_the_new_token_seen(cache, q, k, v):
    """You attend to the new token alone, and one key has all the weight. The query is new, the keys
    are those of the cache and its own.
    """
    return _attend(q, k, v), _grown(cache, k, v)


def wrong_token_in_front(cache, q, k, v):
    """You put the new token before the others. The output does not feel it, whoever cuts the cache
    later does: tokens stand in the order of the text, the new one last.
    """
    keys, values = torch.cat([k, cache[0]], dim=-2), torch.cat([v, cache[1]], dim=-2)
    return _attend(q, keys, values), (keys, values)


def wrong_second_axis(cache, q, k, v):
    """You join along axis 1, which is that of tokens for three axes only. Count from the end: the
    axis of tokens is -2, whatever stands before it.
    """
    keys, values = torch.cat([cache[0], k], dim=1), torch.cat([cache[1], v], dim=1)
    return _attend(q, keys, values), (keys, values)


def wrong_causal_from_the_top(cache, q, k, v):
    """You asked for `is_causal`, whose triangle begins at the top left: one query then sees the
    first key and no other. Leave it away, since the cache holds no future.
    """
    grown = _grown(cache, k, v)
    out = torch.nn.functional.scaled_dot_product_attention(q, *grown, is_causal=True)
    return out, grown


def wrong_not_scaled(cache, q, k, v):
    """You did not divide by the root of d. The scores are those of attention: q . k / sqrt(d)."""
    keys, values = _grown(cache, k, v)
    return (q @ keys.mT).softmax(dim=-1) @ values, (keys, values)


def wrong_scaled_by_the_length(cache, q, k, v):
    """You divide by the root of the number of tokens, which changes with each step. Divide by that
    of the width d.
    """
    keys, values = _grown(cache, k, v)
    return (q @ keys.mT / math.sqrt(keys.shape[-2])).softmax(dim=-1) @ values, (keys, values)


def wrong_scaled_keys_kept(cache, q, k, v):
    """You put the key away divided by sqrt(d), and the next step divides it again. Keep it as it
    came, and scale the scores.
    """
    keys, values = _grown(cache, k, v)
    return _attend(q, keys, values), (torch.cat([cache[0], k / k.shape[-1] ** 0.5], -2), values)


def wrong_cache_scaled_in_place(cache, q, k, v):
    """You divide the keys of the given cache in place. The output is right, and the next answer
    that goes on from that cache is not: make a new tensor, or scale the query.
    """
    keys, values = cache
    keys /= math.sqrt(q.shape[-1])
    keys = torch.cat([keys, k / math.sqrt(q.shape[-1])], dim=-2)
    values = torch.cat([values, v], dim=-2)
    return (q @ keys.mT).softmax(dim=-1) @ values, (keys * math.sqrt(q.shape[-1]), values)


def wrong_no_maximum_subtracted(cache, q, k, v):
    """You took the exponentials as they are, and from a score of 710 on they are infinite. Subtract
    the largest first, or call softmax.
    """
    keys, values = _grown(cache, k, v)
    raised = (q @ keys.mT / math.sqrt(q.shape[-1])).exp()
    return raised / raised.sum(dim=-1, keepdim=True) @ values, (keys, values)


def wrong_cache_first(cache, q, k, v):
    """You return the cache first. The result is the pair (out, cache), the output first: exchange
    the two.
    """
    grown = _grown(cache, k, v)
    return grown, _attend(q, *grown)


def wrong_detached(cache, q, k, v):
    """Your values are right, but you cut the cache off from autograd. Leave `detach` to who only
    writes: here gradients go back to the cached tokens.
    """
    past = tuple(x.detach() for x in cache)
    return _attend(q, *_grown(past, k, v)), _grown(past, k, v)


def right_by_concatenation(cache, q, k, v):
    """the cache with one row more, then attention of one query"""
    keys, values = cache
    keys = torch.cat([keys, k], dim=-2)
    values = torch.cat([values, v], dim=-2)
    scores = q @ keys.mT / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=-1) @ values, (keys, values)


def right_by_pytorch(cache, q, k, v):
    """PyTorch's fused attention, without a mask"""
    grown = _grown(cache, k, v)
    return torch.nn.functional.scaled_dot_product_attention(q, *grown), grown


def right_by_merging(cache, q, k, v):
    """cache and token as two parts, merged by their logsumexps"""
    scale = math.sqrt(q.shape[-1])
    past, own = q @ cache[0].mT / scale, (q * k).sum(dim=-1, keepdim=True) / scale
    lse = torch.cat([past, own], dim=-1).logsumexp(dim=-1, keepdim=True)
    return (past - lse).exp() @ cache[1] + (own - lse).exp() * v, _grown(cache, k, v)


shown = right_by_concatenation
