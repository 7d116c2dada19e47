"""Sizes: the published numbers of parameters, and what bad sizes and bad input are told."""

import dataclasses

import pytest
import torch
from miniatures import IMAGE, MODELS, SIZES, TOKENS, V, every_model

from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.llama import Llama, LlamaConfig
from attncourse.models.t5 import T5, T5Config
from attncourse.models.transformer import Transformer, TransformerConfig
from attncourse.models.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
    cut_patches,
)


def parameters(build, config):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())


def sizes(d, h, layers):
    return {"d": d, "h": h, "d_ff": 4 * d, "layers": layers}


BERT = {"vocabulary": 30522, "length": 512}
IMAGENET = {"height": 224, "width": 224, "patch": 16, "classes": 1000}


@pytest.mark.parametrize(
    ("build", "config", "expected"),
    [
        (Encoder, EncoderConfig(**BERT, **sizes(768, 12, 12)), 109_482_240),
        (Encoder, EncoderConfig(**BERT, **sizes(1024, 16, 24)), 335_141_888),
        (
            Decoder,
            DecoderConfig(vocabulary=50257, length=1024, **sizes(768, 12, 12)),
            124_439_808,
        ),
        (
            Decoder,
            DecoderConfig(vocabulary=50257, length=1024, **sizes(1600, 25, 48)),
            1_557_611_200,
        ),
        (
            Decoder,
            DecoderConfig(vocabulary=50257, length=2048, **sizes(12288, 96, 96)),
            174_604_259_328,
        ),
        (
            VisionTransformer,
            VisionTransformerConfig(**IMAGENET, **sizes(768, 12, 12)),
            86_567_656,
        ),
        (
            Transformer,
            TransformerConfig(vocabulary=37000, **sizes(512, 8, 6)),
            63_082_496,
        ),
        (T5, T5Config(vocabulary=32128, **sizes(512, 8, 6)), 60_506_624),
        (T5, T5Config(vocabulary=32128, **sizes(768, 12, 12)), 222_903_552),
        (
            Llama,
            LlamaConfig(
                vocabulary=32000, g=32, tied=False, **sizes(4096, 32, 32) | {"d_ff": 11008}
            ),
            6_738_415_616,
        ),
        (
            Llama,
            LlamaConfig(vocabulary=49152, g=3, **sizes(576, 9, 30) | {"d_ff": 1536}),
            134_515_008,
        ),
    ],
    ids=[
        *("BERT-base", "BERT-large", "GPT-2", "GPT-2 XL", "GPT-3", "ViT-B/16"),
        *("Transformer-base", "T5-small", "T5-base", "LLaMA-7B", "SmolLM2"),
    ],
)
def test_published_sizes_give_the_published_number_of_parameters(build, config, expected):
    assert parameters(build, config) == expected


def test_gpt_1_has_a_norm_less():
    """The decoder's last norm is GPT-2's; GPT-1, 116,534,784 parameters, has none."""
    config = DecoderConfig(vocabulary=40478, length=512, **sizes(768, 12, 12))
    assert parameters(Decoder, config) == 116_534_784 + 2 * 768


def test_rotary_positions_have_no_parameters():
    learned, rotary = (
        parameters(Decoder, DecoderConfig(vocabulary=V, length=9, positions=p, **SIZES))
        for p in ("learned", "rotary")
    )
    assert learned - rotary == 9 * SIZES["d"]


BAD_CONFIGS = [
    (
        lambda: EncoderConfig(vocabulary=V, length=0, **SIZES),
        "length must be at least 1: got length=0",
    ),
    (
        lambda: EncoderConfig(vocabulary=V, length=9, **SIZES | {"h": 5}),
        "h must divide d: got h=5 and d=12",
    ),
    (
        lambda: EncoderConfig(vocabulary=True, length=9, **SIZES),
        "vocabulary must be an integer: got a bool",
    ),
    (
        lambda: DecoderConfig(vocabulary=V, length=9, positions="sine", **SIZES),
        "positions must be one of ('learned', 'rotary'): got 'sine'",
    ),
    (
        lambda: DecoderConfig(vocabulary=V, length=9, positions="rotary", **SIZES | {"h": 4}),
        "d / h must be even for rotary positions: got d=12 and h=4",
    ),
    (
        lambda: TransformerConfig(vocabulary=V, **SIZES | {"d": 9}),
        "d must be even for sinusoidal positions: got d=9",
    ),
    (
        lambda: VisionTransformerConfig(**IMAGE | {"patch": 4}, **SIZES),
        "patch must divide height and width: got patch=4, height=6 and width=9",
    ),
    (
        lambda: LlamaConfig(vocabulary=V, g=2, **SIZES),
        "g must divide h: got g=2 and h=3",
    ),
    (
        lambda: LlamaConfig(vocabulary=V, g=1, **SIZES | {"h": 4}),
        "d / h must be even for rotary positions: got d=12 and h=4",
    ),
    (
        lambda: T5Config(vocabulary=V, buckets=6, furthest=3, **SIZES),
        "furthest must be more than the 3 distances with a bucket of their own: got furthest=3",
    ),
    (
        lambda: T5Config(vocabulary=V, buckets=5, **SIZES),
        "buckets must be even and at least 4: got buckets=5",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD_CONFIGS)
def test_a_bad_configuration_gets_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("encoder", "d_ff", 2.5, "d_ff must be an integer: got a float"),
        ("transformer", "pre_norm", "yes", "pre_norm must be True or False: got 'yes'"),
        ("llama", "tied", 1, "tied must be True or False: got 1"),
    ],
)
def test_a_size_of_the_wrong_kind_gets_one_sentence(name, field, value, message):
    config = dataclasses.replace(MODELS[name][1])
    object.__setattr__(config, field, value)  # past the annotations, which test runs check first
    with pytest.raises(TypeError) as caught:
        config.__post_init__()
    assert str(caught.value) == message


@every_model
def test_a_configuration_is_frozen(build, config, x, run):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d = 13
    assert build(config).config is config


def model_of(name):
    build, config, *_ = MODELS[name]
    return build(config)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: model_of("encoder")(torch.tensor([3, 17])),
            "tokens must lie between 0 and 16: got from 3 to 17",
        ),
        (
            lambda: model_of("encoder")(TOKENS, segments=TOKENS - 1),
            "segments must lie between 0 and 1: got from -1 to 15",
        ),
        (
            lambda: model_of("encoder")(torch.zeros(10, dtype=torch.long)),
            "start + n must be at most p, the number of learned positions"
            ": got start=0, n=10 and p=9",
        ),
        (
            lambda: model_of("decoder")(torch.zeros(10, dtype=torch.long)),
            "n must be at most length: got n=10 and length=9",
        ),
        (
            lambda: model_of("decoder")(torch.zeros(3)),
            "tokens must hold integers: got torch.float32",
        ),
        (
            lambda: model_of("vision transformer")(torch.zeros(2, 9, 6)),
            "images must be (..., 2, 6, 9): got (2, 9, 6)",
        ),
        (
            lambda: cut_patches(torch.zeros(2, 9, 6), 4),
            "patch must divide height and width: got patch=4 for (2, 9, 6)",
        ),
        (
            lambda: model_of("encoder")(TOKENS, mask=torch.ones(5, 5, dtype=torch.bool)),
            "tokens and mask must share n, the last axis of tokens and the second-to-last axis of"
            " mask (or mask have 1 there): got n=7 for tokens (2, 3, 7) and n=5 for mask (5, 5)",
        ),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message
