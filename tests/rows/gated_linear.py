"""Gated linear attention."""

from functools import partial

import torch
from torch.nn.functional import logsigmoid

from attncourse.mechanisms.linear import gated_linear
from attncourse.testing import gaussian
from rows import Mechanism
from rows.linear_transformer import tokens


def plain(q, k, v, log_gate):
    """Yang et al. 2023: S_t = diag(gate_t) S_{t-1} + k_t v_t^T."""
    state, outputs = torch.zeros_like(k[..., 0, :, None] * v[..., 0, None, :]), []
    for t in range(q.shape[-2]):
        gate = log_gate[..., t, :, None].exp()
        state = gate * state + torch.einsum("...d,...e->...de", k[..., t, :], v[..., t, :])
        outputs.append(torch.einsum("...d,...de->...e", q[..., t, :], state))
    return torch.stack(outputs, dim=-2)


def inputs(*lead, std=2.0, seed=0):
    gates = logsigmoid(gaussian(*lead, 19, 8, std=std, seed=seed + 3))
    return (*tokens(*lead, std=std, seed=seed), gates)


MECHANISMS = {
    "gated_linear_attention": Mechanism(
        partial(gated_linear.gated_linear_attention, chunk=7),
        plain,
        inputs,
    ),
}
ELSEWHERE = {
    gated_linear.gated_linear_attention_step,
    gated_linear.gated_linear_attention_segment,
}
