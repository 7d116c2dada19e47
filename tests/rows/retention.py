"""Retention."""

from functools import partial

import torch

from attncourse.mechanisms.linear import retention
from attncourse.testing import gaussian
from rows import Mechanism
from rows.linear_transformer import tokens


def plain(q, k, v, decay):
    """Sun et al. 2023, equation 6."""
    state, outputs = torch.zeros_like(k[..., 0, :, None] * v[..., 0, None, :]), []
    for query, key, value in zip(q.unbind(-2), k.unbind(-2), v.unbind(-2), strict=True):
        state = decay[..., None, None] * state + torch.einsum("...d,...e->...de", key, value)
        outputs.append(torch.einsum("...d,...de->...e", query, state))
    return torch.stack(outputs, dim=-2)


def inputs(*lead, std=2.0, seed=0):
    decay = torch.sigmoid(gaussian(*lead, std=1.0, seed=seed + 3))
    return (*tokens(*lead, std=std, seed=seed), decay)


MECHANISMS = {
    "retention": Mechanism(
        partial(retention.retention, chunk=4),
        plain,
        inputs,
    ),
}
ELSEWHERE = {retention.retention_step, retention.retention_segment}
