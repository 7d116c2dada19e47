r"""# Attention, and its weights

The question that most interviews begin with: write attention, and give the weights back as well.

$$W = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right), \qquad
\mathrm{output} = W V .$$

- `query` is (..., n, d), `keys` (..., m, d), `values` (..., m, e); the result is the pair
  `(output, weights)`, (..., n, e) and (..., n, m), in the dtype of the inputs.
- `mask`, if given, is Boolean and broadcasts to (..., n, m): True means *may attend*. A masked pair
  has the weight 0, and each row of the weights sums to one.
- So a row of the mask without a True cannot be answered: ValueError. (Elsewhere in this course it
  gives zeros; here who asks wants weights that sum to one.)
- TypeError for data that is no floating-point tensor, and for a mask that is not Boolean.
  ValueError where keys and queries differ in width, or keys and values in number.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import attention
from attncourse.measure.small_models import refusal
from attncourse.mechanisms.dense.whiteboard import attention_with_weights as solution
from attncourse.testing import (
    OTHER_SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    random_mask,
)

difficulty, minutes = 2, 20
hints = (
    "Say the shapes aloud before you write: scores, weights, output. Over which axis do the "
    "weights sum to one, and what is the width whose root divides?",
    "Fill the scores with -inf where the mask is False, before the softmax. What are the weights"
    " of a row that has nothing else? Look for that row first: `mask.any(dim=-1)`.",
)
forbidden = ("attention_with_weights", *attention.forbidden)


def check_gives_output_and_weights(student):
    """equals the formula without a mask, for two sets of sizes"""
    for args in (attention_inputs(seed=10), attention_inputs(sizes=OTHER_SIZES, seed=11)):
        _assert_pair(student(*args), _by_definition(*args))


def check_obeys_the_mask(student):
    """a masked pair has the weight zero, whatever its score; rows sum to one"""
    for sizes, seed in (((5, 37, 8, 6), 20), (OTHER_SIZES, 21)):
        args = attention_inputs(sizes=sizes, seed=seed)
        mask = random_mask(*sizes[:2], seed=seed)
        _assert_pair(student(*args, mask), _by_definition(*args, mask))
    q, k, v = attention_inputs(seed=25)
    padding = random_mask(1, 37, seed=25)
    q[:, 0], k[:, 0] = 10.0, 1e6 * ~padding[0] - 1e3  # what is masked fits best by far
    _assert_pair(student(q, k, v, padding), _by_definition(q, k, v, padding))
    q, k, v = attention_inputs(seed=26)
    mask = random_mask(5, 37, seed=26)
    q[:, 0], k[36, 0], mask[:, 36] = q[:, 0].abs(), -math.inf, False  # scores of -inf, all masked
    mask[:, 0] = True
    _assert_pair(student(q, k, v, mask), _by_definition(q, k, v, mask))


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor lose the mask"""
    args = attention_inputs(std=60.0, seed=30)
    _assert_pair(student(*args), _by_definition(*args))
    mask = random_mask(5, 37, seed=31)
    _assert_pair(student(*args, mask), _by_definition(*args, mask))


def check_takes_leading_axes(student):
    """works for any batch and head axes, and for those of length one"""
    for lead, sizes in (((2, 3), (5, 37, 8, 6)), ((1,), OTHER_SIZES), ((4, 1), (3, 7, 6, 5))):
        args = attention_inputs(*lead, sizes=sizes, seed=40)
        mask = random_mask(*sizes[:2], seed=41)
        for each in (None, mask, mask[:1].expand(*lead, 1, -1)):
            _assert_pair(student(*args, each), _by_definition(*args, each))


def check_has_the_right_gradient(student):
    """the gradients of queries, keys and values are right, through output and weights"""
    for sizes, mask in (((5, 37, 8, 6), None), (OTHER_SIZES, random_mask(11, 9, seed=51))):
        args = attention_inputs(sizes=sizes, seed=50)
        given = args if mask is None else (*args, mask)
        ours, theirs = gradients(student, *given), gradients(_by_definition, *given)
        for name, a, b in zip(("query", "keys", "values"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give a float32 output and float32 weights"""
    args = attention_inputs(sizes=OTHER_SIZES, std=1.0, seed=60)
    exact = tuple(x.float() for x in _by_definition(*args))
    _assert_pair(student(*(x.float() for x in args)), exact)


def check_refuses_an_empty_row(student):
    """an error for a query that may attend to nothing, wherever its row is"""
    q, k, v = attention_inputs(seed=70)
    mask = random_mask(5, 37, seed=70)
    _assert_pair(student(q, k, v, mask), _by_definition(q, k, v, mask))
    for row in (0, 4):
        empty = random_mask(5, 37, empty_row=row, seed=71)
        _assert_refused(student, (q, k, v, empty), "ValueError", f"row {row} of the mask, empty,")
    nothing = torch.zeros(1, 37, dtype=torch.bool)
    _assert_refused(student, (q, k, v, nothing), "ValueError", "a mask of False alone")


def check_refuses_what_does_not_fit(student):
    """errors for numbers of the wrong kind, and for sizes that do not fit"""
    q, k, v = attention_inputs(sizes=(3, 7, 6, 5), seed=80)
    _assert_pair(student(q, k, v), _by_definition(q, k, v))
    whole = tuple(x.long() for x in (q, k, v))
    for args, kind, what in (
        (whole, "TypeError", "integers"),
        ((q.tolist(), k, v), "TypeError", "a list for the query"),
        ((q, k, v, random_mask(3, 7).double()), "TypeError", "a mask of numbers"),
        ((q, k[:, :-1], v), "ValueError", "keys of another width"),
        ((q, k, v[:-1]), "ValueError", "6 values for 7 keys"),
    ):
        _assert_refused(student, args, kind, what)


def _assert_refused(student, args, kind, what):
    found = refusal(student, *args)
    assert_that(found == kind, f"{what} must raise {kind}: got {found or 'no error'}.")


def _assert_pair(actual, expected):
    whole = isinstance(actual, tuple) and len(actual) == 2
    assert_that(whole, "the result must be a pair: the output and the weights.")
    assert_same(actual[1], expected[1], "the weights")
    assert_same(actual[0], expected[0], "the output")


def _checked(query, keys, values, mask=None):
    """The errors that the statement names."""
    for x in (query, keys, values):
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            raise TypeError("query, keys and values are floating-point tensors")
    if query.shape[-1] != keys.shape[-1] or keys.shape[-2] != values.shape[-2]:
        raise ValueError("query and keys share d, keys and values share m")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError("mask is Boolean")
    if mask is not None and not mask.any(dim=-1).all():
        raise ValueError("every row of mask has a True")


def _scores(query, keys):
    return query @ keys.mT / math.sqrt(query.shape[-1])


def _by_definition(query, keys, values, mask=None):
    scores = _scores(query, keys)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    return weights @ values, weights


def _asked_for_both(attention):
    """An attention that gives the output, asked for the weights too: those of the unit vectors."""

    def attention_with_weights(query, keys, values, mask=None):
        _checked(query, keys, values, mask)
        if mask is not None:
            return _by_definition(query, keys, values, mask)
        m = keys.shape[-2]
        each = torch.eye(m, dtype=values.dtype).expand(*keys.shape[:-2], m, m)
        return attention(query, keys, values), attention(query, keys, each)

    return attention_with_weights


def _masked(query, keys, values, mask, fill):
    """Attention whose masked scores are what `fill` makes of scores and mask."""
    _checked(query, keys, values, mask)
    scores = _scores(query, keys)
    weights = (scores if mask is None else fill(scores, mask)).softmax(dim=-1)
    return weights @ values, weights


def wrong_masked_scores_near_zero(query, keys, values, mask=None):
    """You left masked scores at zero or near it, by multiplying with the mask or by filling with
    1e-9. A score of 0 is not a weight of 0: exp(0) is 1. Fill with -inf.
    """
    return _masked(query, keys, values, mask, lambda s, m: s.masked_fill(~m, 0.0))


def wrong_filled_with_minus_one(query, keys, values, mask=None):
    """You filled with -1, and a masked key keeps a third of what a score of 0 has. Nothing less
    than -inf will do.
    """
    return _masked(query, keys, values, mask, lambda s, m: s.masked_fill(~m, -1.0))


def wrong_mask_turned_round(query, keys, values, mask=None):
    """You hide what is True. Here, as in PyTorch's scaled_dot_product_attention, True means *may
    attend*; `nn.MultiheadAttention` has it the other way.
    """
    return _masked(query, keys, values, mask, lambda s, m: s.masked_fill(m, -math.inf))


def wrong_mask_ignored(query, keys, values, mask=None):
    """You look at the mask for its errors and then leave it: masked keys have weights. Fill their
    scores with -inf.
    """
    return _masked(query, keys, values, mask, lambda s, m: s)


def wrong_masked_after_the_softmax(query, keys, values, mask=None):
    """You set weights to 0 after the softmax, and the others do not get what they lose: rows sum to
    less than one. Mask the scores, or divide by the sum again.
    """
    _checked(query, keys, values, mask)
    weights = _scores(query, keys).softmax(dim=-1)
    weights = weights if mask is None else weights * mask
    return weights @ values, weights


def wrong_zeros_for_an_empty_row(query, keys, values, mask=None):
    """You give zeros for a row that may attend to nothing. Its weights do not sum to one: here
    that is an error, ValueError.
    """
    seen = None if mask is None else mask.any(dim=-1, keepdim=True)
    _checked(query, keys, values, None if mask is None else mask | ~seen)
    out, weights = _by_definition(query, keys, values, None if mask is None else mask | ~seen)
    return (out, weights) if mask is None else (out * seen, weights * seen)


def wrong_nan_for_an_empty_row(query, keys, values, mask=None):
    """You let a row without a True through, and it is NaN from there to the end of the model. Look
    for it before you compute, and raise ValueError.
    """
    _checked(query, keys, values, None if mask is None else mask | ~mask)
    return _by_definition(query, keys, values, mask)


def wrong_errors_left_to_pytorch(query, keys, values, mask=None):
    """You check the mask and leave the rest to PyTorch, which raises RuntimeError, or
    AttributeError for a list. What the statement promises you have to check: TypeError,
    ValueError.
    """
    if mask is not None and not mask.any(dim=-1).all():
        raise ValueError("every row of mask has a True")
    return _by_definition(query, keys, values, mask)


def wrong_softmax_over_the_queries(query, keys, values, mask=None):
    """Your weights sum to one over the queries: each key hands out one unit. They have to sum to
    one for each query, along the last axis.
    """
    _checked(query, keys, values, mask)
    scores = _scores(query, keys)
    scores = scores if mask is None else scores.masked_fill(~mask, -1e300)
    weights = scores.softmax(dim=-2)
    return weights @ values, weights


def wrong_softmax_over_axis_one(query, keys, values, mask=None):
    """You wrote `softmax(dim=1)`, which is the last axis of two and the queries' of three. Count
    from the end: `dim=-1`.
    """
    _checked(query, keys, values, mask)
    scores = _scores(query, keys)
    scores = scores if mask is None else scores.masked_fill(~mask, -1e300)
    weights = scores.softmax(dim=1)
    return weights @ values, weights


def wrong_scores_over_their_sum(query, keys, values, mask=None):
    """You divided the scores by their sum. That gives negative weights, and may divide by zero:
    take the exponentials first.
    """
    _checked(query, keys, values, mask)
    scores = _scores(query, keys)
    scores = scores if mask is None else scores * mask
    weights = scores / scores.sum(dim=-1, keepdim=True)
    return weights @ values, weights


def wrong_exp_without_the_maximum(query, keys, values, mask=None):
    """You took the exponentials as they are, and from a score of 710 on they are infinite. Subtract
    the largest score of the row first, or call softmax.
    """
    _checked(query, keys, values, mask)
    raised = _scores(query, keys).exp()
    raised = raised if mask is None else raised * mask
    weights = raised / raised.sum(dim=-1, keepdim=True)
    return weights @ values, weights


def wrong_weights_first(query, keys, values, mask=None):
    """You return the weights first. The pair is (output, weights): exchange the two."""
    _checked(query, keys, values, mask)
    return _by_definition(query, keys, values, mask)[::-1]


borrowed = (
    Borrow(
        attention,
        _asked_for_both,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scale_by_sqrt_n",
            "wrong_scaled_after_softmax",
            "wrong_softmax_over_the_matrix",
            "wrong_raw_scores_as_weights",
            "wrong_argmax",
            "wrong_scores_times_softmax",
            "wrong_cosine",
            "wrong_uniform_average",
            "wrong_keys_ignored",
        ),
    ),
)


def right_by_masked_fill(query, keys, values, mask=None):
    """errors, scores, -inf, softmax, and the mean"""
    for x in (query, keys, values):
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            raise TypeError("query, keys and values must be floating-point tensors")
    if query.shape[-1] != keys.shape[-1]:
        raise ValueError("query and keys must share their width d")
    if keys.shape[-2] != values.shape[-2]:
        raise ValueError("there must be a value for each key")
    scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError("mask must be Boolean")
        if not mask.any(dim=-1).all():
            raise ValueError("every row of mask must have a True")
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1)
    return weights @ values, weights


def right_by_logsumexp(query, keys, values, mask=None):
    """exponentials of the scores less their logsumexp"""
    _checked(query, keys, values, mask)
    scores = torch.einsum("...nd,...md->...nm", query, keys) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(-math.inf, dtype=scores.dtype))
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.einsum("...nm,...me->...ne", weights, values), weights


def right_by_dividing_last(query, keys, values, mask=None):
    """exponentials from the row's maximum, divided by their sum at the end"""
    _checked(query, keys, values, mask)
    scores = _scores(query, keys)
    seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    scores = scores.masked_fill(~seen, -math.inf)
    raised = (scores - scores.detach().amax(dim=-1, keepdim=True)).exp()
    total = raised.sum(dim=-1, keepdim=True)
    return raised @ values / total, raised / total


shown = right_by_masked_fill
