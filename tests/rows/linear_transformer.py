"""The Linear Transformer's attention, in full and causal."""

from functools import partial

import torch

from attncourse.mechanisms.linear import linear_transformer
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows import kernel_attention as on_features


def plain_features(x):
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def plain(q, k, v):
    return on_features.plain(plain_features(q), plain_features(k), v)


def plain_causal(q, k, v):
    return on_features.plain_causal(plain_features(q), plain_features(k), v)


def vectors(*lead, std=2.0, seed=0):
    return (gaussian(*lead, 5, 7, std=std, seed=seed),)


def tokens(*lead, std=2.0, seed=0, n=19):
    """q, k (..., n, 8) and v (..., n, 6) of one sequence."""
    q, k = (gaussian(*lead, n, 8, std=std, seed=seed + i) for i in range(2))
    return q, k, gaussian(*lead, n, 6, std=std, seed=seed + 2)


MECHANISMS = {
    "elu_feature_map": Mechanism(
        linear_transformer.elu_feature_map,
        plain_features,
        vectors,
        definition=lambda x: torch.nn.functional.elu(x) + 1,
    ),
    "linear_attention": Mechanism(linear_transformer.linear_attention, plain, attention_inputs),
    "causal_linear_attention": Mechanism(
        partial(linear_transformer.causal_linear_attention, chunk=4),
        plain_causal,
        tokens,
    ),
}
ELSEWHERE = {linear_transformer.linear_attention_step, linear_transformer.linear_attention_segment}
