"""Ten attempts made up when the rest was finished, as a person would hand them in."""

import math

import torch

NONE: set[str] = set()


def softmax_by_ranks(x):
    ranks = x.argsort(dim=-1).argsort(dim=-1).to(x.dtype)
    return torch.exp(ranks) / torch.exp(ranks).sum(-1, keepdim=True)


def softmax_of_standard_scores(x):
    z = (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)
    return z.exp() / z.exp().sum(-1, keepdim=True)


def softmax_with_largest_weight_corrected(x):
    e = (x - x.amax(-1, keepdim=True)).exp()
    w = e / (e.sum(-1, keepdim=True) + 1e-5)
    return w + (1 - w.sum(-1, keepdim=True)) / x.shape[-1]


def mask_by_product_and_shift(scores, mask):
    return torch.softmax((scores + 100) * mask, dim=-1)


def attention_with_mask_on_queries(q, k, v, *, mask=None):
    weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
    out = weights @ v
    return out if mask is None else out.masked_fill(~mask[..., :1], 0.0)


def attention_over_pairs_of_heads(q, k, v, *, mask=None):
    half = q.shape[-1] // 2
    scores = q[..., :half] @ k[..., :half].mT / math.sqrt(half)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0) @ v


def causal_with_a_gap(n, m):
    return (torch.arange(m) <= torch.arange(m - n, m)[:, None]) & (torch.arange(m) % 5 != 4)


def padding_from_a_list(lengths, m):
    return torch.tensor([[i < int(n) for i in range(m)] for n in lengths.reshape(-1)])


def cosine_of_centred_queries(q, k):
    q = q - q.mean(-1, keepdim=True)
    q_length, k_length = (x.norm(dim=-1, keepdim=True).clamp(min=1e-300) for x in (q, k))
    return (q / q_length) @ (k / k_length).mT


def mean_by_cumulated_weights(weights, values):
    shares = weights.cumsum(-1) / weights.sum(-1, keepdim=True).clamp(min=1e-300)
    return (shares[..., None] * values).sum(-2)


ATTEMPTS = {
    "softmax": [
        (softmax_by_ranks, NONE),
        (softmax_of_standard_scores, NONE),
        (softmax_with_largest_weight_corrected, NONE),
    ],
    "masked_softmax": [(mask_by_product_and_shift, NONE)],
    "attention": [(attention_over_pairs_of_heads, NONE)],
    "masked_attention": [(attention_with_mask_on_queries, NONE)],
    "causal_mask": [(causal_with_a_gap, NONE)],
    "padding_mask": [(padding_from_a_list, {"no_axis_for_queries"})],
    "cosine_scores": [(cosine_of_centred_queries, NONE)],
    "weighted_mean": [(mean_by_cumulated_weights, NONE)],
}
