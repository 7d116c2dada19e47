r"""# One query for all texts

A text of m states is to become one vector. The plain mean gives every word the same say. Here a
query q that is learned, the same for all texts, says which states count:

$$\mathrm{pool}(H, q) = \sum_j w_j \, h_j , \qquad
w = \mathrm{softmax}\!\left(\frac{H q}{\sqrt{d}}\right) .$$

- `states` is (..., m, d), `query` is (d); the result is (..., d), in the dtype of the states.
- `mask` is None or Boolean (..., m), True where a state is none of the padding. The others have the
  weight 0, and the weights of the rest sum to one.
- A text without any state gives zeros, with finite gradients.
"""

import math

import torch

from attncourse.models.reading import attention_pooling as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 2, 15
hints = (
    "`states @ query` has one score for each state. The states are keys and values at once.",
    "What is hidden gets the score `-torch.inf` before the softmax. A row of nothing else comes "
    "out as NaN: give it other scores, and its weights the factor 0 afterwards.",
)
forbidden = ("attention_pooling", "scaled_dot_product_attention", "MultiheadAttention")

SIZES = ((9, 5), (4, 7), (1, 6))  # m, d


def check_two_states_by_hand(student):
    """two states by hand: weights of a quarter and three quarters"""
    states = torch.zeros(2, 9, dtype=torch.float64)
    states[0, 1], states[1, 0], states[1, 2] = 8.0, 1.0, 4.0
    query = torch.zeros(9, dtype=torch.float64)
    query[0], query[5] = 3 * math.log(3), 5.0  # over the root of 9
    expected = torch.tensor([0.75, 2.0, 3.0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    assert_same(student(states, query), expected)


def check_equals_the_sum(student):
    """equals the sum, state by state, for texts of any sizes"""
    for seed, (m, d) in enumerate(SIZES):
        states, query = gaussian(m, d, seed=10 * seed), gaussian(d, seed=10 * seed + 1)
        assert_same(student(states, query), right_state_by_state(states, query))


def check_takes_leading_axes(student):
    """many texts at once, each with its own weights; no axis is lost"""
    for lead in ((), (1,), (3,), (2, 1)):
        states, query, mask = _padded(*lead, 6, 5, seed=20)
        assert_same(student(states, query), right_state_by_state(states, query))
        expected = right_state_by_state(states, query, mask=mask)
        assert_same(student(states, query, mask=mask), expected)


def check_padding_says_nothing(student):
    """what stands in the padding changes nothing, and the rest of the weights sum to one"""
    states, query, mask = _padded(3, 7, 6, seed=30)
    expected = right_state_by_state(states, query, mask=mask)
    for size in (0.0, 1000.0):
        other = torch.where(mask[..., None], states, size * query)
        assert_same(student(other, query, mask=mask), expected)


def check_a_text_without_words(student):
    """a text without any state gives zeros, and gradients stay finite"""
    states, query, mask = _padded(3, 5, 6, seed=40)
    mask[1] = False
    found = student(states, query, mask=mask)
    assert_same(found[1], torch.zeros(6, dtype=torch.float64), "the vector of a text without words")
    assert_same(found, right_state_by_state(states, query, mask=mask))
    slopes = gradients(student, states, query, mask=mask)
    assert_that(all(x.isfinite().all() for x in slopes), "a gradient is not finite.")


def check_scores_far_apart(student):
    """scores of some thousands, far apart"""
    query = gaussian(5, seed=50)
    states = gaussian(8, 5, seed=51) + levels(8, 900.0, -700.0, 899.0)[:, None] * query
    assert_same(student(states, query), right_state_by_state(states, query))


def check_has_the_right_gradient(student):
    """the gradients of states and query are right"""
    states, query, mask = _padded(2, 6, 5, seed=60)
    expected = gradients(right_state_by_state, states, query, mask=mask)
    assert_same(gradients(student, states, query, mask=mask), expected, "the gradient")


def check_keeps_the_dtype(student):
    """float32 states give a float32 vector"""
    states, query, mask = _padded(2, 6, 5, seed=70)
    args = states.float(), query.float()
    assert_same(student(*args, mask=mask), right_state_by_state(*args, mask=mask))


def _padded(*sizes, seed):
    """States (..., m, d), a query (d), and a mask that hides the last states of each text."""
    *lead, m, d = sizes
    states, query = gaussian(*lead, m, d, seed=seed), gaussian(d, seed=seed + 1)
    count = math.prod(lead)
    lengths = torch.tensor([m - 1 - i % (m - 1) for i in range(count)]).reshape(*lead, 1)
    return states, query, torch.arange(m) < lengths


def _pool(weights, states):
    return (weights[..., None, :] @ states).squeeze(-2)


def _real(states, mask):
    return torch.ones_like(states[..., 0], dtype=torch.bool) if mask is None else mask


def _weights(scores, mask):
    """Weights under the mask; zeros where nothing is left."""
    empty = ~mask.any(dim=-1, keepdim=True)
    hidden = scores.masked_fill(~mask & ~empty, -torch.inf)
    return torch.softmax(hidden, dim=-1) * ~empty


def wrong_plain_mean(states, query, *, mask=None):
    """You return the plain mean, whatever the query. Weigh each state by the softmax of its score
    with the query.
    """
    mask = _real(states, mask)
    count = mask.sum(dim=-1, keepdim=True).clamp(min=1)
    return _pool(mask.to(states.dtype) / count, states)


def wrong_not_scaled(states, query, *, mask=None):
    """You do not divide the scores. Divide them by the square root of d, the last axis."""
    return _pool(_weights(states @ query, _real(states, mask)), states)


def wrong_scale_by_d(states, query, *, mask=None):
    """You divide the scores by d. It is its square root."""
    return _pool(_weights(states @ query / states.shape[-1], _real(states, mask)), states)


def wrong_scale_by_m(states, query, *, mask=None):
    """You divide by the root of the number of states. It is the root of d, the width, and does not
    change with the length of the text.
    """
    scores = states @ query / math.sqrt(states.shape[-2])
    return _pool(_weights(scores, _real(states, mask)), states)


def wrong_padding_weighed(states, query, *, mask=None):
    """You take no notice of the mask, and the padding has its say. Hide it before the softmax."""
    return _pool(torch.softmax(_scores(states, query), dim=-1), states)


def wrong_scores_multiplied(states, query, *, mask=None):
    """You multiply the scores by the mask, and a score of 0 is a score like any other. What is
    hidden needs minus infinity.
    """
    scores = _scores(states, query) * _real(states, mask)
    return _pool(torch.softmax(scores, dim=-1), states)


def wrong_masked_afterwards(states, query, *, mask=None):
    """You hide the padding after the softmax, so that the weights of the rest no longer sum to one.
    Hide it before.
    """
    weights = torch.softmax(_scores(states, query), dim=-1) * _real(states, mask)
    return _pool(weights, states)


def wrong_empty_text_nan(states, query, *, mask=None):
    """You take the softmax of a row that is hidden altogether, which is NaN. A text without any
    state gives zeros.
    """
    hidden = _scores(states, query).masked_fill(~_real(states, mask), -torch.inf)
    return _pool(torch.softmax(hidden, dim=-1), states)


def wrong_large_number_for_infinity(states, query, *, mask=None):
    """You hide with a large negative number. In a text where all is hidden it is the same for all,
    and the padding is averaged: give such a text zeros.
    """
    hidden = _scores(states, query).masked_fill(~_real(states, mask), -1e9)
    return _pool(torch.softmax(hidden, dim=-1), states)


def wrong_best_state_alone(states, query, *, mask=None):
    """You return the state that fits best and nothing of the others. Then the query learns nothing:
    take the mean under the weights.
    """
    mask = _real(states, mask)
    scores = _scores(states, query).masked_fill(~mask, -torch.inf)
    best = torch.nn.functional.one_hot(scores.argmax(dim=-1), states.shape[-2])
    return _pool(best * mask.to(states.dtype), states)


def wrong_no_largest_subtracted(states, query, *, mask=None):
    """You take exp of the scores as they are, and large ones overflow. Subtract the largest score
    of the text first, or use `torch.softmax`.
    """
    exponentials = _scores(states, query).exp() * _real(states, mask)
    total = exponentials.sum(dim=-1, keepdim=True)
    return _pool(exponentials / total.masked_fill(total == 0, 1.0), states)


def wrong_cosine(states, query, *, mask=None):
    """You score by the angle. The lengths of states and query count as well: the score is their
    product over the root of d.
    """
    scores = torch.nn.functional.cosine_similarity(states, query, dim=-1)
    return _pool(_weights(scores, _real(states, mask)), states)


def _scores(states, query):
    return states @ query / math.sqrt(states.shape[-1])


def right_by_softmax(states, query, *, mask=None):
    """minus infinity before the softmax, and zeros where nothing is left"""
    scores = states @ query / math.sqrt(states.shape[-1])
    if mask is None:
        return (torch.softmax(scores, dim=-1)[..., None, :] @ states).squeeze(-2)
    empty = ~mask.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~mask & ~empty, -torch.inf)
    weights = torch.softmax(scores, dim=-1) * ~empty
    return (weights[..., None, :] @ states).squeeze(-2)


def right_state_by_state(states, query, *, mask=None):
    """a loop over the states, the largest score subtracted"""
    columns = [(state * query).sum(-1) / len(query) ** 0.5 for state in states.unbind(-2)]
    scores = torch.stack(columns, dim=-1)
    real = torch.ones_like(scores) if mask is None else mask.to(scores.dtype)
    largest = scores.detach().masked_fill(
        real == 0, -1e300 if scores.dtype == torch.float64 else -1e38
    )
    largest = largest.amax(dim=-1)
    total, found = torch.zeros_like(largest), torch.zeros_like(states[..., 0, :])
    for j, state in enumerate(states.unbind(-2)):
        gap = torch.where(real[..., j] > 0, scores[..., j] - largest, torch.zeros_like(largest))
        share = gap.exp() * real[..., j]
        total, found = total + share, found + share[..., None] * state
    return found / total.masked_fill(total == 0, 1.0)[..., None]


def right_by_einsum(states, query, *, mask=None):
    """einsum, and weights from logsumexp"""
    scores = torch.einsum("...md,d->...m", states, query / states.shape[-1] ** 0.5)
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    some = mask.any(dim=-1, keepdim=True)
    scores = torch.where(
        some, scores.masked_fill(~mask & some, -torch.inf), torch.zeros_like(scores)
    )
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.einsum("...m,...md->...d", weights * mask, states)


shown = right_by_softmax
