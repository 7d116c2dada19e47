"""A window and global tokens against the mask, and against Longformer's own code."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from attncourse.core.patterns import longformer_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns.longformer import longformer_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention
from attncourse.testing import assert_same, gaussian, gradients

uncompiled = pytest.mark.filterwarnings("ignore:flex_attention called without")
every_form = pytest.mark.parametrize("form", forms_of(longformer_attention))


def inputs(n, *lead, d=8, e=6, std=2.0):
    return tuple(gaussian(*lead, n, w, std=std, seed=s) for s, w in enumerate((d, d, e)))


def sdpa(q, k, v, *, window, global_tokens):
    mask = longformer_mask(q.shape[-2], window, global_tokens)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("global_tokens", [(), (0,), (299,), (150, 3, 200, 3), range(0, 300, 10)])
@pytest.mark.parametrize("window", [0, 1, 30, 64, 100, 1000])
def test_it_equals_pytorch_under_the_mask_in_value_and_gradient(window, global_tokens, std):
    x, options = inputs(300, 2, std=std), {"window": window, "global_tokens": global_tokens}
    assert_same(longformer_attention(*x, **options), sdpa(*x, **options))
    ours = gradients(longformer_attention, *x, **options)
    assert_same(ours, gradients(sdpa, *x, **options))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(1, 260), window=st.integers(0, 270))
def test_any_sizes_agree(data, n, window):
    tokens = data.draw(st.lists(st.integers(0, n - 1), max_size=5))
    x, options = inputs(n, d=3, e=2), {"window": window, "global_tokens": tokens}
    assert_same(longformer_attention(*x, **options), sdpa(*x, **options))


def longformer_module(one_side, heads, width):
    """LongformerSelfAttention with random projections, the global ones the same as the others."""
    config = LongformerConfig(
        hidden_size=width,
        num_attention_heads=heads,
        attention_window=[2 * one_side],
        attention_probs_dropout_prob=0.0,
    )
    module = LongformerSelfAttention(config, layer_id=0).double().eval()
    with torch.no_grad():
        for seed, name in enumerate(("query", "key", "value")):
            weight, bias = gaussian(width, width, std=0.5, seed=seed), gaussian(width, seed=seed)
            for layer in (getattr(module, name), getattr(module, f"{name}_global")):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
    return module


@pytest.mark.parametrize("global_tokens", [(), (0,), (5, 40, 90)])
def test_it_equals_longformers_own_attention(global_tokens):
    """Their softmax is float32 throughout, hence the tolerance."""
    module, x = longformer_module(one_side=8, heads=2, width=12), gaussian(1, 96, 12, std=1.0)
    is_global = torch.zeros(1, 96, dtype=torch.bool)
    is_global[0, list(global_tokens)] = True
    theirs = module(
        x,
        attention_mask=is_global.double() * 10000,
        is_index_masked=torch.zeros(1, 96, dtype=torch.bool),
        is_index_global_attn=is_global,
        is_global_attn=bool(global_tokens),
    )[0]
    q, k, v = (
        layer(x).unflatten(-1, (2, 6)).transpose(1, 2)
        for layer in (module.query, module.key, module.value)
    )
    ours = longformer_attention(q, k, v, window=8, global_tokens=global_tokens)
    torch.testing.assert_close(ours.transpose(1, 2).flatten(2), theirs, atol=2e-6, rtol=2e-6)


@uncompiled
def test_it_equals_flex_attention():
    q, k, v = (x.float() for x in inputs(200, 1, 2, d=16, e=16, std=1.0))
    seen = longformer_mask(200, 20, (3, 120))

    def pattern(score, b, h, i, j):
        return torch.where(seen[i, j], score, -torch.inf)

    theirs = flex_attention(q, k, v, score_mod=pattern)
    ours = longformer_attention(q, k, v, window=20, global_tokens=(3, 120))
    assert_same(ours, theirs)


@every_form
def test_without_global_tokens_it_is_the_window_and_with_all_it_is_full(form):
    x = inputs(150, 2)
    window = sliding_window_attention(*x, window=20)
    assert_same(form(*x, window=20, global_tokens=()), window)
    full = scaled_dot_product_attention(*x)
    assert_same(form(*x, window=0, global_tokens=range(150)), full)
    assert_same(form(*x, window=149, global_tokens=()), full)


def test_what_no_global_token_carries_is_not_seen():
    q, k, v = inputs(300)
    options = {"window": 20, "global_tokens": (7, 222)}
    before = longformer_attention(q, k, v, **options)
    for t in (7, 150):
        changed = k.clone(), v.clone()
        for x in changed:
            x[t] += 1.0
        differs = (longformer_attention(q, *changed, **options) != before).any(dim=-1)
        assert torch.equal(differs, longformer_mask(300, **options)[:, t])


def narrow(q, k, v):
    return longformer_attention(q, k, v, window=16, global_tokens=range(8))


def narrow_backward(q, k, v):
    return gradients(narrow, q, k, v)


@pytest.mark.parametrize("form", [narrow, narrow_backward])
def test_work_and_memory_grow_with_the_length_and_not_with_its_square(form):
    for measure in (flops, largest_tensor):
        for n in (2048, 4096):
            exponent = scaling_exponent(measure, form, inputs, n)
            assert exponent == pytest.approx(1, abs=100 / n)
    assert largest_tensor(form, *inputs(1024)) < 16 * 1024 * 2


OUT_OF_RANGE = [
    ({"window": -1, "global_tokens": ()}, "window must be at least 0: got window=-1"),
    (
        {"window": 1, "global_tokens": (0, 9)},
        "global_tokens must lie between 0 and n - 1: got 9 for n=9",
    ),
    (
        {"window": 1, "global_tokens": (-1,)},
        "global_tokens must lie between 0 and n - 1: got -1 for n=9",
    ),
]


@every_form
@pytest.mark.parametrize(("options", "message"), OUT_OF_RANGE, ids=[m for _, m in OUT_OF_RANGE])
def test_what_is_out_of_range_is_told_in_one_sentence(form, options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared whole)
        form(*inputs(9), **options)
    assert str(caught.value) == message


@every_form
@pytest.mark.parametrize("positions", [3, "0", (1.5,), (True,), None])
def test_positions_must_be_integers(form, positions):
    with pytest.raises(TypeError):
        form(*inputs(9), window=1, global_tokens=positions)
