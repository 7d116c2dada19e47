r"""# Mend the sampler

A colleague's sampler. With `top_k` it is right, and with `top_p` = 0.9 a model writes fluently for
a sentence or two; then the program dies in the middle of a word, always where the model is sure.
Find out what it kept, and mend it, so that it draws from

$$p_i = \frac{e^{a_i / \tau}}{\sum_j e^{a_j / \tau}}$$

after both filters.

- `logits` is (..., V); the result is int64 (...), each row drawn alone. The axes, the temperature,
  `top_k` and the errors are right already, and stay so.
- `top_p` keeps the fewest likeliest tokens whose probabilities together *reach* it, at least one.
"""

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.interview_coding import sample
from attncourse.models.generation import sample as solution

difficulty, minutes = 3, 10
hints = (
    "Put the probabilities 0.95, 0.03 and 0.02 in, with top_p = 0.9. What is the running sum, and "
    "which entries does the comparison let through?",
    "The token that brings the sum to top_p belongs to what is kept. Its own probability must not "
    "count against it: compare the sum of those before it.",
)
forbidden = sample.forbidden


def wrong_sum_with_the_token_itself(
    logits, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    """You compare the running sum with the token itself in it, so that the one which brings it to
    top_p falls out. If that is the first, nothing is left to draw from: compare the sum before it.
    """
    if temperature <= 0 or (top_k is not None and top_k < 1):
        raise ValueError("temperature must be positive, and top_k at least 1")
    if top_p is not None and (top_p <= 0 or top_p > 1):
        raise ValueError("top_p must lie above 0 and not above 1")
    logits = logits - logits.amax(dim=-1, keepdim=True)
    logits, order = (logits / temperature).sort(dim=-1, descending=True)
    weights = torch.softmax(logits[..., :top_k], dim=-1)
    if top_p is not None:
        total = weights.cumsum(dim=-1)
        weights = weights.masked_fill(total >= top_p, 0.0)
    rows = weights.reshape(-1, weights.shape[-1])
    place = torch.multinomial(rows, 1, generator=generator)
    place = place.reshape(*order.shape[:-1], 1)
    return order.gather(-1, place).squeeze(-1)


def _unchanged(sampler):
    """An answer to the sampler as one to this."""
    return sampler


borrowed = (
    Borrow(
        sample,
        _unchanged,
        (
            "check_keeps_the_fewest_that_reach_p",
            "check_is_sure_where_one_is_left",
            "check_filters_one_after_the_other",
            "check_keeps_the_likeliest_k",
            "check_draws_in_proportion",
            "check_takes_leading_axes",
            "check_gives_tokens",
            "wrong_token_that_reaches_p_left_out",
            "wrong_one_more_than_p",
            "wrong_p_as_a_floor",
            "wrong_place_for_token",
            "right_by_sorting",
            "right_by_the_running_sum",
        ),
    ),
)
stub = wrong_sum_with_the_token_itself
shown = sample.shown
