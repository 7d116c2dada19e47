"""MiniLM-L6: an encoder for sentences, wired from this library's functions."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.core.positions import learned_positions
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.mechanisms.dense.heads import merge_heads, multi_head_attention, split_heads
from attncourse.mechanisms.dense.norms import layer_norm
from attncourse.mechanisms.dense.softmax import attention, masked_softmax, softmax
from attncourse.models.blocks import embed
from attncourse.models.pretrained import packages
from attncourse.models.pretrained.attending import attend, weights
from attncourse.models.pretrained.sockets import Function, Sockets, shaped
from attncourse.models.pretrained.tokens import readable

LAYERS, H, EPS = 6, 12, 1e-12
IN_WORD = "##"  # before a piece that goes on with a word, in BERT's vocabulary

# what each socket holds at first
SOCKETS: dict[str, Function] = {
    "attention": attention,
    "softmax": softmax,
    "masked_softmax": masked_softmax,
    "multi_head_attention": multi_head_attention,
    "norm": layer_norm,
    "split_heads": split_heads,
    "merge_heads": merge_heads,
    "feed_forward": gelu_feed_forward,
    "positions": learned_positions,
}


class MiniLM:
    """MiniLM-L6: 6 post-norm layers of width 384, 12 heads of 32, every token sees every other.

    BERT's form: token, position and segment embeddings, layer norm, GELU. It was trained to give
    sentences of the same meaning vectors of the same direction. In float32, without gradients.

    Source: Wang et al. 2020; Reimers and Gurevych 2019; Hugging Face's BertModel is the same
    function.

    >>> model = MiniLM.load()  # or MiniLM.load(attention=mine)
    >>> model.words("it is big"), model.maps("it is big").shape
    (['[CLS]', 'it', 'is', 'big', '[SEP]'], torch.Size([6, 12, 5, 5]))
    """

    def __init__(self, tensors: dict[str, Tensor], tokenizer: Any, sockets: Sockets) -> None:
        self.tensors, self.tokenizer, self.sockets = tensors, tokenizer, sockets

    @classmethod
    def load(cls, **sockets: Any) -> "MiniLM":
        """The model, with anybody's functions in its sockets: `MiniLM.load(attention=mine)`.

        Each takes a function with the signature of the library's, and gives it

        - `attention(q, k, v, *, mask)`: all heads, q, k and v (12, n, 32), mask None, or (n, n)
          where one is given;
        - `softmax(x)`: scores (12, n, n); `masked_softmax(scores, mask)`: a mask (n, n) of True;
        - `multi_head_attention(x, memory, w_q, w_k, w_v, w_o, *, h, mask)`: x and memory (n, 385),
          tokens with a feature that is 1, whose row in each of w_q, w_k, w_v (385, 384) is a bias;
        - `norm(x, gain, bias, *, eps)`: tokens (n, 384);
        - `split_heads(x, h)`: (n, 384), `merge_heads(x)`: (12, n, 32);
        - `feed_forward(x, w_1, b_1, w_2, b_2)`: tokens (n, 384);
        - `positions(table, n)`: the rows (n, 384) that are added, of a learned table (512, 384).

        Raises MissingModel where the package is not installed, ValueError for another socket,
        TypeError for what cannot be called.
        """
        chosen = Sockets(SOCKETS, sockets)
        return cls(*_parts(), chosen)

    @torch.no_grad()
    def hidden(
        self,
        ids: Tensor | Sequence[int],
        *,
        mask: Tensor | None = None,
        maps: list[Tensor] | None = None,
        states: list[Tensor] | None = None,
    ) -> Tensor:
        """The last layer's output (..., n, 384) for each of the tokens `ids` (..., n).

        mask (..., n, n), or (..., 1, n) as of `padding_mask`, is True where a query may attend.
        The weights of each layer are put into the list `maps`, the tokens as they enter the first
        layer and leave each one into the list `states`, if there are such lists.
        """
        ids = torch.as_tensor(ids)
        table, n = self._of("embeddings.position_embeddings"), ids.shape[-1]
        like = shaped(n, table.shape[-1])
        positions = self.sockets.call("positions", None, like, table, n)
        segment = self._of("embeddings.token_type_embeddings")[0]
        x = embed(self._of("embeddings.word_embeddings"), ids) + positions + segment
        x = self._norm(x, "embeddings.LayerNorm", None)
        for layer in range(LAYERS):
            if states is not None:
                states.append(x)
            if maps is not None:
                maps.append(self._weights(x, layer, mask))
            x = self.layer(x, layer, mask)
        if states is not None:
            states.append(x)
        return x

    def layer(self, x: Tensor, layer: int, mask: Tensor | None = None) -> Tensor:
        """The tokens (..., n, 384) as a layer, from 0, leaves them.

        The layer is differentiated where x asks for it (`requires_grad`); weights are constants.
        """
        place = f"encoder.layer.{layer}"
        with torch.set_grad_enabled(x.requires_grad and torch.is_grad_enabled()):
            attended = self._attended(x, layer, mask)
            x = self._norm(x + attended, f"{place}.attention.output.LayerNorm", layer)
            fed = self._fed_forward(x, layer)
            return self._norm(x + fed, f"{place}.output.LayerNorm", layer)

    def maps(self, text: str | Sequence[int], *, mask: Tensor | None = None) -> Tensor:
        """The weights of every head of every layer, (6, 12, n, n), for the tokens of a text."""
        found: list[Tensor] = []
        self.hidden(self._ids(text), mask=mask, maps=found)
        return torch.stack(found)

    def states(self, text: str | Sequence[int], *, mask: Tensor | None = None) -> Tensor:
        """The tokens (7, n, 384) as they enter the first layer and as each layer leaves them."""
        found: list[Tensor] = []
        self.hidden(self._ids(text), mask=mask, states=found)
        return torch.stack(found)

    def vector(self, text: str) -> Tensor:
        """A sentence's vector (384,), of length 1: the mean over its tokens.

        The product of two of them is the sentences' similarity, between -1 and 1.
        """
        mean = self.hidden(self.encode(text)).mean(dim=-2)
        return mean / mean.norm()

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, as numbers, between [CLS] and [SEP]."""
        return list(self.tokenizer.encode(text).ids)

    def words(self, text: str | Sequence[int]) -> list[str]:
        """A label for each token, to stand on an axis: the word, "-case" for a later piece."""
        pieces = [str(self.tokenizer.id_to_token(i)) for i in self._ids(text)]
        return readable(
            [p.removeprefix(IN_WORD) if p.startswith(IN_WORD) else f" {p}" for p in pieces]
        )

    def _ids(self, text: str | Sequence[int]) -> list[int]:
        return self.encode(text) if isinstance(text, str) else list(text)

    def _of(self, name: str, kind: str = "weight") -> Tensor:
        return self.tensors[f"{name}.{kind}"]

    def _linear(self, layer: int, name: str) -> tuple[Tensor, Tensor]:
        """A matrix (d_in, d_out) and a bias of a layer."""
        place = f"encoder.layer.{layer}.{name}"
        return self._of(place).mT, self._of(place, "bias")

    def _heads(self, x: Tensor, layer: int, name: str) -> Tensor:
        w, b = self._linear(layer, f"attention.self.{name}")
        like = shaped(*x.shape[:-2], H, x.shape[-2], x.shape[-1] // H)
        return self.sockets.call("split_heads", layer, like, x @ w + b, H)

    def _attended(self, x: Tensor, layer: int, mask: Tensor | None) -> Tensor:
        w, b = self._linear(layer, "attention.output.dense")
        if self.sockets.way == "multi_head_attention":
            return self._at_once(x, layer, mask, x, w) + b
        q, k, v = (self._heads(x, layer, name) for name in ("query", "key", "value"))
        out = attend(self.sockets, layer, q, k, v, mask)
        return self.sockets.call("merge_heads", layer, x, out) @ w + b

    def _weights(self, x: Tensor, layer: int, mask: Tensor | None) -> Tensor:
        q, k = (self._heads(x, layer, name) for name in ("query", "key"))
        return weights(self.sockets, layer, q, k, mask)

    def _at_once(
        self, x: Tensor, layer: int, mask: Tensor | None, like: Tensor, w_o: Tensor
    ) -> Tensor:
        """By a function that projects, too: biases are rows of the weights for a feature 1."""
        names = ("query", "key", "value")
        pairs = (self._linear(layer, f"attention.self.{name}") for name in names)
        w_q, w_k, w_v = (torch.cat([w, b[None]]) for w, b in pairs)
        y = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
        over_heads = mask if mask is None or mask.ndim < 3 else mask.unsqueeze(-3)
        args = (y, y, w_q, w_k, w_v, w_o)
        return self.sockets.call("multi_head_attention", layer, like, *args, h=H, mask=over_heads)

    def _fed_forward(self, x: Tensor, layer: int) -> Tensor:
        first, second = (self._linear(layer, f"{n}.dense") for n in ("intermediate", "output"))
        return self.sockets.call("feed_forward", layer, x, x, *first, *second)

    def _norm(self, x: Tensor, name: str, layer: int | None) -> Tensor:
        gain, bias = self._of(name), self._of(name, "bias")
        return self.sockets.call("norm", layer, x, x, gain, bias, eps=EPS)


@cache
def _parts() -> tuple[dict[str, Tensor], Any]:
    """Weights, mapped from the package's file, and the tokeniser; read once in a process."""
    path = packages.weights_file(packages.MINILM, ".safetensors")
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    return load_file(path), _whole_texts(Tokenizer.from_file(str(_beside(path))))


def _beside(path: Path) -> Path:
    return path.with_name("tokenizer.json")


def _whole_texts(tokenizer: Any) -> Any:
    """The tokeniser without the package's setting, which cuts and fills texts to 128 tokens."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
