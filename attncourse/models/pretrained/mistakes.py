"""SmolLM2's parts, each exchanged for its commonest mistake: what to load the model with.

Every entry of `MISTAKES` is a function with the signature of its socket, made of the library's.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from attncourse.core.positions import rotary
from attncourse.core.rotary_forms import interleaved_rotary
from attncourse.mechanisms.dense.layer_parts import post_norm
from attncourse.mechanisms.dense.norms import layer_norm, rms_norm
from attncourse.mechanisms.dense.softmax import attention, masked_softmax

Part = Callable[..., Tensor]


def norm_of_the_sum(x: Tensor, gain: Tensor, *, eps: float) -> Tensor:
    """The sum of squares where their mean belongs: every token is sqrt(d) = 24 times too short."""
    return x * (x.square().sum(dim=-1, keepdim=True) + eps).rsqrt() * gain


def norm_with_mean(x: Tensor, gain: Tensor, *, eps: float) -> Tensor:
    """Layer norm, which takes the mean of the features away first."""
    return layer_norm(x, gain, torch.zeros_like(gain), eps=eps)


def norm_without_gain(x: Tensor, gain: Tensor, *, eps: float) -> Tensor:
    """The gain, which was learned, is forgotten."""
    return rms_norm(x, torch.ones_like(gain), eps=eps)


def norm_left_out(x: Tensor, gain: Tensor, *, eps: float) -> Tensor:
    """No norm: the token as it is, times the gain."""
    return x * gain


def network(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor, *, act: Part) -> Tensor:
    """The gated network with another function in place of SiLU."""
    return (act(x @ w_gate) * (x @ w_up)) @ w_down


def network_exchanged(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    """SiLU on the wrong one of the two: gate and up are exchanged."""
    return (x @ w_gate * functional.silu(x @ w_up)) @ w_down


def without_residual(x: Tensor, norm: Part, part: Part) -> Tensor:
    """A part replaces the token in place of adding to it."""
    return part(norm(x))


def residual_of_the_norm(x: Tensor, norm: Part, part: Part) -> Tensor:
    """The part is added to the normalised token, not to the token."""
    y = norm(x)
    return y + part(y)


def no_rotary(x: Tensor, positions: Tensor, *, base: float) -> Tensor:
    """Queries and keys as they are: nothing tells where a token stands."""
    return x


def rotary_not_converted(x: Tensor, positions: Tensor, *, base: float) -> Tensor:
    """What the rotation of halves does to the weights as the file has them, for pairs.

    The reshape of `halves_from_pairs` was left out. Scores do not change when queries and keys are
    reordered together, so that here the features are reordered to pairs, turned, and ordered back.
    """
    first, second = x.chunk(2, dim=-1)
    turned = rotary(torch.stack([first, second], dim=-1).flatten(-2), positions, base=base)
    return torch.cat([turned[..., 0::2], turned[..., 1::2]], dim=-1)


def rotary_base_10000(x: Tensor, positions: Tensor, *, base: float) -> Tensor:
    """The paper's base in place of the model's own, 100,000."""
    return rotary(x, positions, base=10_000.0)


def split_without_transpose(x: Tensor, h: int) -> Tensor:
    """One reshape: the right shape, and heads of several tokens' features."""
    return x.reshape(*x.shape[:-2], h, x.shape[-2], -1)


def merged_without_transpose(x: Tensor) -> Tensor:
    """One reshape: the right shape, and tokens of several tokens' features."""
    return x.reshape(*x.shape[:-3], x.shape[-2], -1)


def not_scaled(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """No division by sqrt(d)."""
    return masked_softmax(q @ k.mT, mask) @ v


def scaled_by_d(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Divided by d in place of its root."""
    return masked_softmax(q @ k.mT / q.shape[-1], mask) @ v


def groups_tiled(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Head i with the keys of group i mod 3 in place of i // 3."""
    return attention(q, k.repeat(3, 1, 1), v.repeat(3, 1, 1), mask=mask)


def no_mask(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Every token sees those that follow it."""
    return attention(q, k, v)


def nothing_attended(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """No attention at all: zeros."""
    return q.new_zeros(*q.shape[:-1], v.shape[-1])


def nothing_fed(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    """No network at all: zeros."""
    return torch.zeros_like(x)


MISTAKES: dict[str, dict[str, Part]] = {
    "right": {},
    "norm: sum of squares for their mean": {"norm": norm_of_the_sum},
    "norm: the mean taken away (layer norm)": {"norm": norm_with_mean},
    "norm: gain forgotten": {"norm": norm_without_gain},
    "norm: left out": {"norm": norm_left_out},
    "network: ReLU for SiLU": {"feed_forward": partial(network, act=functional.relu)},
    "network: GELU for SiLU": {"feed_forward": partial(network, act=functional.gelu)},
    "network: sigmoid for SiLU": {"feed_forward": partial(network, act=torch.sigmoid)},
    "network: gate and up exchanged": {"feed_forward": network_exchanged},
    "network: left out": {"feed_forward": nothing_fed},
    "residual: left out": {"sublayer": without_residual},
    "residual: from after the norm": {"sublayer": residual_of_the_norm},
    "residual: post-norm order": {"sublayer": post_norm},
    "positions: no rotary": {"rotary": no_rotary},
    "positions: weights not converted": {"rotary": rotary_not_converted},
    "positions: pairs for halves": {"rotary": interleaved_rotary},
    "positions: base 10,000 for 100,000": {"rotary": rotary_base_10000},
    "heads: split without the transpose": {"split_heads": split_without_transpose},
    "heads: merged without the transpose": {"merge_heads": merged_without_transpose},
    "heads: groups tiled": {"grouped_attention": groups_tiled},
    "attention: not scaled": {"attention": not_scaled},
    "attention: scaled by d": {"attention": scaled_by_d},
    "attention: no mask": {"attention": no_mask},
    "attention: left out": {"attention": nothing_attended},
}
