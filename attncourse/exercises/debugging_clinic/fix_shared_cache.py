r"""# Mend the candidates

A search looks at c candidates for **one** place, the next one. All go on from the same cache. Each
candidate sees the t cached tokens and itself; the others were not written. This function puts each
into the cache and attends. The first candidate is judged rightly, the others depend on who came
before them. Find out what they have read, and mend it:

$$\mathrm{out}_i = \frac{\sum_{j < t} e^{s_{ij}}\, V_j + e^{s_{i}}\, v_i}
{\sum_{j < t} e^{s_{ij}} + e^{s_i}} , \qquad
s_{ij} = \frac{q_i \cdot K_j}{\sqrt d}, \quad s_i = \frac{q_i \cdot k_i}{\sqrt d} .$$

- `cache` is a pair (keys, values) of t tokens, (..., t, d) and (..., t, e); t may be 0. `q` and `k`
  are (..., c, d), `v` is (..., c, e), one row for each candidate.
- The result is (..., c, e), in the dtype of `v`. The given cache is not changed.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Give two candidates, then the same two in the other order. How many keys does the second one "
    "see in each call?",
    "What is appended for a candidate has to be gone before the next. Either begin from the given "
    "cache each time, or leave the cache alone and add one score for the candidate itself.",
)
forbidden = ("scaled_dot_product_attention",)


def attend_candidates(
    cache: tuple[Tensor, Tensor],
    q: Float[Tensor, "... c d"],
    k: Float[Tensor, "... c d"],
    v: Float[Tensor, "... c e"],
) -> Float[Tensor, "... c e"]:
    """Attention of each candidate for one place over the cached tokens and itself.

    >>> nothing = torch.zeros(0, 2), torch.zeros(0, 1)
    >>> q, v = torch.zeros(2, 2), torch.tensor([[1.0], [3.0]])
    >>> attend_candidates(nothing, q, q, v).tolist()  # no cache: each sees itself alone
    [[1.0], [3.0]]
    """
    past_keys, past_values = cache
    own = (q * k).sum(dim=-1, keepdim=True)
    scores = torch.cat([q @ past_keys.mT, own], dim=-1) / math.sqrt(q.shape[-1])
    shares = torch.softmax(scores, dim=-1)
    return shares[..., :-1] @ past_values + shares[..., -1:] * v


solution = attend_candidates

SIZES = ((7, 3, 8, 6), (4, 5, 3, 7))  # t, c, d, e


def check_each_is_judged_alone(student):
    """each candidate is judged as if it were the only one"""
    for sizes in SIZES:
        cache, q, k, v = _inputs(sizes=sizes, seed=10)
        alone = [
            attend_candidates(cache, *(x[i : i + 1] for x in (q, k, v))) for i in range(len(q))
        ]
        assert_same(student(cache, q, k, v), torch.cat(alone))


def check_the_order_does_not_matter(student):
    """the same candidates in another order are judged the same"""
    for sizes in SIZES:
        cache, q, k, v = _inputs(sizes=sizes, seed=20)
        expected = attend_candidates(cache, q, k, v).flip(0)
        assert_same(student(cache, q.flip(0), k.flip(0), v.flip(0)), expected)


def check_an_empty_cache_gives_the_values(student):
    """with an empty cache each candidate sees itself alone"""
    cache, q, k, v = _inputs(sizes=(0, 4, 8, 6), seed=30)
    assert_same(student(cache, q, k, v), v)


def check_takes_leading_axes(student):
    """works for batch and head axes, and for those of length one; also in float32"""
    for lead, sizes in (((2, 3), SIZES[0]), ((1,), SIZES[1])):
        cache, *rest = _inputs(*lead, sizes=sizes, seed=40)
        assert_same(student(cache, *rest), attend_candidates(cache, *rest))
        single = tuple(x.float() for x in cache), *(x.float() for x in rest)
        assert_same(student(*single), attend_candidates(*single))


def check_survives_scores_far_apart(student):
    """a candidate whose own score lies thousands above or below the cached ones"""
    cache, q, k, v = _inputs(sizes=SIZES[0], seed=50)
    for factor in (300.0, -300.0):
        args = cache, q, factor * q + k, v
        assert_same(student(*args), attend_candidates(*args))


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of the cache are right"""
    args = _inputs(sizes=SIZES[0], seed=60)
    expected = gradients(attend_candidates, *args)
    assert_same(gradients(student, *args), expected, "the gradient")


def wrong_candidates_left_in_the_cache(cache, q, k, v):
    """You leave each candidate in the keys and values that the next one reads: it sees words that
    were never written. Begin from the given cache for each.
    """
    keys, values = cache
    answers = []
    for i in range(q.shape[-2]):
        one = slice(i, i + 1)
        keys = torch.cat([keys, k[..., one, :]], dim=-2)
        values = torch.cat([values, v[..., one, :]], dim=-2)
        scores = q[..., one, :] @ keys.mT / math.sqrt(q.shape[-1])
        answers.append(scores.softmax(dim=-1) @ values)
    return torch.cat(answers, dim=-2)


stub = wrong_candidates_left_in_the_cache


def wrong_all_see_all(cache, q, k, v):
    """You append all candidates and let each see all of them. They are alternatives for one place,
    of which at most one is written: each sees the cache and itself.
    """
    return attention(q, *(torch.cat(pair, dim=-2) for pair in zip(cache, (k, v), strict=True)))


def wrong_candidate_does_not_see_itself(cache, q, k, v):
    """You attend to the cache alone. A token sees itself as well: add its own key and value to
    those of the cache.
    """
    return attention(q, *cache) if cache[0].shape[-2] else torch.zeros_like(v)


def wrong_first_candidate_for_all(cache, q, k, v):
    """You append the first candidate and let all queries see it. Each has its own key and value:
    the second candidate sees the second.
    """
    first = [torch.cat([x, y[..., :1, :]], dim=-2) for x, y in zip(cache, (k, v), strict=True)]
    return attention(q, *first)


def wrong_last_removed_only(cache, q, k, v):
    """You take the value of a candidate out again and leave its key. What a later query finds by
    that key is then another's value: take out both.
    """
    keys, values = cache
    outputs = []
    for i in range(q.shape[-2]):
        one = slice(i, i + 1)
        keys = torch.cat([keys, k[..., one, :]], dim=-2)
        own = v[..., one, :].expand(*v.shape[:-2], i + 1, v.shape[-1])
        outputs.append(attention(q[..., one, :], keys, torch.cat([values, own], dim=-2)))
    return torch.cat(outputs, dim=-2)


def right_from_the_given_cache_each_time(cache, q, k, v):
    """each candidate appended to the cache that was given"""
    outputs = []
    for one in range(q.shape[-2]):
        mine = [x[..., one : one + 1, :] for x in (q, k, v)]
        grown = (torch.cat(pair, dim=-2) for pair in zip(cache, mine[1:], strict=True))
        outputs.append(attention(mine[0], *grown))
    return torch.cat(outputs, dim=-2)


def right_by_a_mask(cache, q, k, v):
    """all candidates behind the cache, and a mask that lets each see itself"""
    t, c = cache[0].shape[-2], q.shape[-2]
    seen = torch.cat([torch.ones(c, t, dtype=torch.bool), torch.eye(c, dtype=torch.bool)], dim=-1)
    grown = (torch.cat(pair, dim=-2) for pair in zip(cache, (k, v), strict=True))
    return attention(q, *grown, mask=seen)


def _inputs(*lead, sizes, seed):
    t, c, d, e = sizes
    cache = gaussian(*lead, t, d, seed=seed), gaussian(*lead, t, e, seed=seed + 1)
    q, k = gaussian(*lead, c, d, seed=seed + 2), gaussian(*lead, c, d, seed=seed + 3)
    return cache, q, k, gaussian(*lead, c, e, seed=seed + 4)
