"""Small models of every kind, what they read, and all that they compute."""

import pytest
import torch

from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.llama import Llama, LlamaConfig
from attncourse.models.t5 import T5, T5Config
from attncourse.models.transformer import Transformer, TransformerConfig
from attncourse.models.vision_transformer import VisionTransformer, VisionTransformerConfig
from attncourse.testing import gaussian

V, N = 17, 7
SIZES = {"d": 12, "h": 3, "d_ff": 20, "layers": 2}
TOKENS = torch.randint(0, V, (2, 3, N), generator=torch.Generator().manual_seed(0))
IMAGES = gaussian(2, 3, 2, 6, 9)
IMAGE = {"height": 6, "width": 9, "patch": 3, "channels": 2, "classes": 5}


def everything_of_the_encoder(model, tokens):
    hidden = model(tokens)
    return torch.cat([model.token_logits(hidden).flatten(-2), model.pooled(hidden)], dim=-1)


def both_stacks(model, tokens):
    return model(tokens, tokens[..., :4])


# the model, its configuration, what it reads and all that it computes
MODELS = {
    "encoder": (
        Encoder,
        EncoderConfig(vocabulary=V, length=9, **SIZES),
        TOKENS,
        everything_of_the_encoder,
    ),
    "decoder": (Decoder, DecoderConfig(vocabulary=V, length=9, **SIZES), TOKENS, Decoder.__call__),
    "rotary decoder": (
        Decoder,
        DecoderConfig(vocabulary=V, length=9, positions="rotary", **SIZES),
        TOKENS,
        Decoder.__call__,
    ),
    "transformer": (Transformer, TransformerConfig(vocabulary=V, **SIZES), TOKENS, both_stacks),
    "pre-norm transformer": (
        Transformer,
        TransformerConfig(vocabulary=V, pre_norm=True, **SIZES),
        TOKENS,
        both_stacks,
    ),
    "llama": (
        Llama,
        LlamaConfig(vocabulary=V, g=1, tied=False, **SIZES),
        TOKENS,
        Llama.__call__,
    ),
    "t5": (T5, T5Config(vocabulary=V, buckets=4, furthest=5, **SIZES), TOKENS, both_stacks),
    "vision transformer": (
        VisionTransformer,
        VisionTransformerConfig(**IMAGE, **SIZES),
        IMAGES,
        VisionTransformer.__call__,
    ),
}
every_model = pytest.mark.parametrize(
    ("build", "config", "x", "run"), MODELS.values(), ids=list(MODELS)
)


def seeded(build, config, seed=0):
    return build(config, generator=torch.Generator().manual_seed(seed)).double()


@torch.no_grad()
def lively(build, config):
    """The model with all its parameters random and so large that attention is far from even."""
    model = seeded(build, config)
    for i, parameter in enumerate(model.parameters()):
        parameter.copy_(gaussian(*parameter.shape, std=0.5, seed=i))
    return model
