"""Attempts at the softmax, with and without a mask."""

import math

import torch

NONE: set[str] = set()


def _over(e, dim=-1):
    return e / e.sum(dim=dim, keepdim=True)


def _stable(x):
    return _over((x - x.amax(dim=-1, keepdim=True)).exp())


def median_subtracted(x):
    return _over((x - x.median(dim=-1, keepdim=True).values).exp())


def minimum_subtracted(x):
    return _over((x - x.amin(dim=-1, keepdim=True)).exp())


def first_score_subtracted(x):
    return _over((x - x[..., :1]).exp())


def finite_minimum_subtracted(x):
    low = x.masked_fill(x.isinf(), math.inf).amin(dim=-1, keepdim=True)
    return _over((x - low).exp())


def mean_of_all_subtracted(x):
    return _over((x - x.mean()).exp())


def smallest_and_negative(x):
    return _over((x.amin(dim=-1, keepdim=True) - x).exp())


def maximum_of_absolute(x):
    return _over((x - x.abs().amax(dim=-1, keepdim=True)).exp())


def clamped_at_seven_hundred(x):
    return _over(x.clamp(-700.0, 700.0).exp())


def clamped_from_above_only(x):
    return _over(x.clamp(max=50.0).exp())


def nan_to_num_at_the_end(x):
    return _over(x.exp()).nan_to_num(0.0)


def float_inside(x):
    return _stable(x.float()).to(x.dtype)


def half_precision_forgotten(x):
    return _stable(x.float())


def detached(x):
    return _stable(x.detach())


def maximum_not_detached_but_doubled(x):
    top = x.amax(dim=-1, keepdim=True)
    return _over((x - 2 * top).exp())


def small_number_1e_3(x):
    e = (x - x.amax(dim=-1, keepdim=True)).exp()
    return e / (e.sum(dim=-1, keepdim=True) + 1e-3)


def small_number_in_the_numerator(x):
    e = (x - x.amax(dim=-1, keepdim=True)).exp() + 1e-6
    return _over(e)


def temperature_two(x):
    return _stable(x / 2)


def base_two(x):
    return _over(torch.exp2(x - x.amax(dim=-1, keepdim=True)))


def squares(x):
    return _over(x.square())


def relu_over_sum(x):
    return _over(x.relu())


def hardmax(x):
    return torch.nn.functional.one_hot(x.argmax(dim=-1), x.shape[-1]).to(x.dtype)


def wrong_axis_and_no_maximum(x):
    return _over(x.exp(), 0)


def squeezed(x):
    return _stable(x).squeeze()


def flattened(x):
    return _stable(x.reshape(-1, x.shape[-1]))


def over_all_and_no_maximum(x):
    return x.exp() / x.exp().sum()


def sign_and_logarithm(x):
    return -(x - x.logsumexp(dim=-1, keepdim=True))


def twice(x):
    return _stable(_stable(x))


def rounded(x):
    return (_stable(x) * 1e4).round() / 1e4


def list_of_rows(x):
    return [_stable(row) for row in x]


def with_the_sum(x):
    return _stable(x), x.sum()


def sorted_weights(x):
    return _stable(x).sort(dim=-1).values


def uniform(x):
    return torch.full_like(x, 1 / x.shape[-1])


def zeros(x):
    return torch.zeros_like(x)


def masked_scores_removed(scores, mask):
    return _stable(scores.masked_fill(~mask, -1e4)).masked_fill(~mask, 0.0)


def inverted_and_multiplied(scores, mask):
    return torch.softmax(scores * ~mask, dim=-1)


def inverted_after_softmax(scores, mask):
    return torch.softmax(scores, dim=-1) * ~mask


def mask_ignored_and_first_axis(scores, mask):
    return torch.softmax(scores, dim=0)


def renormalised_with_clamp(scores, mask):
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-3)


def renormalised_with_nan(scores, mask):
    return _over(torch.softmax(scores, dim=-1) * mask)


def exponentials_times_mask(scores, mask):
    return _over(scores.exp() * mask)


def exponentials_times_mask_with_maximum(scores, mask):
    return _over((scores - scores.amax(dim=-1, keepdim=True)).exp() * mask)


def smallest_number_and_no_zeros(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)


def filled_with_zero_after_scaling(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, 0.0) / 2, dim=-1)


def filled_with_minus_a_hundred(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, -100.0), dim=-1).masked_fill(~mask, 0.0)


def filled_with_the_smallest_score(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, float(scores.min())), dim=-1)


def empty_rows_uniform(scores, mask):
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights.nan_to_num(1 / scores.shape[-1])


def where_with_exchanged_branches(scores, mask):
    return torch.softmax(torch.where(mask, -math.inf, scores), dim=-1).nan_to_num(0.0)


def mask_of_the_first_row(scores, mask):
    return torch.softmax(scores.masked_fill(~mask[..., :1, :], -math.inf), dim=-1).nan_to_num()


def only_two_axes(scores, mask):
    return torch.stack([_stable(row[m]) for row, m in zip(scores, mask, strict=True)])


def added_as_numbers(scores, mask):
    return torch.softmax(scores + mask.to(scores.dtype) * 10, dim=-1)


def logarithm_of_the_mask(scores, mask):
    return torch.softmax(scores + (mask.to(scores.dtype) + 1e-6).log(), dim=-1)


ATTEMPTS = {
    "softmax": [
        (median_subtracted, NONE),
        (minimum_subtracted, NONE),
        (first_score_subtracted, NONE),
        (finite_minimum_subtracted, NONE),
        (mean_of_all_subtracted, NONE),
        (smallest_and_negative, {"sign"}),
        (maximum_of_absolute, NONE),
        (clamped_at_seven_hundred, NONE),
        (clamped_from_above_only, NONE),
        (nan_to_num_at_the_end, NONE),
        (float_inside, {"float32_throughout"}),
        (half_precision_forgotten, NONE),
        (detached, NONE),
        (maximum_not_detached_but_doubled, NONE),
        (small_number_1e_3, NONE),
        (small_number_in_the_numerator, NONE),
        (temperature_two, NONE),
        (base_two, NONE),
        (squares, NONE),
        (relu_over_sum, NONE),
        (hardmax, NONE),
        (wrong_axis_and_no_maximum, {"over_the_first_axis"}),
        (squeezed, NONE),
        (flattened, NONE),
        (over_all_and_no_maximum, {"over_all_entries"}),
        (sign_and_logarithm, NONE),
        (twice, NONE),
        (rounded, NONE),
        (list_of_rows, NONE),
        (with_the_sum, NONE),
        (sorted_weights, NONE),
        (uniform, NONE),
        (zeros, NONE),
    ],
    "masked_softmax": [
        (masked_scores_removed, NONE),
        (inverted_and_multiplied, NONE),
        (inverted_after_softmax, NONE),
        (mask_ignored_and_first_axis, NONE),
        (renormalised_with_clamp, NONE),
        (renormalised_with_nan, NONE),
        (exponentials_times_mask, {"no_maximum_subtracted"}),
        (exponentials_times_mask_with_maximum, {"renormalised_after_softmax"}),
        (smallest_number_and_no_zeros, {"filled_with_minus_a_billion"}),
        (filled_with_zero_after_scaling, NONE),
        (filled_with_minus_a_hundred, NONE),
        (filled_with_the_smallest_score, NONE),
        (empty_rows_uniform, {"filled_with_minus_a_billion"}),
        (where_with_exchanged_branches, {"mask_inverted"}),
        (mask_of_the_first_row, NONE),
        (only_two_axes, NONE),
        (added_as_numbers, NONE),
        (logarithm_of_the_mask, NONE),
    ],
}
