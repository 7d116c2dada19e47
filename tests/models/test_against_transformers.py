"""With the same weights, the models compute what Hugging Face's compute."""

import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

from attncourse.core.masks import padding_mask
from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.vision_transformer import VisionTransformer, VisionTransformerConfig
from attncourse.testing import assert_same, gaussian

D, H, FF, LAYERS, V, LENGTH = 12, 3, 20, 2, 17, 9
SIZES = {"d": D, "h": H, "d_ff": FF, "layers": LAYERS}
THEIRS = {"hidden_size": D, "num_attention_heads": H, "num_hidden_layers": LAYERS}
THEIRS |= {"intermediate_size": FF, "attn_implementation": "eager"}
TOKENS = torch.randint(0, V, (2, 7), generator=torch.Generator().manual_seed(0))


def scrambled(module):
    """The module in float64 and eval mode, all its parameters random (biases and gains too)."""
    module = module.double().eval()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(gaussian(*parameter.shape, std=0.5, seed=i))
    return module


@torch.no_grad()
def copy(pairs):
    """Copy their modules' weights into ours: linear maps (transposed), norms, plain tables."""
    for ours, theirs in pairs:
        if isinstance(ours, torch.nn.Parameter):
            ours.copy_(theirs.reshape(ours.shape))
        elif hasattr(ours, "gain"):
            ours.gain.copy_(theirs.weight)
            ours.bias.copy_(theirs.bias)
        else:
            ours.w.copy_(theirs.weight.reshape(theirs.weight.shape[0], -1).mT)
            ours.b.copy_(theirs.bias)


def gradient_of_sum(outputs, parameter):
    return torch.autograd.grad((outputs * gaussian(*outputs.shape, seed=99)).sum(), parameter)[0]


def bert():
    config = BertConfig(vocab_size=V, max_position_embeddings=LENGTH, pad_token_id=None, **THEIRS)
    theirs = scrambled(BertModel(config))
    ours = Encoder(EncoderConfig(vocabulary=V, length=LENGTH, **SIZES)).double()
    tables = theirs.embeddings
    copy(
        [
            (ours.tokens, tables.word_embeddings.weight),
            (ours.positions, tables.position_embeddings.weight),
            (ours.segments, tables.token_type_embeddings.weight),
            (ours.norm, tables.LayerNorm),
            (ours.pooler, theirs.pooler.dense),
        ]
    )
    for block, layer in zip(ours.blocks, theirs.encoder.layer, strict=True):
        mine, own, out = block.attention, layer.attention.self, layer.attention.output
        copy([(mine.query, own.query), (mine.key, own.key), (mine.value, own.value)])
        copy([(mine.output, out.dense), (block.norms[0], out.LayerNorm)])
        copy([(block.feed_forward.first, layer.intermediate.dense)])
        copy([(block.feed_forward.second, layer.output.dense)])
        copy([(block.norms[1], layer.output.LayerNorm)])
    return ours, theirs


def test_the_encoder_equals_bert():
    ours, theirs = bert()
    segments, lengths = (TOKENS > 8).long(), torch.tensor([7, 4])
    theirs_out = theirs(TOKENS, token_type_ids=segments)
    hidden = ours(TOKENS, segments=segments)
    assert_same(hidden, theirs_out.last_hidden_state)
    assert_same(ours.pooled(hidden), theirs_out.pooler_output)
    assert_same(ours(TOKENS), theirs(TOKENS).last_hidden_state)
    keep = (torch.arange(7) < lengths[:, None]).long()
    masked = theirs(TOKENS, attention_mask=keep).last_hidden_state
    assert_same(ours(TOKENS, mask=padding_mask(lengths, 7)), masked)
    pairs = (ours.tokens, theirs.embeddings.word_embeddings.weight)
    mine, other = (
        gradient_of_sum(y, p) for y, p in zip((hidden, theirs_out[0]), pairs, strict=True)
    )
    assert_same(mine, other)


def test_token_logits_are_tied_to_the_token_table():
    ours, _ = bert()
    hidden = ours(TOKENS)
    assert_same(ours.token_logits(hidden), torch.einsum("bnd,vd->bnv", hidden, ours.tokens))


def gpt2():
    sizes = {"n_embd": D, "n_layer": LAYERS, "n_head": H, "n_inner": FF, "n_positions": LENGTH}
    config = GPT2Config(
        vocab_size=V,
        activation_function="gelu",
        attn_implementation="eager",
        bos_token_id=None,
        eos_token_id=None,
        **sizes,
    )
    theirs = scrambled(GPT2LMHeadModel(config))
    ours = Decoder(DecoderConfig(vocabulary=V, length=LENGTH, **SIZES)).double()
    body = theirs.transformer
    copy([(ours.tokens, body.wte.weight), (ours.positions, body.wpe.weight)])
    copy([(ours.norm, body.ln_f)])
    for block, layer in zip(ours.blocks, body.h, strict=True):
        copy([(block.norms[0], layer.ln_1), (block.norms[1], layer.ln_2)])
        mine = block.attention
        stacked = zip(
            layer.attn.c_attn.weight.chunk(3, 1), layer.attn.c_attn.bias.chunk(3), strict=True
        )
        for linear, (w, b) in zip((mine.query, mine.key, mine.value), stacked, strict=True):
            copy([(linear.w, w), (linear.b, b)])
        network = block.feed_forward
        for linear, conv in (
            (mine.output, layer.attn.c_proj),
            (network.first, layer.mlp.c_fc),
            (network.second, layer.mlp.c_proj),
        ):
            copy([(linear.w, conv.weight), (linear.b, conv.bias)])
    return ours, theirs


def test_the_decoder_equals_gpt2():
    ours, theirs = gpt2()
    logits, other = ours(TOKENS), theirs(TOKENS).logits
    assert_same(logits, other)
    assert_same(ours.hidden(TOKENS), theirs.transformer(TOKENS).last_hidden_state)
    mine = gradient_of_sum(logits, ours.tokens)  # the sum over both uses of the tied table
    assert_same(mine, gradient_of_sum(other, theirs.transformer.wte.weight))


def test_the_decoder_hides_left_padding_as_gpt2_does():
    ours, theirs = gpt2()
    keep = torch.tensor([[True] * 7, [False] * 3 + [True] * 4])
    at = torch.arange(7).expand(2, 7)
    other = theirs(TOKENS, attention_mask=keep.long(), position_ids=at).logits
    assert_same(ours(TOKENS, mask=keep[:, None])[keep], other[keep])


def test_the_rotary_decoder_equals_gpt_neox():
    config = GPTNeoXConfig(
        vocab_size=V,
        max_position_embeddings=LENGTH,
        use_parallel_residual=False,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 1.0,
        },
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        **THEIRS,
    )
    theirs = scrambled(GPTNeoXForCausalLM(config))
    sizes = SIZES | {"vocabulary": V, "length": LENGTH, "positions": "rotary"}
    ours = Decoder(DecoderConfig(**sizes)).double()
    body = theirs.gpt_neox
    copy([(ours.tokens, body.embed_in.weight), (ours.norm, body.final_layer_norm)])
    for block, layer in zip(ours.blocks, body.layers, strict=True):
        mine, stacked = block.attention, layer.attention.query_key_value
        weights = stacked.weight.unflatten(0, (H, 3, -1)).unbind(1)  # head by head: q, k, v
        biases = stacked.bias.unflatten(0, (H, 3, -1)).unbind(1)
        for linear, w, b in zip((mine.query, mine.key, mine.value), weights, biases, strict=True):
            copy([(linear.w, w.flatten(0, 1).mT), (linear.b, b.flatten())])
        copy([(block.norms[0], layer.input_layernorm)])
        copy([(block.norms[1], layer.post_attention_layernorm)])
        copy([(mine.output, layer.attention.dense)])
        copy([(block.feed_forward.first, layer.mlp.dense_h_to_4h)])
        copy([(block.feed_forward.second, layer.mlp.dense_4h_to_h)])
    # theirs keeps angles in float32 and its eager softmax too
    torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, rtol=1e-5, atol=1e-5)


def vit():
    height, width, patch, channels, classes = 6, 9, 3, 2, 5
    config = ViTConfig(
        image_size=(height, width),
        patch_size=patch,
        num_channels=channels,
        num_labels=classes,
        layer_norm_eps=1e-6,
        **THEIRS | {"attn_implementation": "sdpa"},  # its eager form has a softmax in float32
    )
    theirs = scrambled(ViTForImageClassification(config))
    image = {"height": height, "width": width, "patch": patch, "channels": channels}
    ours = VisionTransformer(VisionTransformerConfig(classes=classes, **image, **SIZES)).double()
    body = theirs.vit
    copy(
        [
            (ours.class_token, body.embeddings.cls_token),
            (ours.positions, body.embeddings.position_embeddings),
            (ours.patch_embedding, body.embeddings.patch_embeddings.projection),
            (ours.norm, body.layernorm),
            (ours.head, theirs.classifier),
        ]
    )
    for block, layer in zip(ours.blocks, body.layers, strict=True):
        mine, other = block.attention, layer.attention
        copy([(block.norms[0], layer.layernorm_before), (block.norms[1], layer.layernorm_after)])
        copy([(mine.query, other.q_proj), (mine.key, other.k_proj), (mine.value, other.v_proj)])
        copy([(mine.output, other.o_proj), (block.feed_forward.first, layer.mlp.fc1)])
        copy([(block.feed_forward.second, layer.mlp.fc2)])
    return ours, theirs


def test_the_vision_transformer_equals_vit():
    ours, theirs = vit()
    images = gaussian(4, 2, 6, 9)
    logits, other = ours(images), theirs(images).logits
    assert_same(logits, other)
    assert_same(ours.hidden(images), theirs.vit(images).last_hidden_state)
    theirs_table = theirs.vit.embeddings.position_embeddings
    mine = gradient_of_sum(logits, ours.positions)
    assert_same(mine, gradient_of_sum(other, theirs_table)[0])
