"""What depth does to untrained stacks."""

import pytest
import torch

from attncourse.measure.collapse import distance_from_mean
from attncourse.mechanisms.dense.layers import encoder_layer, post_norm_encoder_layer
from attncourse.mechanisms.dense.self_attention import self_attention
from attncourse.models.stacks import (
    STACKS,
    gradients_by_depth,
    position_known,
    random_layer,
    states_by_depth,
)
from attncourse.testing import gaussian


def test_the_last_gradient_shrinks_with_the_root_of_the_depth_under_pre_norm_alone():
    def last(layer, layers):
        return gradients_by_depth(layer, layers=layers, draws=8)[-1].item()

    assert last(encoder_layer, 6) / last(encoder_layer, 24) == pytest.approx(2.3, abs=0.6)
    post = last(post_norm_encoder_layer, 6) / last(post_norm_encoder_layer, 24)
    assert post == pytest.approx(1.0, abs=0.25)


def test_under_pre_norm_the_first_layers_have_the_largest_gradients():
    pre = gradients_by_depth(encoder_layer, layers=12, draws=8)
    post = gradients_by_depth(post_norm_encoder_layer, layers=12, draws=8)
    assert pre[0] / pre[-1] > 2.5
    assert 0.6 < post[0] / post[-1] < 1.6


def test_tokens_become_equal_without_a_residual_and_stay_apart_with_pre_norm():
    def away(name):
        return distance_from_mean(states_by_depth(STACKS[name], layers=4)).median(dim=0).values

    assert away("attention alone")[-1] < 1e-4
    assert away("with residual")[-1] > 0.6
    assert away("pre-norm layer")[-1] > 0.6


def test_states_begin_with_the_input_and_follow_the_seed():
    first, second = (states_by_depth(encoder_layer, layers=2, draws=3, seed=5) for _ in range(2))
    assert first.shape == (3, 3, 16, 64)
    assert torch.equal(first, second)


def test_a_layer_has_the_parameters_of_the_library():
    params = random_layer(8, 12, torch.Generator().manual_seed(0))
    x = torch.ones(5, 8)
    for layer in STACKS.values():
        assert layer(x, params, h=2).shape == (5, 8)


def test_a_causal_stack_knows_positions_that_it_was_never_told():
    assert position_known(0, causal=True) < 0.15  # the token that begins every text
    assert position_known(2, causal=True) > 0.5
    assert position_known(4, causal=True) > position_known(1, causal=True) > 0.4
    assert position_known(4, causal=False) < 0.15


@pytest.mark.parametrize("causal", [True, False])
def test_the_last_token_knows_the_order_before_it_after_two_causal_layers(causal):
    x = gaussian(6, 16, std=1.0)
    y = x[torch.tensor([3, 0, 4, 1, 2, 5])]  # the last one stays
    for depth in (1, 2):
        weights = [gaussian(16, 16, std=0.25, seed=3 * depth + i) for i in range(3)]
        x, y = (z + self_attention(z, *weights, causal=causal) for z in (x, y))
        apart = (x[-1] - y[-1]).abs().max()
        assert (apart > 0.1) == (causal and depth == 2)
