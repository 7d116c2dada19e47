"""Self-attention is cross-attention to itself; its causal form sees no future."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.dense.self_attention import cross_attention, self_attention
from attncourse.testing import assert_same, gaussian, gradients

N, D, E = 6, 9, 5


def inputs(*lead, seed=0):
    w_q, w_k = (gaussian(D, 8, std=0.5, seed=seed + s) for s in (1, 2))
    return gaussian(*lead, N, D, seed=seed), w_q, w_k, gaussian(D, E, std=0.5, seed=seed + 3)


def sdpa(x, w_q, w_k, w_v, *, causal):
    return scaled_dot_product_attention(x @ w_q, x @ w_k, x @ w_v, is_causal=causal)


def test_it_equals_pytorch_in_value_and_gradient():
    for lead in ((), (2, 3)):
        for causal in (False, True):
            x = inputs(*lead)
            assert_same(self_attention(*x, causal=causal), sdpa(*x, causal=causal))
            ours, theirs = (gradients(f, *x, causal=causal) for f in (self_attention, sdpa))
            assert_same(ours, theirs)


def test_it_is_cross_attention_to_itself():
    x, *w = inputs(2)
    assert torch.equal(self_attention(x, *w), cross_attention(x, x, *w))


def test_permuting_the_tokens_permutes_the_outputs():
    x, *w = inputs()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    assert_same(self_attention(x[order], *w), self_attention(x, *w)[order])


def test_changing_the_future_leaves_the_past_bit_equal():
    x, *w = inputs()
    changed = torch.cat([x[:4], gaussian(N - 4, D, seed=9)])
    before, after = (self_attention(y, *w, causal=True) for y in (x, changed))
    assert torch.equal(before[:4], after[:4])
    assert not torch.equal(before[4:], after[4:])


def test_it_runs_on_meta_and_in_half_precision():
    meta = [t.to("meta") for t in inputs(2)]
    assert self_attention(*meta, causal=True).shape == (2, N, E)
    exact = self_attention(*(t.bfloat16().double() for t in inputs()))
    half = self_attention(*(t.bfloat16() for t in inputs()))
    assert half.dtype == torch.bfloat16
    plain = sdpa(*(t.bfloat16() for t in inputs()), causal=False)
    assert (half - exact).abs().max() <= 2 * (plain - exact).abs().max()


@pytest.mark.parametrize(("causal", "kind"), [("no", "a str"), (1, "an int"), (None, "None")])
def test_causal_is_true_or_false(causal, kind):
    with pytest.raises(TypeError, match=f"^causal must be True or False: got {kind}$"):
        self_attention(*inputs(), causal=causal)
