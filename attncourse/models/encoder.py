"""An encoder as in BERT: every token attends to every other, post-norm."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from attncourse.core.positions import learned_positions
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.models.blocks import Block, Linear, Norm, embed, initialise
from attncourse.models.config import StackConfig

_EPS = 1e-12  # of BERT's layer norms


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(StackConfig):
    """The sizes of an `Encoder`: BERT-base is vocabulary=30522, length=512, d=768, h=12,
    d_ff=3072, layers=12.

    length is the largest number of tokens, segments the number of kinds of segment (sentence A, B).

    >>> EncoderConfig(vocabulary=11, length=5, d=8, h=2, d_ff=16, layers=1).segments
    2
    """

    vocabulary: int
    length: int
    segments: int = 2


class Encoder(nn.Module):
    """Token, position and segment embeddings, a norm, then post-norm layers with GELU.

    Matrices and tables start as normal numbers with standard deviation 0.02, biases as 0 and gains
    as 1, drawn from `generator`. There is no dropout. FLOPs and memory: those of the layers.

    Source: Devlin et al. 2018, section 3 and appendix A.2; Hugging Face's BertModel is the same
    function of the same parameters.

    >>> model = Encoder(EncoderConfig(vocabulary=11, length=5, d=8, h=2, d_ff=16, layers=1))
    >>> hidden = model(torch.tensor([3, 1, 4]))
    >>> hidden.shape, model.token_logits(hidden).shape
    (torch.Size([3, 8]), torch.Size([3, 11]))
    """

    def __init__(self, config: EncoderConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Parameter(torch.empty(config.vocabulary, config.d))
        self.positions = nn.Parameter(torch.empty(config.length, config.d))
        self.segments = nn.Parameter(torch.empty(config.segments, config.d))
        self.norm = Norm(config.d, _EPS)
        blocks = (
            Block(config, gelu_feed_forward, pre_norm=False, eps=_EPS) for _ in range(config.layers)
        )
        self.blocks = nn.ModuleList(blocks)
        self.pooler = Linear(config.d, config.d)
        initialise(self, 0.02, generator)

    @checked
    def forward(
        self,
        tokens: Integer[Tensor, "... n"],
        *,
        segments: Integer[Tensor, "... n"] | None = None,
        mask: Bool[Tensor, "... #n #n"] | None = None,
    ) -> Float[Tensor, "... n d"]:
        """The last layer's output for each token; segments are 0 where none are given.

        mask is True where a query may attend, without an axis for heads: `padding_mask(lengths, n)`
        hides padding. Raises ValueError for tokens outside the vocabulary and for n > length.
        """
        kinds = torch.zeros_like(tokens) if segments is None else segments
        x = embed(self.tokens, tokens) + embed(self.segments, kinds, "segments")
        x = self.norm(x + learned_positions(self.positions, tokens.shape[-1]))
        for block in self.blocks:
            x = block(x, mask=mask)
        return x

    @checked
    def pooled(self, hidden: Float[Tensor, "... n d"]) -> Float[Tensor, "... d"]:
        """One vector for the sequence: tanh(x_1 W + b), from the output of its first token."""
        return self.pooler(hidden[..., 0, :]).tanh()

    @checked
    def token_logits(self, hidden: Float[Tensor, "... n d"]) -> Float[Tensor, "... n v"]:
        """A score for each word of the vocabulary, by the token table itself: hidden E^T.

        Tied: masked-token prediction costs no parameters. Source: Press and Wolf 2016.
        """
        return hidden @ self.tokens.mT
