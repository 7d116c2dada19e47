r"""# Mend two masks that meet

A batch of prompts is filled up on the left, and its model is causal. So two masks meet: no token
sees a later one, and none sees a filling. This function adds both to the scores, each with the
lowest number that the dtype has. In float32 the model's words are right. In float16 they are NaN,
of all tokens, from the second layer on. Find the rows that nobody reads, and mend them:

$$w_{ij} = \begin{cases} \dfrac{e^{s_{ij}}}{\sum_{l \in S_i} e^{s_{il}}} & j \in S_i \\
0 & \text{elsewhere} \end{cases} , \qquad
S_i = \{\, j \le i : \mathrm{keep}_j \,\} .$$

- `scores` is (..., n, n), finite; `keep` is (..., n), Boolean, True where a token is a prompt's
  own. The result has the shape and the dtype of `scores`.
- A row with nothing to see, such as that of a filling on the left, is zeros, in the value and in
  the gradient.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.mechanisms.dense.softmax import masked_softmax
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 3, 15
hints = (
    "Two fillings and two words: print the row of the first filling. What is the lowest number, "
    "plus itself? And what is it plus a score, in a dtype that ends at 65,504?",
    "Make one Boolean mask of the two, then hide once, with minus infinity. What remains are rows "
    "without a True: what should the softmax get there, so that nothing is NaN?",
)


def causal_padded_weights(
    scores: Float[Tensor, "... n n"], keep: Bool[Tensor, "... n"]
) -> Float[Tensor, "... n n"]:
    """The weights of tokens that see no later one and no filling; zeros where there is no other.

    >>> causal_padded_weights(torch.zeros(3, 3), torch.tensor([False, True, True])).tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]
    """
    n = scores.shape[-1]
    seen = torch.ones(n, n, dtype=torch.bool).tril() & keep[..., None, :]
    empty = ~seen.any(dim=-1, keepdim=True)
    hidden = scores.masked_fill(~seen & ~empty, -math.inf)
    return hidden.softmax(dim=-1).masked_fill(empty, 0.0)


solution = causal_padded_weights


def check_words_see_words(student):
    """words see the words before them, wherever the fillings stand"""
    for n, gaps in ((7, (0, 1)), (5, (2,)), (6, (1, 4, 5))):
        scores, keep = _inputs(n=n, gaps=gaps, seed=10)
        words = student(scores, keep)[keep]
        assert_same(words, causal_padded_weights(scores, keep)[keep], "the rows of the words")


def check_fillings_on_the_left_see_nothing(student):
    """rows with nothing to see are zeros"""
    for n, gaps in ((7, (0, 1)), (5, (0, 1, 2)), (6, range(6))):
        scores, keep = _inputs(n=n, gaps=gaps, seed=20)
        assert_same(student(scores, keep), causal_padded_weights(scores, keep))


def check_works_in_float16(student):
    """in float16, with scores of -20 and of 30, all is finite and about right"""
    for height in (-20.0, 30.0):
        scores, keep = _inputs(n=7, gaps=(0, 1), seed=30)
        found = student((scores + height).half(), keep)
        assert_that(found.isfinite().all(), f"float16 scores around {height:.0f}: it is NaN.")
        error = found.double() - causal_padded_weights(scores, keep)
        assert_that(error.abs().max() < 0.02, "in float16 the weights must be about the same.")


def check_survives_scores_far_apart(student):
    """scores thousands apart, the hidden ones above the others"""
    scores, keep = _inputs(n=7, gaps=(0, 1, 4), seed=40)
    scores = scores + 1000 * levels(7, 9.0, -9.0, 0.0)
    assert_same(student(scores, keep), causal_padded_weights(scores, keep))


def check_takes_leading_axes(student):
    """works for a batch whose rows are filled up differently, for one row or token, in float32"""
    scores, keep = gaussian(2, 5, 5, seed=50), torch.ones(2, 5, dtype=torch.bool)
    keep[0, :2] = False
    one_token = scores[:, :1, :1], keep[:, :1]
    for given in ((scores, keep), (scores[:1].float(), keep[:1]), one_token):
        assert_same(student(*given), causal_padded_weights(*given))


def check_has_the_right_gradient(student):
    """the gradient is right, and zero in rows with nothing to see"""
    scores, keep = _inputs(n=7, gaps=(0, 1), seed=60)
    expected = gradients(causal_padded_weights, scores, keep)
    assert_same(gradients(student, scores, keep), expected, "the gradient")


def wrong_lowest_number_added_twice(scores, keep):
    """You add the lowest number for either reason, and for both it is minus infinity. A row that
    sees nothing has a softmax of nothing but those: make one mask, hide once, give such rows zeros.
    """
    n, lowest = scores.shape[-1], torch.finfo(scores.dtype).min
    later = torch.ones(n, n, dtype=torch.bool).triu(1)
    causal = torch.zeros_like(scores).masked_fill(later, lowest)
    padding = torch.zeros_like(scores).masked_fill(~keep[..., None, :], lowest)
    return (scores + causal + padding).softmax(dim=-1)


stub = wrong_lowest_number_added_twice


def _seen(scores, keep):
    n = scores.shape[-1]
    return torch.ones(n, n, dtype=torch.bool).tril() & keep[..., None, :]


def wrong_filled_with_the_lowest_number(scores, keep):
    """You make one mask and fill in the lowest number once. Nothing is NaN any more, and a row
    with nothing to see sees all alike, fillings and future: give such rows zeros.
    """
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~_seen(scores, keep), lowest).softmax(dim=-1)


def wrong_sum_cut_off_at_the_lowest_number(scores, keep):
    """You cut the sum of both off at the lowest number, so that nothing is infinite. A row with
    nothing to see sees all alike, fillings and future: give such rows zeros.
    """
    lowest = torch.finfo(scores.dtype).min
    n = scores.shape[-1]
    later = torch.ones(n, n, dtype=torch.bool).triu(1)
    bias = later.to(scores.dtype) * lowest + (~keep[..., None, :]).to(scores.dtype) * lowest
    return (scores + bias.clamp(min=lowest)).clamp(min=lowest).softmax(dim=-1)


def wrong_nan_in_empty_rows(scores, keep):
    """You hide with minus infinity, and a row with nothing to see is 0 / 0. Such rows are to be
    zeros: let the softmax have finite numbers there, then set them to 0.
    """
    return scores.masked_fill(~_seen(scores, keep), -math.inf).softmax(dim=-1)


def wrong_fillings_as_queries(scores, keep):
    """You hide what the fillings see, and not the fillings: words give them weight. The mask
    belongs to the keys, so that its axis is the last.
    """
    n = scores.shape[-1]
    seen = torch.ones(n, n, dtype=torch.bool).tril() & keep[..., :, None]
    return masked_softmax(scores, seen)


def wrong_causal_alone(scores, keep):
    """You hide the future and not the fillings. A filling has a score like any other: hide it
    from everybody.
    """
    n = scores.shape[-1]
    return masked_softmax(scores, torch.ones(n, n, dtype=torch.bool).tril())


def right_by_the_librarys_softmax(scores, keep):
    """`masked_softmax` with one Boolean mask"""
    return masked_softmax(scores, _seen(scores, keep))


def right_by_zeros_before_and_after(scores, keep):
    """filled in on both sides of the softmax, so that NaN meets no gradient"""
    return wrong_nan_in_empty_rows(scores, keep).masked_fill(~_seen(scores, keep), 0.0)


def right_by_exponentials(scores, keep):
    """exponentials of what is seen, over a sum that is 1 where there are none"""
    seen = _seen(scores, keep)
    lowest = torch.finfo(scores.dtype).min
    top = scores.detach().masked_fill(~seen, lowest).amax(dim=-1, keepdim=True)
    shifted = torch.where(seen, scores - top.clamp(min=lowest / 2), -math.inf)
    raised = shifted.exp()
    total = raised.sum(dim=-1, keepdim=True)
    return raised / total.masked_fill(total == 0, 1.0)


def _inputs(*, n, gaps, seed):
    keep = torch.ones(n, dtype=torch.bool)
    keep[list(gaps)] = False
    return gaussian(n, n, seed=seed), keep
