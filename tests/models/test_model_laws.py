"""What each model sees: past, padding, order; and how an image is cut."""

import math

import pytest
import torch
from miniatures import MODELS, TOKENS, N, V, lively, seeded

from attncourse.core.masks import padding_mask
from attncourse.models.vision_transformer import cut_patches
from attncourse.testing import assert_same, gaussian


@pytest.mark.parametrize("name", ["decoder", "rotary decoder"])
def test_the_future_leaves_the_past_of_a_decoder_bit_equal(name):
    build, config, tokens, _ = MODELS[name]
    model = lively(build, config)
    before, changed = model(tokens), tokens.clone()
    changed[..., 4:] = (changed[..., 4:] + 1) % V
    after = model(changed)
    assert torch.equal(after[..., :4, :], before[..., :4, :])
    assert (after[..., 4:, :] != before[..., 4:, :]).any(dim=-1).all()


def test_the_future_leaves_the_past_of_a_target_bit_equal():
    build, config, tokens, _ = MODELS["transformer"]
    model, target = lively(build, config), TOKENS.flip(0).clone()
    before = model(tokens, target)
    target[..., 4:] = (target[..., 4:] + 1) % V
    after = model(tokens, target)
    assert torch.equal(after[..., :4, :], before[..., :4, :])
    assert (after[..., 4:, :] != before[..., 4:, :]).any(dim=-1).all()


def test_a_padded_sequence_equals_the_short_one_in_an_encoder():
    build, config, tokens, _ = MODELS["encoder"]
    model, lengths = lively(build, config), torch.tensor([[4, 7, 1], [2, 5, 7]])
    padded = model(tokens, mask=padding_mask(lengths, N))
    for i in range(2):
        for j in range(3):
            length = int(lengths[i, j])
            assert_same(padded[i, j, :length], model(tokens[i, j, :length]))


def test_order_matters_in_every_model():
    for name, (build, config, x, run) in MODELS.items():
        model = lively(build, config)
        moved = x.roll(3, dims=-1)
        assert not torch.allclose(run(model, moved).sum(), run(model, x).sum()), name


def test_rotary_positions_are_relative_in_a_decoder():
    """Shifted by padding that nobody sees, a text gives the same logits."""
    build, config, tokens, _ = MODELS["rotary decoder"]
    model, shifted = lively(build, config), torch.zeros(1, N + 2, dtype=torch.long)
    shifted[:, 2:] = tokens[0, 0]
    mask = (torch.arange(N + 2) >= 2).expand(1, 1, -1)
    assert_same(model(shifted, mask=mask)[0, 2:], model(tokens[0, 0]))


def test_patches_are_cut_row_by_row():
    images = gaussian(2, 3, 6, 9)
    patches = cut_patches(images, 3)
    assert patches.shape == (2, 6, 27)
    assert torch.equal(patches[:, 4], images[:, :, 3:6, 3:6].flatten(1))
    unfolded = torch.nn.functional.unfold(images, 3, stride=3)
    assert torch.equal(patches, unfolded.mT)


def test_a_decoder_begins_as_sure_as_a_guess():
    build, config, tokens, _ = MODELS["decoder"]
    logits = seeded(build, config)(tokens)
    loss = torch.nn.functional.cross_entropy(
        logits[..., :-1, :].flatten(0, -2), tokens[..., 1:].flatten()
    )
    assert loss.item() == pytest.approx(math.log(V), rel=0.02)
