"""With the same weights, the Transformer computes what nn.Transformer computes."""

import math

import pytest
import torch
from torch import nn

from attncourse.core.masks import padding_mask
from attncourse.core.positions import sinusoidal_positions
from attncourse.models.transformer import Transformer, TransformerConfig
from attncourse.testing import assert_same, gaussian

D, H, FF, LAYERS, V, N, M = 12, 3, 20, 2, 17, 5, 7
OPTIONS = {"dropout": 0.0, "batch_first": True, "dtype": torch.float64}


def theirs_and_ours(pre_norm):
    options = OPTIONS | {"norm_first": pre_norm}
    # the paper's order has no norm after the last layer's own
    last = [nn.LayerNorm(D, dtype=torch.float64) if pre_norm else None for _ in range(2)]
    encoder_layer = nn.TransformerEncoderLayer(D, H, FF, **options)
    decoder_layer = nn.TransformerDecoderLayer(D, H, FF, **options)
    encoder = nn.TransformerEncoder(encoder_layer, LAYERS, last[0], enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(decoder_layer, LAYERS, last[1])
    module = nn.Transformer(D, H, custom_encoder=encoder, custom_decoder=decoder, **OPTIONS)
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(gaussian(*parameter.shape, std=0.5, seed=i))
    config = TransformerConfig(vocabulary=V, d=D, h=H, d_ff=FF, layers=LAYERS, pre_norm=pre_norm)
    ours = Transformer(config).double()
    fill(ours, module)
    return module, ours


@torch.no_grad()
def fill(ours, module):
    for stack, layers in ((ours.encoder, module.encoder), (ours.decoder, module.decoder)):
        for block, layer in zip(stack, layers.layers, strict=True):
            fill_attention(block.attention, layer.self_attn)
            if block.cross_attention is not None:
                fill_attention(block.cross_attention, layer.multihead_attn)
            fill_linear(block.feed_forward.first, layer.linear1.weight, layer.linear1.bias)
            fill_linear(block.feed_forward.second, layer.linear2.weight, layer.linear2.bias)
            for i, norm in enumerate(block.norms, 1):
                fill_norm(norm, getattr(layer, f"norm{i}"))
    if ours.config.pre_norm:
        fill_norm(ours.encoder_norm, module.encoder.norm)
        fill_norm(ours.decoder_norm, module.decoder.norm)


def fill_attention(ours, theirs):
    parts = zip(theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    for linear, (w, b) in zip((ours.query, ours.key, ours.value), parts, strict=True):
        fill_linear(linear, w, b)
    fill_linear(ours.output, theirs.out_proj.weight, theirs.out_proj.bias)


def fill_linear(ours, w, b):
    ours.w.copy_(w.mT)
    ours.b.copy_(b)


def fill_norm(ours, theirs):
    ours.gain.copy_(theirs.weight)
    ours.bias.copy_(theirs.bias)


def tokens(n, seed):
    return torch.randint(0, V, (2, n), generator=torch.Generator().manual_seed(seed))


def expected(module, table, source, target, hidden=None):
    """nn.Transformer between our embeddings and our output; its masks hide where True."""
    source, target = (
        table[t] * math.sqrt(D) + sinusoidal_positions(t.shape[-1], D).double()
        for t in (source, target)
    )
    future = torch.ones(N, N, dtype=torch.bool).triu(1)
    options = {"src_key_padding_mask": hidden, "memory_key_padding_mask": hidden}
    return module(source, target, tgt_mask=future, **options) @ table.mT


@pytest.mark.parametrize("pre_norm", [True, False])
def test_logits_and_gradients_equal_pytorchs(pre_norm):
    module, ours = theirs_and_ours(pre_norm)
    source, target = tokens(M, 0), tokens(N, 1)
    theirs = expected(module, ours.tokens, source, target)
    mine = ours(source, target)
    assert_same(mine, theirs)
    cotangent = gaussian(*mine.shape, seed=5)
    found = torch.autograd.grad((mine * cotangent).sum(), ours.tokens)
    assert_same(found, torch.autograd.grad((theirs * cotangent).sum(), ours.tokens))


@pytest.mark.parametrize("pre_norm", [True, False])
def test_padding_of_the_source_is_hidden_from_both_stacks(pre_norm):
    module, ours = theirs_and_ours(pre_norm)
    source, target, lengths = tokens(M, 0), tokens(N, 1), torch.tensor([4, M])
    mask = padding_mask(lengths, M)
    masked = ours(source, target, source_mask=mask)
    assert_same(masked, expected(module, ours.tokens, source, target, ~mask.squeeze(-2)))
    source[0, 4:] = 3
    assert torch.equal(ours(source, target, source_mask=mask), masked)
    assert_same(ours(source[0, :4], target[0]), masked[0])
