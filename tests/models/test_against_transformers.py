"""With the same weights, the models compute what Hugging Face's compute."""

import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaForCausalLM,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)
from transformers import (
    LlamaConfig as TheirLlamaConfig,
)
from transformers import (
    T5Config as TheirT5Config,
)

from attncourse.core.masks import padding_mask
from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.llama import Llama, LlamaConfig
from attncourse.models.t5 import T5, T5Config
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


def t5():
    sizes = {"d_model": D, "d_kv": D // H, "d_ff": FF, "num_layers": LAYERS, "num_heads": H}
    sizes |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}
    config = TheirT5Config(vocab_size=V, attn_implementation="eager", **sizes)
    theirs = scrambled(T5ForConditionalGeneration(config))
    ours = T5(T5Config(vocabulary=V, buckets=8, furthest=6, **SIZES)).double()
    copy([(ours.tokens, theirs.shared.weight)])
    for name in ("encoder", "decoder"):
        stack, tables = getattr(theirs, name), getattr(ours, f"{name}_distances")
        table = stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        copy([(tables, table)])
        copy_gain(getattr(ours, f"{name}_norm"), stack.final_layer_norm)
        for layer, block in zip(getattr(ours, name), stack.block, strict=True):
            for norm, part in zip(layer.norms, block.layer, strict=True):
                copy_gain(norm, part.layer_norm)
            attentions = [(layer.attention, block.layer[0].SelfAttention)]
            if name == "decoder":
                attentions.append((layer.cross_attention, block.layer[1].EncDecAttention))
            for mine, other in attentions:
                pairs = zip((mine.query, mine.key, mine.value, mine.output), "qkvo", strict=True)
                copy([(w, getattr(other, letter).weight.mT) for w, letter in pairs])
            network = block.layer[-1].DenseReluDense
            copy([(layer.up, network.wi.weight.mT), (layer.down, network.wo.weight.mT)])
    return ours, theirs


@torch.no_grad()
def copy_gain(ours, theirs):
    ours.gain.copy_(theirs.weight)


def test_t5_equals_t5():
    ours, theirs = t5()
    source, target, lengths = TOKENS, TOKENS.flip(0)[:, :5], torch.tensor([7, 4])
    logits = ours(source, target)
    other = theirs(input_ids=source, decoder_input_ids=target).logits
    close = {"rtol": 1e-5, "atol": 1e-5}  # the squares of their norms are float32
    torch.testing.assert_close(logits, other, **close)
    memory = theirs.encoder(input_ids=source).last_hidden_state
    torch.testing.assert_close(ours.encode(source), memory, **close)
    keep = (torch.arange(7) < lengths[:, None]).long()
    masked = theirs(input_ids=source, attention_mask=keep, decoder_input_ids=target).logits
    found = ours(source, target, source_mask=padding_mask(lengths, 7))
    torch.testing.assert_close(found, masked, **close)
    mine = gradient_of_sum(logits, ours.tokens)  # of all three uses of the table
    torch.testing.assert_close(mine, gradient_of_sum(other, theirs.shared.weight), **close)


def test_llama_equals_llama():
    config = TheirLlamaConfig(
        **{"vocab_size": V, "num_key_value_heads": 1, "rms_norm_eps": 1e-5},
        **{"tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": None},
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        **THEIRS,
    )
    theirs = scrambled(LlamaForCausalLM(config))
    ours = Llama(LlamaConfig(vocabulary=V, g=1, tied=False, base=500.0, **SIZES)).double()
    copy([(ours.tokens, theirs.model.embed_tokens.weight)])
    copy([(ours.output, theirs.lm_head.weight.mT)])
    copy_gain(ours.norm, theirs.model.norm)
    for layer, block in zip(ours.layers, theirs.model.layers, strict=True):
        copy_gain(layer.norms[0], block.input_layernorm)
        copy_gain(layer.norms[1], block.post_attention_layernorm)
        for name in ("query", "key", "value", "output"):
            weight = getattr(block.self_attn, f"{name[0]}_proj").weight
            copy([(getattr(layer.attention, name), weight.mT)])
        for name in ("gate", "up", "down"):
            copy([(getattr(layer, name), getattr(block.mlp, f"{name}_proj").weight.mT)])
    logits, other = ours(TOKENS), theirs(TOKENS).logits
    # theirs keeps angles, squares of norms and its eager softmax in float32
    torch.testing.assert_close(logits, other, rtol=1e-5, atol=1e-5)
    mine = gradient_of_sum(logits, ours.tokens)
    theirs = gradient_of_sum(other, theirs.model.embed_tokens.weight)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


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
