"""A decoder as in LLaMA: root-mean-square norms, rotary positions, shared keys, gated networks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from attncourse.core.masks import causal_mask
from attncourse.core.positions import rotary
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import swiglu
from attncourse.mechanisms.dense.layer_parts import pre_norm
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.models.blocks import Heads, RootMeanSquareNorm, embed, initialise
from attncourse.models.config import StackConfig
from attncourse.models.past import Past
from attncourse.models.pretrained.smollm_parts import parts

Keep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# a layer's tensors, and what SmolLM2's are called
_SMOLLM = {
    **{"norms.0.gain": "norm_1", "norms.1.gain": "norm_2"},
    **{"attention.query": "q", "attention.key": "k", "attention.value": "v"},
    **{"attention.output": "o", "gate": "gate", "up": "up", "down": "down"},
}


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(StackConfig):
    """The sizes of a `Llama`: LLaMA-7B is vocabulary=32000, d=4096, h=32, g=32, d_ff=11008,
    layers=32, tied=False.

    g heads of keys and values serve the h heads of queries. tied: the output uses the table of
    tokens. base is that of the rotary angles, eps that of the norms. Raises ValueError unless g
    divides h and d / h is even.

    >>> LlamaConfig(vocabulary=11, d=8, h=4, g=3, d_ff=16, layers=1)
    Traceback (most recent call last):
    ValueError: g must divide h: got g=3 and h=4
    """

    vocabulary: int
    g: int
    tied: bool = True
    base: float = 10_000.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.h % self.g:
            raise ValueError(f"g must divide h: got g={self.g} and h={self.h}")
        if self.d // self.h % 2:
            raise ValueError(
                f"d / h must be even for rotary positions: got d={self.d} and h={self.h}"
            )
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied must be True or False: got {self.tied!r}")


class Llama(nn.Module):
    """A causal language model without biases: pre-norm layers, a last norm, an output.

    Matrices and tables start as normal numbers with standard deviation 0.02 and gains as 1, drawn
    from `generator`. There is no dropout, and no largest length.

    Source: Touvron et al. 2023, section 2.2; shared keys: Ainslie et al. 2023. Hugging Face's
    LlamaForCausalLM is the same function of the same parameters.

    >>> model = Llama(LlamaConfig(vocabulary=11, d=8, h=4, g=2, d_ff=16, layers=1))
    >>> logits = model(torch.tensor([[3, 1, 4], [3, 1, 5]]))
    >>> logits.shape, logits[0, 1].equal(logits[1, 1])  # the second token sees no third one
    (torch.Size([2, 3, 11]), True)
    """

    def __init__(self, config: LlamaConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Parameter(torch.empty(config.vocabulary, config.d))
        self.layers = nn.ModuleList(LlamaLayer(config) for _ in range(config.layers))
        self.norm = RootMeanSquareNorm(config.d, config.eps)
        if not config.tied:
            self.output = nn.Parameter(torch.empty(config.d, config.vocabulary))
        initialise(self, 0.02, generator)

    @classmethod
    def smollm2(cls) -> "Llama":
        """SmolLM2-135M-Instruct in this form: its numbers, shared with `SmolLM` and not copied.

        Raises MissingModel where its package is not installed.
        """
        given, sizes = parts().tensors, parts().sizes
        (vocabulary, d), d_ff = given["table"].shape, len(given["0.gate"])
        config = LlamaConfig(
            vocabulary=vocabulary,
            d=d,
            h=sizes.h,
            g=sizes.g,
            d_ff=d_ff,
            layers=sizes.layers,
            base=sizes.base,
            eps=sizes.eps,
        )
        with torch.device("meta"):
            model = cls(config)
        numbers = {"tokens": given["table"], "norm.gain": given["norm"]}
        for i in range(sizes.layers):
            for ours, theirs in _SMOLLM.items():
                w = given[f"{i}.{theirs}"]
                numbers[f"layers.{i}.{ours}"] = w.mT if w.ndim == 2 else w
        model.load_state_dict(numbers, assign=True)
        return model.requires_grad_(False)

    @checked
    def forward(
        self, tokens: Integer[Tensor, "... n"], *, mask: Bool[Tensor, "... #n #n"] | None = None
    ) -> Float[Tensor, "... n v"]:
        """The logits of the token that follows each token.

        mask hides more than the future, True where a query may attend, without an axis for heads.
        Raises ValueError for tokens outside the vocabulary.
        """
        n = tokens.shape[-1]
        seen = causal_mask(n, n).to(tokens.device)
        return self._read(tokens, 0, seen if mask is None else seen & mask, None)

    @torch.no_grad()
    def step(self, tokens: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """The logits (..., n, v) of tokens (..., n) behind a past, and the past with them in it.

        Each token is read once, as `kv_cache_generate` wants it. The given past is changed, not
        copied; None is an empty one.
        """
        past = Past(self.config.layers) if past is None else past
        n, start = tokens.shape[-1], past.tokens
        seen = causal_mask(n, start + n).to(tokens.device)
        logits = self._read(tokens, start, seen, past)
        past.tokens += n
        return logits, past

    def _read(self, tokens: Tensor, start: int, mask: Tensor, past: Past | None) -> Tensor:
        positions = torch.arange(start, start + tokens.shape[-1], device=tokens.device)
        turn = partial(rotary, positions=positions, base=self.config.base)
        x = embed(self.tokens, tokens)
        for i, layer in enumerate(self.layers):
            x = layer(x, turn, mask, None if past is None else partial(past.grown, i))
        return self.norm(x) @ (self.tokens.mT if self.config.tied else self.output)


class LlamaLayer(nn.Module):
    """Attention of grouped queries, then a gated network, each behind its norm and added."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        d, d_ff = config.d, config.d_ff
        self.attention = Heads(d, config.h, config.g)
        self.gate, self.up = (nn.Parameter(torch.empty(d, d_ff)) for _ in range(2))
        self.down = nn.Parameter(torch.empty(d_ff, d))
        self.norms = nn.ModuleList(RootMeanSquareNorm(d, config.eps) for _ in range(2))

    def forward(
        self, x: Tensor, turn: Callable[[Tensor], Tensor], mask: Tensor, keep: Keep | None = None
    ) -> Tensor:
        """One layer; keep takes the new keys and values and gives those of all tokens so far."""

        def attended(y: Tensor) -> Tensor:
            q, (k, v) = self.attention.queries(y), self.attention.pairs(y)
            q, k = turn(q), turn(k)
            if keep is not None:
                k, v = keep(k, v)
            out = grouped_query_attention(q, k, v, mask=mask.unsqueeze(-3))
            return self.attention.joined(out)

        x = pre_norm(x, self.norms[0], attended)
        return pre_norm(x, self.norms[1], lambda y: swiglu(y, self.gate, self.up, self.down))
