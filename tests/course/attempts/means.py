"""Attempts at means under weights: the weighted mean, the lookup, attention."""

import math

import torch

NONE: set[str] = set()


def _sum(weights, values):
    return (weights[..., None] * values).sum(dim=-2)


def at_least_one(weights, values):
    return _sum(weights / weights.sum(-1, keepdim=True).clamp(min=1), values)


def small_number_1e_4(weights, values):
    return _sum(weights / (weights.sum(-1, keepdim=True) + 1e-4), values)


def root_of_weights(weights, values):
    return _sum(weights.sqrt() / weights.sqrt().sum(-1, keepdim=True), values)


def average_instead_of_sum(weights, values):
    return (weights[..., None] * values).mean(-2) / weights.sum(-1, keepdim=True).clamp(min=1e-30)


def divided_twice(weights, values):
    total = weights.sum(-1, keepdim=True).clamp(min=1e-30)
    return _sum(weights, values) / total / values.shape[-2]


def nan_to_zero(weights, values):
    return (_sum(weights, values) / weights.sum(-1, keepdim=True)).nan_to_num(0.0)


def ones_for_zero_weights(weights, values):
    total = weights.sum(-1, keepdim=True)
    return torch.where(total == 0, 1.0, _sum(weights, values) / total.clamp(min=1e-30))


def mean_for_zero_weights(weights, values):
    total = weights.sum(-1, keepdim=True)
    return torch.where(total == 0, values.mean(-2), _sum(weights, values) / total.clamp(min=1e-30))


def minus_smallest(weights, values):
    shifted = weights - weights.amin(-1, keepdim=True)
    return _sum(shifted / shifted.sum(-1, keepdim=True).clamp(min=1e-30), values)


def thirty_seven(weights, values):
    return _sum(weights, values) / 37


def of_the_values(weights, values):
    return _sum(weights, values) / values.sum(-2)


def exponentials_unscaled(weights, values):
    return _sum(weights.exp() / weights.exp().sum(-1, keepdim=True), values)


def median(weights, values):
    return values.median(dim=-2).values


def _scores(query, keys):
    return (keys * query[..., None, :]).sum(dim=-1)


def temperature_plus_one(query, keys, values, *, temperature=1.0):
    return _sum(torch.softmax(_scores(query, keys) / (temperature + 1), dim=-1), values)


def temperature_one_where_hot(query, keys, values, *, temperature=1.0):
    return _sum(torch.softmax(_scores(query, keys) / min(temperature, 1.0), dim=-1), values)


def scaled_and_no_temperature(query, keys, values, *, temperature=1.0):
    return _sum(torch.softmax(_scores(query, keys) / math.sqrt(8), dim=-1), values)


def squared_distances(query, keys, values, *, temperature=1.0):
    scores = -(keys - query[..., None, :]).square().sum(-1) / 2
    return _sum(torch.softmax(scores / temperature, dim=-1), values)


def closest_key(query, keys, values, *, temperature=1.0):
    best = (keys - query[..., None, :]).norm(dim=-1).argmin(-1)
    return values.take_along_dim(best[..., None, None], dim=-2).squeeze(-2)


def worst_entry(query, keys, values, *, temperature=1.0):
    best = _scores(query, keys).argmin(-1)
    return values.take_along_dim(best[..., None, None], dim=-2).squeeze(-2)


def best_below_one(query, keys, values, *, temperature=1.0):
    scores = _scores(query, keys)
    if temperature < 1:
        best = scores.argmax(-1)
        return values.take_along_dim(best[..., None, None], dim=-2).squeeze(-2)
    return _sum(torch.softmax(scores / temperature, dim=-1), values)


def negative_temperature(query, keys, values, *, temperature=1.0):
    return _sum(torch.softmax(-_scores(query, keys) / temperature, dim=-1), values)


def sum_of_values(query, keys, values, *, temperature=1.0):
    return values.sum(dim=-2)


def query_as_well(query, keys, values, *, temperature=1.0):
    found = _sum(torch.softmax(_scores(query, keys) / temperature, dim=-1), values)
    return found + query[..., :6]


def weights_and_result(query, keys, values, *, temperature=1.0):
    weights = torch.softmax(_scores(query, keys) / temperature, dim=-1)
    return _sum(weights, values), weights


def first_axis_softmax(query, keys, values, *, temperature=1.0):
    return _sum(torch.softmax(_scores(query, keys) / temperature, dim=0) * 2, values)


def _fill(scores, mask, number):
    return scores if mask is None else scores.masked_fill(~mask, number)


def _weights(scores, mask):
    return _fill(torch.softmax(_fill(scores, mask, -math.inf), dim=-1), mask, 0.0)


def _scaled(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def mask_inverted_and_unscaled(q, k, v, *, mask=None):
    return _weights(q @ k.mT, None if mask is None else ~mask) @ v


def scale_by_eight_without_mask(q, k, v, *, mask=None):
    return _weights(q @ k.mT / (8 if mask is None else math.sqrt(8)), mask) @ v


def scale_by_the_root_of_three(q, k, v, *, mask=None):
    return _weights(q @ k.mT / math.sqrt(3), mask) @ v


def scaled_twice(q, k, v, *, mask=None):
    return _weights(q @ k.mT / math.sqrt(q.shape[-1]) / math.sqrt(q.shape[-1]), mask) @ v


def distances(q, k, v, *, mask=None):
    return _weights(-torch.cdist(q, k), mask) @ v


def squared_distances_of_all(q, k, v, *, mask=None):
    return _weights(-torch.cdist(q, k).square() / math.sqrt(q.shape[-1]), mask) @ v


def values_minus_mean(q, k, v, *, mask=None):
    return _weights(_scaled(q, k), mask) @ (v - v.mean(dim=-2, keepdim=True))


def residual_of_values(q, k, v, *, mask=None):
    return _weights(_scaled(q, k), mask) @ v + v.mean(dim=-2, keepdim=True)


def mask_filled_with_zero_and_unscaled(q, k, v, *, mask=None):
    return torch.softmax(_fill(q @ k.mT, mask, 0.0), dim=-1) @ v


def filled_with_minus_ten_thousand(q, k, v, *, mask=None):
    return _fill(torch.softmax(_fill(_scaled(q, k), mask, -1e4), dim=-1), mask, 0.0) @ v


def mask_on_the_values(q, k, v, *, mask=None):
    out = _weights(_scaled(q, k), None) @ v
    return out if mask is None else out * mask.any(dim=-1, keepdim=True)


def mask_ignored_but_empty_rows(q, k, v, *, mask=None):
    weights = torch.softmax(_scaled(q, k), dim=-1)
    return (weights if mask is None else weights * mask.any(-1, keepdim=True)) @ v


def best_two_keys(q, k, v, *, mask=None):
    scores = _fill(_scaled(q, k), mask, -math.inf)
    kept = scores >= scores.topk(2, dim=-1).values[..., -1:]
    return _weights(scores, kept if mask is None else kept & mask) @ v


def causal_always(q, k, v, *, mask=None):
    scores = _scaled(q, k)
    causal = torch.ones_like(scores, dtype=torch.bool).tril()
    return _weights(scores, causal if mask is None else causal & mask) @ v


def sigmoid_weights(q, k, v, *, mask=None):
    return _fill(torch.sigmoid(_scaled(q, k)), mask, 0.0) @ v


def detached_scores(q, k, v, *, mask=None):
    return _weights(_scaled(q, k).detach(), mask) @ v


def detached_values(q, k, v, *, mask=None):
    return _weights(_scaled(q, k), mask) @ v.detach()


def float32_inside_attention(q, k, v, *, mask=None):
    return (_weights(_scaled(q.float(), k.float()), mask) @ v.float()).to(v.dtype)


def output_and_weights(q, k, v, *, mask=None):
    weights = _weights(_scaled(q, k), mask)
    return weights @ v, weights


def transposed_output(q, k, v, *, mask=None):
    return (_weights(_scaled(q, k), mask) @ v).mT


def queries_normalised_only(q, k, v, *, mask=None):
    return _weights(torch.nn.functional.normalize(q, dim=-1) @ k.mT, mask) @ v


def renormalised_with_clamp(q, k, v, *, mask=None):
    weights = _fill(torch.softmax(_scaled(q, k), dim=-1), mask, 0.0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9) @ v


def keys_plus_values(q, k, v, *, mask=None):
    return _weights(_scaled(q, k), mask) @ (v + k[..., :6])


def reversed_keys(q, k, v, *, mask=None):
    return _weights(_scaled(q, k.flip(-2)), mask) @ v


ATTEMPTS = {
    "weighted_mean": [
        (at_least_one, {"sum_clamped_at_one"}),
        (small_number_1e_4, NONE),
        (root_of_weights, NONE),
        (average_instead_of_sum, NONE),
        (divided_twice, NONE),
        (nan_to_zero, {"nan_in_the_gradient"}),
        (ones_for_zero_weights, NONE),
        (mean_for_zero_weights, NONE),
        (minus_smallest, NONE),
        (thirty_seven, {"divided_by_the_count"}),
        (of_the_values, NONE),
        (exponentials_unscaled, {"softmax_of_the_weights"}),
        (median, NONE),
    ],
    "soft_lookup": [
        (temperature_plus_one, NONE),
        (temperature_one_where_hot, NONE),
        (scaled_and_no_temperature, NONE),
        (squared_distances, NONE),
        (closest_key, NONE),
        (worst_entry, NONE),
        (best_below_one, NONE),
        (negative_temperature, NONE),
        (sum_of_values, NONE),
        (query_as_well, NONE),
        (weights_and_result, NONE),
        (first_axis_softmax, NONE),
    ],
    "masked_attention": [
        (mask_inverted_and_unscaled, NONE),
        (scale_by_eight_without_mask, NONE),
        (mask_filled_with_zero_and_unscaled, NONE),
        (filled_with_minus_ten_thousand, NONE),
        (mask_on_the_values, NONE),
        (mask_ignored_but_empty_rows, NONE),
        (renormalised_with_clamp, {"small_number_in_the_sum"}),
    ],
    "attention": [
        (scale_by_the_root_of_three, NONE),
        (scaled_twice, {"scale_by_d"}),
        (distances, NONE),
        (squared_distances_of_all, NONE),
        (values_minus_mean, NONE),
        (residual_of_values, NONE),
        (best_two_keys, NONE),
        (causal_always, NONE),
        (sigmoid_weights, NONE),
        (detached_scores, NONE),
        (detached_values, NONE),
        (float32_inside_attention, NONE),
        (output_and_weights, NONE),
        (transposed_output, NONE),
        (queries_normalised_only, NONE),
        (keys_plus_values, NONE),
        (reversed_keys, NONE),
    ],
}
