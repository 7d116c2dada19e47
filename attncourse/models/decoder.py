"""A decoder as in GPT: every token attends to itself and to the past, pre-norm."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from attncourse.core.masks import causal_mask
from attncourse.core.positions import learned_positions, rotary
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.models.blocks import Block, Norm, embed, initialise
from attncourse.models.config import StackConfig

POSITIONS = ("learned", "rotary")


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(StackConfig):
    """The sizes of a `Decoder`: GPT-2 is vocabulary=50257, length=1024, d=768, h=12, d_ff=3072,
    layers=12.

    positions: "learned" adds a table of `length` rows to the embeddings, "rotary" turns queries and
    keys (d / h must be even) and has no parameters. length is the largest number of tokens.

    >>> DecoderConfig(vocabulary=11, length=5, d=8, h=3, d_ff=16, layers=1)
    Traceback (most recent call last):
    ValueError: h must divide d: got h=3 and d=8
    """

    vocabulary: int
    length: int
    positions: str = "learned"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}: got {self.positions!r}")
        if self.positions == "rotary" and self.d // self.h % 2:
            raise ValueError(
                f"d / h must be even for rotary positions: got d={self.d} and h={self.h}"
            )


class Decoder(nn.Module):
    """A causal language model: embeddings, pre-norm layers with GELU, a last norm, tied output.

    Matrices and tables start as normal numbers with standard deviation 0.02, biases as 0 and gains
    as 1, drawn from `generator`. There is no dropout.

    Source: Radford et al. 2019, section 2.3; Hugging Face's GPT2LMHeadModel is the same function of
    the same parameters, save that GPT-2 approximates the GELU by a tanh. Rotary: Su et al. 2021.

    >>> config = DecoderConfig(vocabulary=11, length=5, d=8, h=2, d_ff=16, layers=1)
    >>> logits = Decoder(config)(torch.tensor([[3, 1, 4], [3, 1, 5]]))
    >>> logits.shape, logits[0, 1].equal(logits[1, 1])  # the second token sees no third one
    (torch.Size([2, 3, 11]), True)
    """

    def __init__(self, config: DecoderConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Parameter(torch.empty(config.vocabulary, config.d))
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.length, config.d))
        blocks = (Block(config, gelu_feed_forward, pre_norm=True) for _ in range(config.layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = Norm(config.d, 1e-5)
        initialise(self, 0.02, generator)

    @checked
    def forward(
        self, tokens: Integer[Tensor, "... n"], *, mask: Bool[Tensor, "... #n #n"] | None = None
    ) -> Float[Tensor, "... n v"]:
        """The logits of the token that follows each token.

        mask hides more than the future, True where a query may attend, without an axis for heads
        (padding on the right needs none: it is future). Raises ValueError for tokens outside the
        vocabulary and for n > length.
        """
        return self.hidden(tokens, mask=mask) @ self.tokens.mT

    @checked
    def hidden(
        self, tokens: Integer[Tensor, "... n"], *, mask: Bool[Tensor, "... #n #n"] | None = None
    ) -> Float[Tensor, "... n d"]:
        """What the logits are computed from: the output of the last norm for each token."""
        n = tokens.shape[-1]
        if n > self.config.length:
            raise ValueError(f"n must be at most length: got n={n} and length={self.config.length}")
        x, turn = embed(self.tokens, tokens), None
        if self.config.positions == "learned":
            x = x + learned_positions(self.positions, n)
        else:
            turn = partial(rotary, positions=torch.arange(n, device=tokens.device))
        seen = causal_mask(n, n).to(tokens.device)
        seen = seen if mask is None else seen & mask
        for block in self.blocks:
            x = block(x, mask=seen, turn=turn)
        return self.norm(x)
