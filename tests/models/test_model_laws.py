"""What each model sees: past, padding, order; and how an image is cut."""

import dataclasses
import math

import pytest
import torch
from miniatures import MODELS, TOKENS, N, V, lively, seeded

from attncourse.core.masks import padding_mask
from attncourse.models.generation import generate, kv_cache_generate
from attncourse.models.vision_transformer import cut_patches
from attncourse.testing import assert_same, gaussian


@pytest.mark.parametrize("name", ["decoder", "rotary decoder", "llama"])
def test_the_future_leaves_the_past_of_a_decoder_bit_equal(name):
    build, config, tokens, _ = MODELS[name]
    model = lively(build, config)
    before, changed = model(tokens), tokens.clone()
    changed[..., 4:] = (changed[..., 4:] + 1) % V
    after = model(changed)
    assert torch.equal(after[..., :4, :], before[..., :4, :])
    assert (after[..., 4:, :] != before[..., 4:, :]).any(dim=-1).all()


@pytest.mark.parametrize("name", ["transformer", "t5"])
def test_the_future_leaves_the_past_of_a_target_bit_equal(name):
    build, config, tokens, _ = MODELS[name]
    model, target = lively(build, config), TOKENS.flip(0).clone()
    before = model(tokens, target)
    target[..., 4:] = (target[..., 4:] + 1) % V
    after = model(tokens, target)
    assert torch.equal(after[..., :4, :], before[..., :4, :])
    assert (after[..., 4:, :] != before[..., 4:, :]).any(dim=-1).all()


@pytest.mark.parametrize("name", ["transformer", "t5"])
def test_every_token_of_a_target_reads_the_whole_source(name):
    build, config, tokens, _ = MODELS[name]
    model, source = lively(build, config), TOKENS.clone()
    before = model(source, tokens)
    source[..., -1] = (source[..., -1] + 1) % V
    assert (model(source, tokens) != before).any(dim=-1).all()


def test_a_padded_source_equals_the_short_one_in_t5():
    build, config, tokens, _ = MODELS["t5"]
    model, lengths = lively(build, config), torch.tensor([[4, 7, 1], [2, 5, 7]])
    mask = padding_mask(lengths, N)
    padded = model(tokens, tokens, source_mask=mask)
    step = model.writer(tokens, mask)
    assert_same(step(tokens)[0], padded.detach())
    for i in range(2):
        for j in range(3):
            source = tokens[i, j, : int(lengths[i, j])]
            assert_same(padded[i, j], model(source, tokens[i, j]))


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_token_by_token_equals_the_whole_pass(name):
    """Also in pieces of several tokens, behind a past."""
    build, config, tokens, _ = MODELS[name]
    model = lively(build, config)
    whole = model(tokens) if name == "llama" else model(TOKENS.flip(0), tokens)
    step = model.step if name == "llama" else model.writer(TOKENS.flip(0))
    for cuts in ((1,) * N, (3, 1, N - 4), (N,)):
        past, found = None, []
        for piece in tokens.split(cuts, dim=-1):
            logits, past = step(piece, past)
            found.append(logits)
        assert past.tokens == N
        assert_same(torch.cat(found, dim=-2), whole)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_with_a_past_the_same_is_written(name):
    build, config, *_ = MODELS[name]
    model, source, prompt = lively(build, config), TOKENS[1, 1], TOKENS[0, 0, :3]
    model_of = model if name == "llama" else lambda target: model(source, target)
    step = model.step if name == "llama" else model.writer(source)
    written = generate(model_of, prompt, 9)
    assert kv_cache_generate(step, prompt, 9).tolist() == written.tolist()
    assert len(written) == 12


def test_heads_that_share_keys_are_heads_with_the_same_keys():
    build, config, tokens, _ = MODELS["llama"]
    shared = lively(build, config)
    own = lively(build, dataclasses.replace(config, g=config.h))
    numbers = shared.state_dict()
    for name, tensor in numbers.items():
        if name.endswith((".key", ".value")):
            numbers[name] = tensor.tile(config.h)
    own.load_state_dict(numbers)
    assert_same(own(tokens), shared(tokens))


def test_a_tied_output_is_the_table():
    build, config, tokens, _ = MODELS["llama"]
    own, tied = lively(build, config), lively(build, dataclasses.replace(config, tied=True))
    numbers = tied.state_dict()
    own.load_state_dict(numbers | {"output": numbers["tokens"].mT.contiguous()})
    assert_same(tied(tokens), own(tokens))


def test_the_bias_of_t5_is_all_that_it_knows_of_order():
    build, config, tokens, _ = MODELS["t5"]
    model = lively(build, config)
    memory = model.encode(tokens)
    moved = model.encode(tokens.roll(2, dims=-1)).roll(-2, dims=-2)
    assert not torch.allclose(moved, memory)
    with torch.no_grad():
        model.encoder_distances.fill_(0.7)  # one number for all distances
    memory = model.encode(tokens)
    assert_same(model.encode(tokens.roll(2, dims=-1)).roll(-2, dims=-2), memory)


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


@pytest.mark.parametrize("name", ["rotary decoder", "llama"])
def test_rotary_positions_are_relative_in_a_decoder(name):
    """Shifted by padding that nobody sees, a text gives the same logits."""
    build, config, tokens, _ = MODELS[name]
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
