"""Layers that share: they equal a stack that shares nothing where they should, at lower cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.core.masks import causal_mask
from attncourse.measure.analytic import attention_flops
from attncourse.measure.cost import flops
from attncourse.mechanisms.dense.layers import encoder_layer
from attncourse.mechanisms.sharing.cross_layer import (
    shared_key_value_layers,
    shared_key_value_layers_by_definition,
    shared_layers,
    shared_weights_layers,
    shared_weights_layers_by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients, random_mask
from rows.layers import layer

N, D, FF, H = 5, 12, 20, 3
PAIRS = [
    (shared_key_value_layers, shared_key_value_layers_by_definition),
    (shared_weights_layers, shared_weights_layers_by_definition),
]
SHARED = {shared_key_value_layers: ("w_k", "w_v"), shared_weights_layers: ("w_q", "w_k")}
both = pytest.mark.parametrize(("ours", "definition"), PAIRS)
either = pytest.mark.parametrize("ours", SHARED)


def stack(depth, shared=(), group=1, d=D, d_ff=FF):
    """`depth` layers; those after the first of a group do without what is shared."""
    layers = [layer("", norms=2, d=d, d_ff=d_ff, seed=20 * i) for i in range(depth)]
    return [
        {name: x for name, x in own.items() if i % group == 0 or name not in shared}
        for i, own in enumerate(layers)
    ]


def count(layers):
    return sum(x.numel() for own in layers for x in own.values())


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    depth=st.integers(1, 5),
    group=st.integers(1, 6),
    n=st.integers(1, 6),
    lead=st.lists(st.integers(0, 2), max_size=2),
)
def test_the_fast_form_equals_the_definition(pair, depth, group, n, lead):
    ours, definition = pair
    layers, x = stack(depth, SHARED[ours], group), gaussian(*lead, n, D)
    options = {"h": H, "group": group, "mask": random_mask(n, n, empty_row=n // 2)}
    assert_same(ours(x, layers, **options), definition(x, layers, **options))


@both
def test_so_do_the_gradients_of_tokens_and_parameters(ours, definition):
    layers, x = stack(3, SHARED[ours], group=2), gaussian(2, N, D)
    names = [(i, name) for i, own in enumerate(layers) for name in own]

    def of(form):
        def run(x, *values):
            given = [{} for _ in layers]
            for (i, name), value in zip(names, values, strict=True):
                given[i][name] = value
            return form(x, given, h=H, group=2)

        return gradients(run, x, *(layers[i][name] for i, name in names))

    found = of(ours)
    assert_same(found, of(definition))
    assert all((g != 0).any() for g in found)


@either
@pytest.mark.parametrize("mask", [None, causal_mask(N, N)], ids=["full", "causal"])
def test_a_group_of_one_shares_nothing(ours, mask):
    layers, x = stack(3), gaussian(2, N, D)
    expected = x
    for own in layers:
        expected = encoder_layer(expected, own, h=H, mask=mask)
    assert_same(ours(x, layers, h=H, group=1, mask=mask), expected)


def test_one_layer_many_times_is_a_stack_of_copies():
    params, x, keep = stack(1)[0], gaussian(2, N, D), random_mask(N, N)
    expected = x
    for _ in range(4):
        expected = encoder_layer(expected, params, h=H, mask=keep)
    assert_same(shared_layers(x, params, depth=4, h=H, mask=keep), expected)
    assert_same(shared_layers(x, params, depth=1, h=H), encoder_layer(x, params, h=H))


def test_the_gradient_of_a_shared_layer_is_the_sum_over_its_uses():
    params, x = stack(1)[0], gaussian(N, D)

    def shared(*values):
        return shared_layers(x, dict(zip(params, values, strict=True)), depth=3, h=H)

    def copies(*values):
        out = x
        for i in range(3):
            own = values[i * len(params) : (i + 1) * len(params)]
            out = encoder_layer(out, dict(zip(params, own, strict=True)), h=H)
        return out

    found = gradients(shared, *params.values())
    apart = gradients(copies, *[value for _ in range(3) for value in params.values()])
    for i, gradient in enumerate(found):
        assert_same(gradient, sum(apart[i :: len(params)]))


@either
def test_layers_of_a_group_follow_its_first_alone(ours):
    """What a follower holds under a shared name is not read; what the first holds is."""
    layers, x = stack(4), gaussian(N, D)
    before = ours(x, layers, h=H, group=2)
    name = SHARED[ours][1]
    layers[3] = layers[3] | {name: torch.full((D, D), float("nan")).double()}
    assert torch.equal(ours(x, layers, h=H, group=2), before)
    layers[2] = layers[2] | {name: -layers[2][name]}
    assert not torch.allclose(ours(x, layers, h=H, group=2), before)


@pytest.mark.parametrize("ours", [*SHARED, shared_layers])
def test_under_a_causal_mask_the_future_leaves_the_past_bit_equal(ours):
    x, mask = gaussian(N, D), causal_mask(N, N)
    changed = torch.cat([x[:3], gaussian(N - 3, D, seed=9)])
    if ours is shared_layers:
        given, options = stack(1)[0], {"depth": 3}
    else:
        given, options = stack(3), {"group": 2}
    before, after = (ours(y, given, h=H, mask=mask, **options) for y in (x, changed))
    assert torch.equal(after[:3], before[:3])


def test_one_layer_used_six_times_has_a_sixth_of_the_parameters_and_all_of_the_flops():
    """The audit's E66: 9,830,400 FLOPs either way (n = 16, d = 64, d_ff = 256)."""
    layers, x = stack(6, d=64, d_ff=256), gaussian(16, 64)
    assert count(layers) == 6 * count(layers[:1])
    assert flops(shared_layers, x, layers[0], depth=6, h=4) == 9_830_400
    assert flops(shared_key_value_layers, x, layers, h=4, group=1) == 9_830_400


@pytest.mark.parametrize(("depth", "group"), [(6, 2), (6, 3), (5, 2)])
@either
def test_sharing_saves_parameters_and_flops_as_documented(ours, depth, group):
    n, followers = 16, depth - -(-depth // group)
    whole, layers = stack(depth), stack(depth, SHARED[ours], group)
    assert count(whole) - count(layers) == followers * 2 * D**2
    x = gaussian(n, D)
    saved = flops(ours, x, whole, h=H, group=1) - flops(ours, x, layers, h=H, group=group)
    each = 4 * n * D**2 if ours is shared_key_value_layers else attention_flops(n, D) // 2
    assert saved == followers * each


@both
def test_half_precision_is_kept_and_meta_runs(ours, definition):
    layers, x = stack(3, SHARED[ours], 2), gaussian(2, N, D)
    exact = ours(x, layers, h=H, group=2)
    half = [{name: y.bfloat16() for name, y in own.items()} for own in layers]
    out = ours(x.bfloat16(), half, h=H, group=2)
    assert out.dtype == torch.bfloat16
    assert (out - exact).norm() <= 0.02 * exact.norm()
    meta = [{name: y.to("meta") for name, y in own.items()} for own in layers]
    assert ours(x.to("meta"), meta, h=H, group=2).shape == x.shape


@both
@pytest.mark.parametrize(
    ("layers", "group", "message"),
    [
        (stack(1), 0, "group must be at least 1: got group=0"),
        ([], 1, "layers must hold at least 1 layer: got 0"),
        (stack(2, ("w_o",), 2), 2, "params must hold 10 tensors: got none for w_o"),
        (
            [stack(1)[0] | {"w_q": gaussian(D + 1, D)}],
            1,
            "x and w must share d_x, the last axis of x and the second-to-last axis of w"
            ": got d_x=12 for x (5, 12) and d_x=13 for w (13, 12)",
        ),
        (
            [stack(1)[0] | {"w_k": gaussian(D, 2 * D)}],
            1,
            "q and k must share d, their last axis"
            ": got d=4 for q (3, 5, 4) and d=8 for k (3, 5, 8)",
        ),
    ],
)
def test_bad_layers_get_one_sentence(ours, definition, layers, group, message):
    for form in (ours, definition):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
            form(gaussian(N, D), layers, h=H, group=group)
        assert str(caught.value) == message


def test_a_depth_of_zero_gets_one_sentence():
    with pytest.raises(ValueError, match="^depth must be at least 1: got depth=0$"):
        shared_layers(gaussian(N, D), stack(1)[0], depth=0, h=H)
