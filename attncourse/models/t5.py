"""Encoder and decoder as in T5: no positions but a learned bias on scores for each distance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from attncourse.core.masks import causal_mask
from attncourse.core.relative import relative_bias, relative_buckets
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.layer_parts import pre_norm
from attncourse.mechanisms.dense.softmax import masked_softmax
from attncourse.models.blocks import Heads, RootMeanSquareNorm, embed, initialise
from attncourse.models.config import StackConfig
from attncourse.models.past import Past

Pair = tuple[Tensor, Tensor]
_EPS = 1e-6  # of T5's norms


@dataclass(frozen=True, kw_only=True)
class T5Config(StackConfig):
    """The sizes of a `T5`: T5-small is vocabulary=32128, d=512, h=8, d_ff=2048, layers=6.

    layers is the number of encoder layers and of decoder layers. Distances fall into `buckets`
    that grow up to `furthest` tokens, as in `relative_buckets`. Heads are d / h wide, as in
    T5-small, -base and -large; the two larger ones have wider heads.

    >>> T5Config(vocabulary=11, d=8, h=2, d_ff=16, layers=1, buckets=7)
    Traceback (most recent call last):
    ValueError: buckets must be even and at least 4: got buckets=7
    """

    vocabulary: int
    buckets: int = 32
    furthest: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        for causal in (False, True):  # for what they raise
            relative_buckets(1, 1, buckets=self.buckets, furthest=self.furthest, causal=causal)


class T5(nn.Module):
    """Pre-norm layers without biases and with ReLU, one table for source, target and output.

    Scores are not divided by sqrt(d). The encoder has one table of biases (buckets, h) for all its
    layers, the decoder another; cross-attention has none. The output is E^T x / sqrt(d). Matrices
    and tables start as normal numbers with standard deviation 0.02 and gains as 1, drawn from
    `generator` (T5's authors scale each matrix by its width). There is no dropout.

    Source: Raffel et al. 2020, section 2.1, in its first form; Hugging Face's
    T5ForConditionalGeneration is the same function of the same parameters.

    >>> model = T5(T5Config(vocabulary=11, d=8, h=2, d_ff=16, layers=1))
    >>> model(torch.tensor([3, 1, 4]), torch.tensor([0, 7])).shape
    torch.Size([2, 11])
    """

    def __init__(self, config: T5Config, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Parameter(torch.empty(config.vocabulary, config.d))
        tables = (nn.Parameter(torch.empty(config.buckets, config.h)) for _ in range(2))
        self.encoder_distances, self.decoder_distances = tables
        self.encoder, self.decoder = (
            nn.ModuleList(T5Layer(config, cross=cross) for _ in range(config.layers))
            for cross in (False, True)
        )
        norms = (RootMeanSquareNorm(config.d, _EPS) for _ in range(2))
        self.encoder_norm, self.decoder_norm = norms
        initialise(self, 0.02, generator)

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
        pairs = self._pairs(self.encode(source, source_mask))
        return self._decode(target, pairs, source_mask, None)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """The memory (..., m, d) that the decoder attends to."""
        m = source.shape[-1]
        bias = relative_bias(self.encoder_distances, m, m, furthest=self.config.furthest)
        x = embed(self.tokens, source)
        for layer in self.encoder:
            x = layer(x, _mask(source_mask, x), bias)
        return self.encoder_norm(x)

    @torch.no_grad()
    def writer(
        self, source: Tensor, source_mask: Tensor | None = None
    ) -> Callable[..., tuple[Tensor, Past]]:
        """A function that reads each token of the target once, as `kv_cache_generate` wants it.

        It takes new tokens (..., n) and the past, None at first, to the logits (..., n, v) and the
        past with them. The source is encoded once, and its keys and values are made once.
        """
        pairs = self._pairs(self.encode(source, source_mask))

        @torch.no_grad()
        def step(tokens: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
            past = Past(self.config.layers) if past is None else past
            logits = self._decode(tokens, pairs, source_mask, past)
            past.tokens += tokens.shape[-1]
            return logits, past

        return step

    def _pairs(self, memory: Tensor) -> list[Pair]:
        """The keys and values of the memory in each layer of the decoder."""
        return [cast(T5Layer, layer).read(memory) for layer in self.decoder]

    def _decode(
        self, target: Tensor, pairs: list[Pair], source_mask: Tensor | None, past: Past | None
    ) -> Tensor:
        n, start = target.shape[-1], 0 if past is None else past.tokens
        furthest, table = self.config.furthest, self.decoder_distances
        bias = relative_bias(table, n, start + n, furthest=furthest, causal=True)
        x, causal = embed(self.tokens, target), causal_mask(n, start + n).to(target.device)
        for i, layer in enumerate(self.decoder):
            keep = None if past is None else partial(past.grown, i)
            memory = pairs[i], _mask(source_mask, x)
            x = layer(x, causal, bias, memory=memory, keep=keep)
        return self.decoder_norm(x) * self.config.d**-0.5 @ self.tokens.mT


class T5Layer(nn.Module):
    """Self-attention, cross-attention in a decoder, a network; each behind its norm and added."""

    def __init__(self, config: T5Config, *, cross: bool) -> None:
        super().__init__()
        d, h = config.d, config.h
        self.attention = Heads(d, h, h)
        self.cross_attention = Heads(d, h, h) if cross else None
        self.up = nn.Parameter(torch.empty(d, config.d_ff))
        self.down = nn.Parameter(torch.empty(config.d_ff, d))
        self.norms = nn.ModuleList(RootMeanSquareNorm(d, _EPS) for _ in range(3 if cross else 2))

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        bias: Tensor,
        *,
        memory: tuple[Pair, Tensor] | None = None,
        keep: Callable[[Tensor, Tensor], Pair] | None = None,
    ) -> Tensor:
        """One layer. memory are keys and values of the source, and its mask; keep takes the new
        keys and values of the target and gives those of all tokens so far.
        """
        first, *middle, last = self.norms

        def attended(y: Tensor) -> Tensor:
            pair = self.attention.pairs(y)
            return _attend(self.attention, y, pair if keep is None else keep(*pair), mask, bias)

        x = pre_norm(x, first, attended)
        if self.cross_attention is not None and memory is not None:
            cross, (pair, seen) = self.cross_attention, memory
            x = pre_norm(x, middle[0], lambda y: _attend(cross, y, pair, seen))
        return pre_norm(x, last, lambda y: (y @ self.up).relu() @ self.down)

    def read(self, memory: Tensor) -> Pair:
        """The keys and values that a decoder's layer finds in the memory (..., m, d)."""
        assert self.cross_attention is not None
        return self.cross_attention.pairs(memory)


def _attend(
    heads: Heads, y: Tensor, pair: Pair, mask: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Attention with scores that are not scaled, and a bias (h, n, m) on them if there is one."""
    scores = heads.queries(y) @ pair[0].mT
    scores = scores if bias is None else scores + bias
    weights = masked_softmax(scores, mask.unsqueeze(-3))
    return heads.joined(weights @ pair[1])


def _mask(given: Tensor | None, x: Tensor) -> Tensor:
    """A mask that hides nothing, where none is given."""
    return torch.ones(1, 1, dtype=torch.bool, device=x.device) if given is None else given
