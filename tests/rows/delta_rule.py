"""The delta rule."""

from functools import partial

import torch
from torch.nn.functional import normalize

from attncourse.mechanisms.linear import delta_rule
from attncourse.testing import gaussian
from rows import Mechanism
from rows.linear_transformer import tokens


def plain(q, k, v, beta):
    """Schlag et al. 2021: what the state answers to a key moves towards the value."""
    state, outputs = torch.zeros_like(k[..., 0, :, None] * v[..., 0, None, :]), []
    for t in range(q.shape[-2]):
        answer = torch.einsum("...d,...de->...e", k[..., t, :], state)
        written = beta[..., t, None] * (v[..., t, :] - answer)
        state = state + torch.einsum("...d,...e->...de", k[..., t, :], written)
        outputs.append(torch.einsum("...d,...de->...e", q[..., t, :], state))
    return torch.stack(outputs, dim=-2)


def inputs(*lead, std=2.0, seed=0):
    """Keys of length one: longer ones make the state grow without bound."""
    q, k, v = tokens(*lead, std=std, seed=seed)
    beta = torch.sigmoid(gaussian(*lead, 19, std=2.0, seed=seed + 3))
    return q, normalize(k, dim=-1), v, beta


MECHANISMS = {
    "delta_rule": Mechanism(
        partial(delta_rule.delta_rule, chunk=4),
        plain,
        inputs,
    ),
}
ELSEWHERE = {delta_rule.delta_rule_step, delta_rule.delta_rule_segment}
