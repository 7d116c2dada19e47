"""Rotary in pairs and interpolated: the same rotation of other features, or at other positions."""

from functools import partial

import pytest
import torch
from transformers.models.gptj.modeling_gptj import (
    apply_rotary_pos_emb,
    create_sinusoidal_positions,
)

from attncourse.core.positions import rotary
from attncourse.core.rotary_forms import interleaved_rotary, interpolated_rotary
from attncourse.testing import assert_same, gaussian


def test_pairs_are_halves_in_another_order():
    x, at = gaussian(3, 5, 8), torch.arange(5) + 4
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    assert_same(interleaved_rotary(x, at)[..., order], rotary(x[..., order], at))


def test_pairs_are_those_of_gpt_j():
    n, d = 5, 8
    x, at = gaussian(1, n, 3, d), torch.arange(n)
    sin, cos = create_sinusoidal_positions(n, d).to(torch.float64)[None].chunk(2, dim=-1)
    theirs = apply_rotary_pos_emb(x, sin, cos).transpose(1, 2)
    found = interleaved_rotary(x.transpose(1, 2), at)
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-6)  # their table is in float32


def test_the_two_orders_differ_and_each_knows_distances_only():
    q, k, at = gaussian(5, 8), gaussian(5, 8, seed=1), torch.arange(5)
    scores = interleaved_rotary(q, at) @ interleaved_rotary(k, at).mT
    moved = interleaved_rotary(q, at + 9) @ interleaved_rotary(k, at + 9).mT
    assert_same(scores, moved)
    assert (scores - rotary(q, at) @ rotary(k, at).mT).abs().max() > 1


def test_a_stretched_text_has_the_angles_of_the_short_one():
    x = gaussian(5, 8)
    even = 2 * torch.arange(5)
    assert_same(
        interpolated_rotary(x, even, stretch=2.0, base=500.0), rotary(x, even // 2, base=500.0)
    )
    assert_same(interpolated_rotary(x, even, stretch=1.0), rotary(x, even))


@pytest.mark.parametrize(
    "turn", [interleaved_rotary, partial(interpolated_rotary, stretch=3.0)], ids=["pairs", "far"]
)
def test_the_gradient_is_turned_back(turn):
    x, at = gaussian(5, 8).requires_grad_(), torch.arange(5)
    out = turn(x, at)
    (back,) = torch.autograd.grad(out, x, out)  # R^T R x
    assert_same(back, x.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_is_kept(dtype):
    x, at = gaussian(5, 8).to(dtype), torch.arange(5)
    assert interleaved_rotary(x, at).dtype == dtype
    assert interpolated_rotary(x, at, stretch=2.0).dtype == dtype


def test_what_cannot_be_is_refused():
    x, at = gaussian(5, 7), torch.arange(5)
    for turn in (interleaved_rotary, lambda x, at: interpolated_rotary(x, at, stretch=2.0)):
        with pytest.raises(ValueError, match=r"^d, the last axis of x, must be even: got d=7$"):
            turn(x, at)
    with pytest.raises(ValueError, match=r"^stretch must be positive: got 0.0$"):
        interpolated_rotary(gaussian(5, 8), at, stretch=0.0)
    with pytest.raises(ValueError, match=r"^base must be positive: got -1.0$"):
        interpolated_rotary(gaussian(5, 8), at, stretch=2.0, base=-1.0)
