"""Attempts at the scores."""

import math

import torch

NONE: set[str] = set()


def _norm(x):
    norm = x.norm(dim=-1, keepdim=True)
    return norm.masked_fill(norm == 0, 1.0)


def squared_distance(q, k):
    return -(q[..., :, None, :] - k[..., None, :, :]).square().sum(-1)


def cosine_squared(q, k):
    return ((q / _norm(q)) @ (k / _norm(k)).mT).square()


def sine(q, k):
    return (1 - ((q / _norm(q)) @ (k / _norm(k)).mT).square()).clamp(min=0).sqrt()


def scaled_and_absolute(q, k):
    return ((q / _norm(q)) @ (k / _norm(k)).mT).abs() / math.sqrt(q.shape[-1])


def queries_by_the_keys_norm(q, k):
    return (q @ k.mT) / _norm(k).mT.square()


def norm_of_three(q, k):
    three = (x.abs().pow(3).sum(-1, keepdim=True).pow(1 / 3) for x in (q, k))
    a, b = (x.masked_fill(x == 0, 1.0) for x in three)
    return (q / a) @ (k / b).mT


def largest_entry(q, k):
    a, b = (x.abs().amax(-1, keepdim=True) for x in (q, k))
    return (q / a.masked_fill(a == 0, 1)) @ (k / b.masked_fill(b == 0, 1)).mT


def clamped_lengths(q, k):
    return (q / q.norm(dim=-1, keepdim=True).clamp(min=1e-3)) @ (k / _norm(k)).mT


def small_number_under_the_root(q, k):
    a, b = ((x.square().sum(-1, keepdim=True) + 1e-6).sqrt() for x in (q, k))
    return (q / a) @ (k / b).mT


def ones_for_zero_vectors(q, k):
    scores = (q / _norm(q)) @ (k / _norm(k)).mT
    return scores + (q.norm(dim=-1, keepdim=True) == 0)


def float32_inside(q, k):
    return ((q.float() / _norm(q.float())) @ (k.float() / _norm(k.float())).mT).to(q.dtype)


def softmax_of_products(q, k):
    return torch.softmax(q @ k.mT, dim=-1)


def transposed_and_plain(q, k):
    return k @ q.mT


def exchanged_and_scaled(q, k, w):
    return k @ w.mT @ q.mT / math.sqrt(q.shape[-1])


def scaled_by_both(q, k, w):
    return q @ w @ k.mT / math.sqrt(q.shape[-1] * k.shape[-1])


def scaled_by_d(q, k, w):
    return q @ w @ k.mT / q.shape[-1]


def scaled_by_sqrt_eight(q, k, w):
    return q @ w @ k.mT / math.sqrt(8)


def absolute_scores(q, k, w):
    return (q @ w @ k.mT).abs()


def plus_one(q, k, w):
    return q @ w @ k.mT + 1


def minus_mean(q, k, w):
    scores = q @ w @ k.mT
    return scores - scores.mean(dim=-1, keepdim=True)


def exponentials(q, k, w):
    return (q @ w @ k.mT).exp()


def squared_scores(q, k, w):
    return (q @ w @ k.mT).square()


def transposed_where_square(q, k, w):
    return q @ (w.mT if w.shape[0] == w.shape[1] else w) @ k.mT


def antisymmetric(q, k, w):
    return q @ ((w - w.mT) / 2 if w.shape[0] == w.shape[1] else w) @ k.mT


def softmax_over_queries(q, k, w):
    return torch.softmax(q @ w @ k.mT, dim=-2)


def identity_added(q, k, w):
    return q @ (w + torch.eye(*w.shape, dtype=w.dtype)) @ k.mT


def _hidden(q, k, w_q, w_k):
    return (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]


def no_tanh_and_scaled(q, k, w_q, w_k, u):
    return _hidden(q, k, w_q, w_k) @ u / math.sqrt(len(u))


def gelu(q, k, w_q, w_k, u):
    return torch.nn.functional.gelu(_hidden(q, k, w_q, w_k)) @ u


def hard_tanh(q, k, w_q, w_k, u):
    return _hidden(q, k, w_q, w_k).clamp(-1, 1) @ u


def tanh_twice(q, k, w_q, w_k, u):
    return _hidden(q, k, w_q, w_k).tanh().tanh() @ u


def mean_of_hidden(q, k, w_q, w_k, u):
    return (_hidden(q, k, w_q, w_k).tanh() * u).mean(-1)


def tanh_inside_and_outside(q, k, w_q, w_k, u):
    return (_hidden(q, k, w_q, w_k).tanh() @ u).tanh()


def exponential_formula(q, k, w_q, w_k, u):
    e = (2 * _hidden(q, k, w_q, w_k)).exp()
    return ((e - 1) / (e + 1)) @ u


def difference_and_no_tanh(q, k, w_q, w_k, u):
    return _hidden(q, -k, w_q, w_k) @ u


def absolute_u(q, k, w_q, w_k, u):
    return _hidden(q, k, w_q, w_k).tanh() @ u.abs()


def softmax_transposed(q, k, w_q, w_k, u):
    return torch.softmax(_hidden(k, q, w_k, w_q).tanh() @ u, dim=-1)


def sum_halved(q, k, w_q, w_k, u):
    return (_hidden(q, k, w_q, w_k) / 2).tanh() @ u


def key_axis_kept(q, k, w_q, w_k, u):
    return _hidden(q, k, w_q, w_k).tanh() @ u[:, None]


ATTEMPTS = {
    "cosine_scores": [
        (squared_distance, NONE),
        (cosine_squared, NONE),
        (sine, NONE),
        (scaled_and_absolute, NONE),
        (queries_by_the_keys_norm, NONE),
        (norm_of_three, NONE),
        (largest_entry, NONE),
        (clamped_lengths, NONE),
        (small_number_under_the_root, NONE),
        (ones_for_zero_vectors, NONE),
        (float32_inside, NONE),
        (softmax_of_products, NONE),
        (transposed_and_plain, NONE),
    ],
    "bilinear_scores": [
        (exchanged_and_scaled, NONE),
        (scaled_by_both, NONE),
        (scaled_by_d, NONE),
        (scaled_by_sqrt_eight, {"scaled_by_the_query_width"}),
        (absolute_scores, NONE),
        (plus_one, NONE),
        (minus_mean, NONE),
        (exponentials, NONE),
        (squared_scores, NONE),
        (transposed_where_square, NONE),
        (antisymmetric, NONE),
        (softmax_over_queries, NONE),
        (identity_added, NONE),
    ],
    "additive_scores": [
        (no_tanh_and_scaled, NONE),
        (gelu, NONE),
        (hard_tanh, NONE),
        (tanh_twice, NONE),
        (mean_of_hidden, NONE),
        (tanh_inside_and_outside, NONE),
        (exponential_formula, NONE),
        (difference_and_no_tanh, NONE),
        (absolute_u, NONE),
        (softmax_transposed, NONE),
        (sum_halved, NONE),
        (key_axis_kept, NONE),
    ],
}
