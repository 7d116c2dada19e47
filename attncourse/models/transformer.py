"""The Transformer of 2017: an encoder, and a decoder that attends to the encoder's output."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from attncourse.core.masks import causal_mask
from attncourse.core.positions import sinusoidal_positions
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import feed_forward
from attncourse.models.blocks import Block, Norm, embed, initialise
from attncourse.models.config import StackConfig


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(StackConfig):
    """The sizes of a `Transformer`: the base model is d=512, h=8, d_ff=2048, layers=6 and a
    vocabulary of about 37000.

    layers is the number of encoder layers and of decoder layers. One vocabulary serves source and
    target. The paper normalises after each sum; pre_norm normalises before each part, with a last
    norm for either stack. d must be even.

    >>> TransformerConfig(vocabulary=11, d=8, h=2, d_ff=16, layers=1).pre_norm
    False
    """

    vocabulary: int
    pre_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d % 2:
            raise ValueError(f"d must be even for sinusoidal positions: got d={self.d}")
        if not isinstance(self.pre_norm, bool):
            raise TypeError(f"pre_norm must be True or False: got {self.pre_norm!r}")


class Transformer(nn.Module):
    """Encoder and decoder layers with ReLU, one table for source, target and output.

    Embeddings are multiplied by sqrt(d) and sinusoids are added. The table starts as normal numbers
    with standard deviation d^-1/2, matrices with the same (as much as Xavier's for square ones),
    biases as 0 and gains as 1, drawn from `generator`. There is no dropout.

    Source: Vaswani et al. 2017, sections 3.1 to 3.5; pre-norm: Xiong et al. 2020.

    >>> model = Transformer(TransformerConfig(vocabulary=11, d=8, h=2, d_ff=16, layers=1))
    >>> model(torch.tensor([3, 1, 4]), torch.tensor([2, 7])).shape
    torch.Size([2, 11])
    """

    def __init__(self, config: TransformerConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Parameter(torch.empty(config.vocabulary, config.d))
        self.encoder = _stack(config, cross=False)
        self.decoder = _stack(config, cross=True)
        last = (Norm(config.d, 1e-5) if config.pre_norm else nn.Identity() for _ in range(2))
        self.encoder_norm, self.decoder_norm = last
        initialise(self, config.d**-0.5, generator)

    @checked
    def forward(
        self,
        source: Integer[Tensor, "... m"],
        target: Integer[Tensor, "... n"],
        *,
        source_mask: Bool[Tensor, "... 1 m"] | None = None,
    ) -> Float[Tensor, "... n v"]:
        """The logits of the token that follows each target token, given the whole source.

        source_mask hides padded source tokens from encoder and decoder, as
        `padding_mask(lengths, m)` does. Raises ValueError for tokens outside the vocabulary.
        """
        return self.decode(target, self.encode(source, source_mask), source_mask)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """The memory (..., m, d) that the decoder attends to."""
        x = self._embed(source)
        for block in self.encoder:
            x = block(x, mask=source_mask)
        return self.encoder_norm(x)

    def decode(self, target: Tensor, memory: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """The logits (..., n, vocabulary), given the memory."""
        x, n = self._embed(target), target.shape[-1]
        causal = causal_mask(n, n).to(target.device)
        for block in self.decoder:
            x = block(x, memory, mask=causal, memory_mask=source_mask)
        return self.decoder_norm(x) @ self.tokens.mT

    def _embed(self, tokens: Tensor) -> Tensor:
        x = embed(self.tokens, tokens) * math.sqrt(self.config.d)
        return x + sinusoidal_positions(*x.shape[-2:]).to(x)


def _stack(config: TransformerConfig, *, cross: bool) -> nn.ModuleList:
    pre_norm = config.pre_norm
    blocks = (
        Block(config, feed_forward, pre_norm=pre_norm, cross=cross) for _ in range(config.layers)
    )
    return nn.ModuleList(blocks)
