"""Tiles one after the other give attention and its logsumexp, whatever the state comes from."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.mechanisms.exact.tile import _fitting, flash_forward_tile
from attncourse.testing import assert_same, attention_inputs, gradients, levels


def nothing(q, v):
    """The state before the first tile."""
    largest = torch.full_like(q[..., 0], -math.inf)
    return largest, torch.zeros_like(largest), q.new_zeros(*q.shape[:-1], v.shape[-1])


def in_tiles(q, k, v, block=4):
    state = nothing(q, v)
    for j in range(0, k.shape[-2], block):
        state = flash_forward_tile(q, k[..., j : j + block, :], v[..., j : j + block, :], state)
    largest, total, sums = state
    return sums / total[..., None], largest + total.log()


@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
def test_tiles_give_attention_and_its_logsumexp(lead, block):
    q, k, v = attention_inputs(*lead)
    out, lse = in_tiles(q, k, v, block)
    assert_same(out, scaled_dot_product_attention(q, k, v))
    assert_same(lse, attention_and_lse(q, k, v)[1])


def test_the_largest_score_may_lie_anywhere_and_gradients_follow():
    q, k, v = attention_inputs(seed=45)
    q[:, 0], k[:, 0] = 10.0, levels(37, 0.0, -900.0, 700.0) * math.sqrt(8) / 10.0
    assert_same(in_tiles(q, k, v)[0], scaled_dot_product_attention(q, k, v))
    ours = gradients(lambda *x: in_tiles(*x)[0], q, k, v)
    theirs = gradients(scaled_dot_product_attention, q, k, v)
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b)


def test_the_state_stays_and_half_precision_is_summed_in_float32():
    q, k, v = (x.half() for x in attention_inputs())
    state = nothing(q, v)
    kept = tuple(x.clone() for x in state)
    new = flash_forward_tile(q, k, v, state)
    assert all(map(torch.equal, state, kept))
    assert [x.dtype for x in new] == [torch.float32] * 3


def test_a_state_that_does_not_fit_is_refused():
    q, _, v = attention_inputs()
    largest, total, sums = nothing(q, v)
    with pytest.raises(
        TypeError, match=r"^state must be a tuple \(largest, total, sums\): got int$"
    ):
        _fitting(3, q, v)
    with pytest.raises(TypeError, match=r"^total must be a torch.Tensor: got float$"):
        _fitting((largest, 0.0, sums), q, v)
    with pytest.raises(ValueError, match=r"^sums must have shape \(5, 6\): got \(6, 5\)$"):
        _fitting((largest, total, sums.mT), q, v)
