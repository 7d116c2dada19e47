"""Gates on heads: learned until they are exactly zero, or their gradient read as importance."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1  # beta, gamma and zeta of the paper, its section 4


@checked
def gate_heads_by_definition(
    out: Float[Tensor, "... h n e"], gates: Float[Tensor, "... h"]
) -> Float[Tensor, "... h n e"]:
    """Each head times its gate, one head after the other."""
    heads = zip(out.unbind(-3), gates.unbind(-1), strict=True)
    return torch.stack([gate[..., None, None] * head for head, gate in heads], dim=-3)


@checked
def gate_heads(
    out: Float[Tensor, "... h n e"], gates: Float[Tensor, "... h"]
) -> Float[Tensor, "... h n e"]:
    """Multiply the output of every head by its gate, before the heads are merged.

    A gate of 1 leaves the head as it is, 0 removes it: MHA(x) = sum_i g_i head_i W_i. Gates of ones
    are the place to read `head_importance` off. Time and memory O(h n e).

    Source: Michel, Levy and Neubig 2019, section 2.3; Voita et al. 2019, section 6.

    >>> gate_heads(torch.ones(2, 1, 3), torch.tensor([1.0, 0.0])).tolist()  # two heads, one query
    [[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]]
    """
    return out * gates[..., None, None]


@checked
def hard_concrete(
    log_alpha: Float[Tensor, "... h"], noise: Float[Tensor, "... h"]
) -> Float[Tensor, "... h"]:
    """Random gates between 0 and 1 that are exactly 0 or 1 with some probability, for training.

    s = sigmoid((log u - log(1 - u) + log_alpha) / beta) with uniform noise u in (0, 1), and the
    gate is min(1, max(0, s (zeta - gamma) + gamma)), with beta = 2/3, gamma = -0.1, zeta = 1.1.
    Given the noise, a gate is a differentiable function of log_alpha; clamped gates have gradient
    0. Half-precision input is computed in float32. Time O(h).

    Source: Louizos, Welling and Kingma 2018, section 2.2, equations 10 and 11.

    >>> hard_concrete(torch.zeros(3), torch.tensor([0.01, 0.5, 0.99])).round(decimals=2).tolist()
    [0.0, 0.5, 1.0]
    """
    wide = accumulation_dtype(log_alpha.dtype)
    logits = torch.logit(noise.to(wide)) + log_alpha.to(wide)
    return _stretched(torch.sigmoid(logits / TEMPERATURE)).to(log_alpha.dtype)


@checked
def settled_gates(log_alpha: Float[Tensor, "... h"]) -> Float[Tensor, "... h"]:
    """The gates without noise, for use after training: a head with gate 0 can be removed.

    min(1, max(0, sigmoid(log_alpha) (zeta - gamma) + gamma)). Time O(h).

    Source: Louizos, Welling and Kingma 2018, equation 13.

    >>> settled_gates(torch.tensor([-9.0, 0.0, 9.0])).round(decimals=2).tolist()
    [0.0, 0.5, 1.0]
    """
    wide = log_alpha.to(accumulation_dtype(log_alpha.dtype))
    return _stretched(torch.sigmoid(wide)).to(log_alpha.dtype)


def _stretched(s: Tensor) -> Tensor:
    return (s * (HIGH - LOW) + LOW).clamp(0, 1)


@checked
def expected_l0(log_alpha: Float[Tensor, "... h"]) -> Float[Tensor, "..."]:
    """The expected number of hard-concrete gates that are not 0, the penalty to train with.

    sum_i P(gate_i > 0) = sum_i sigmoid(log_alpha_i - beta log(-gamma / zeta)), over the last axis.
    Time O(h).

    Source: Louizos, Welling and Kingma 2018, equation 12.

    >>> expected_l0(torch.tensor([-20.0, 20.0, 20.0])).round(decimals=2).item()
    2.0
    """
    wide = log_alpha.to(accumulation_dtype(log_alpha.dtype))
    open_ = torch.sigmoid(wide - TEMPERATURE * math.log(-LOW / HIGH))
    return open_.sum(dim=-1).to(log_alpha.dtype)


@checked
def head_importance(gates_grad: Float[Tensor, "... n h"]) -> Float[Tensor, "... h"]:
    """The importance of each head: I_h = mean over samples x of |dL(x) / dg_h|, at gates of 1.

    gates_grad (n, h) holds, for each of n samples, the gradient of that sample's own loss by each
    gate: the absolute value comes before the mean, so that signs do not cancel. Not normalised; a
    leading axis may be the layer. Time O(n h).

    Source: Michel, Levy and Neubig 2019, section 4.1, equation 2.

    >>> head_importance(torch.tensor([[1.0, 2.0], [-1.0, 4.0]])).tolist()  # two samples, two heads
    [1.0, 3.0]
    """
    wide = gates_grad.to(accumulation_dtype(gates_grad.dtype))
    return wide.abs().mean(dim=-2).to(gates_grad.dtype)
