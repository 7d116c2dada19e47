"""Relative buckets and their bias are T5's, at any length, aligned to the bottom right."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from attncourse.core.masks import causal_mask
from attncourse.core.relative import relative_bias, relative_buckets
from attncourse.mechanisms.dense.heads import merge_heads, split_heads
from attncourse.mechanisms.dense.softmax import masked_softmax
from attncourse.testing import assert_same, gaussian, gradients

D, H, BUCKETS, FURTHEST = 12, 3, 8, 20


def t5_buckets(n, m, buckets, furthest, causal):
    away = torch.arange(m) - (torch.arange(n) + m - n)[:, None]
    return T5Attention._relative_position_bucket(
        away, bidirectional=not causal, num_buckets=buckets, max_distance=furthest
    )


@pytest.mark.parametrize("causal", [False, True])
def test_the_defaults_are_t5s_up_to_far_distances(causal):
    found = relative_buckets(600, 700, causal=causal)
    assert torch.equal(found, t5_buckets(600, 700, 32, 128, causal))
    unused = set() if causal else {16}  # distance 0 belongs to the past
    assert set(found.unique().tolist()) == set(range(32)) - unused


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    n=st.integers(1, 90),
    m=st.integers(1, 90),
    half=st.integers(2, 20),
    beyond=st.integers(1, 200),
    causal=st.booleans(),
)
def test_any_number_of_buckets_gives_t5s(n, m, half, beyond, causal):
    buckets = half + 1 if causal else 2 * half  # an odd number will do where all are for the past
    furthest = (buckets if causal else half) // 2 + beyond
    found = relative_buckets(n, m, buckets=buckets, furthest=furthest, causal=causal)
    assert torch.equal(found, t5_buckets(n, m, buckets, furthest, causal))
    assert 0 <= found.min() <= found.max() < buckets


def test_a_distance_on_the_border_of_two_buckets_opens_the_next():
    """8 (128 / 8)^(k / 8) is whole at k = 2, 4, 6: distances 16, 32 and 64, of 16 buckets."""
    row = relative_buckets(1, 200, buckets=16, furthest=128, causal=True)[0].flip(0)
    assert [row[t].item() for t in (7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 199)] == [
        *(7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 15)
    ]


def test_new_queries_are_the_last_rows():
    assert torch.equal(relative_buckets(3, 40), relative_buckets(40, 40)[-3:])


def t5(decoder):
    config = T5Config(
        d_model=D,
        d_kv=D // H,
        num_heads=H,
        relative_attention_num_buckets=BUCKETS,
        relative_attention_max_distance=FURTHEST,
        is_decoder=decoder,
        dropout_rate=0.0,
    )
    config._attn_implementation = "eager"
    module = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).double().eval()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(gaussian(*parameter.shape, std=0.5, seed=i))
    return module


@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_the_bias_is_t5s(causal):
    n, module = 30, t5(causal)
    x = gaussian(2, n, D)
    mask = causal_mask(n, n) if causal else torch.ones(n, n, dtype=torch.bool)

    def ours(x, table):
        q, k, v = (split_heads(x @ p.weight.mT, H) for p in (module.q, module.k, module.v))
        bias = relative_bias(table, n, n, furthest=FURTHEST, causal=causal)
        weights = masked_softmax(q @ k.mT + bias, mask)
        return merge_heads(weights @ v) @ module.o.weight.mT

    def theirs(x, table):
        hidden = torch.zeros(1, 1, n, n).double().masked_fill(~mask, -torch.inf)
        given = {"relative_attention_bias.weight": table}
        return torch.func.functional_call(module, given, (x,), {"mask": hidden})[0]

    table = module.relative_attention_bias.weight.detach()
    assert_same(ours(x, table), theirs(x, table))
    assert_same(gradients(ours, x, table), gradients(theirs, x, table))


def test_the_bias_keeps_dtype_and_device():
    table = gaussian(BUCKETS, H)
    assert relative_bias(table.bfloat16(), 3, 5).dtype == torch.bfloat16
    assert relative_bias(table.to("meta"), 3, 5).shape == (H, 3, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relative_buckets(0, 3), "n and m must be at least 1: got n=0 and m=3"),
        (
            lambda: relative_buckets(3, 3, buckets=7),
            "buckets must be even and at least 4: got buckets=7",
        ),
        (
            lambda: relative_buckets(3, 3, buckets=2),
            "buckets must be even and at least 4: got buckets=2",
        ),
        (
            lambda: relative_buckets(3, 3, buckets=1, causal=True),
            "buckets must be at least 2: got buckets=1",
        ),
        (
            lambda: relative_buckets(3, 3, furthest=8),
            "furthest must be more than the 8 distances with a bucket of their own: got furthest=8",
        ),
        (
            lambda: relative_bias(gaussian(7, 2), 3, 3),
            "buckets must be even and at least 4: got buckets=7",
        ),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        call()
    assert str(caught.value) == message
