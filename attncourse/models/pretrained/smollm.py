"""SmolLM2-135M-Instruct: a causal language model, wired from this library's functions."""

import math
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.positions import rotary
from attncourse.mechanisms.dense.feed_forward import swiglu
from attncourse.mechanisms.dense.heads import merge_heads, split_heads
from attncourse.mechanisms.dense.layer_parts import pre_norm
from attncourse.mechanisms.dense.norms import rms_norm
from attncourse.mechanisms.dense.softmax import attention, masked_softmax, softmax
from attncourse.mechanisms.serving.decoding import decode_step
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.models.blocks import embed
from attncourse.models.past import Past
from attncourse.models.pretrained.generation import Choice, chat_frame, continued, likeliest
from attncourse.models.pretrained.smollm_layers import Layers
from attncourse.models.pretrained.smollm_parts import Parts, parts
from attncourse.models.pretrained.sockets import Function, Sockets, shaped
from attncourse.models.pretrained.tokens import readable

# what each socket holds at first
SOCKETS: dict[str, Function] = {
    "grouped_attention": grouped_query_attention,
    "attention": attention,
    "softmax": softmax,
    "masked_softmax": masked_softmax,
    "cache": decode_step,
    "mask": causal_mask,
    "rotary": rotary,
    "norm": rms_norm,
    "split_heads": split_heads,
    "merge_heads": merge_heads,
    "feed_forward": swiglu,
    "sublayer": pre_norm,
    "storage": lambda x: x,
}


class SmolLM(Layers):
    """SmolLM2-135M-Instruct: 30 layers of width 576, 9 query heads and 3 key/value heads of 64.

    Pre-norm layers with RMS norm, rotary positions, grouped queries and SwiGLU; the table of
    tokens serves input and output. In float32, without gradients.

    Source: Ben Allal et al. 2025; Hugging Face's LlamaForCausalLM is the same function.

    >>> model = SmolLM.load()  # or SmolLM.load(attention=mine)
    >>> model.generate("What is the capital of France?")
    'The capital of France is Paris.'
    """

    def __init__(self, parts: Parts, sockets: Sockets) -> None:
        super().__init__(parts, sockets)
        self.tokenizer = parts.tokenizer

    @classmethod
    def load(cls, **sockets: Any) -> "SmolLM":
        """The model, with anybody's functions in its sockets: `SmolLM.load(attention=mine)`.

        Each takes a function with the signature of the library's, and gives it

        - `attention(q, k, v, *, mask)`: all heads, q (9, n, 64), k and v (9, m, 64), mask (n, m);
          without a parameter `mask`, one query at a time with the keys it may see;
        - `grouped_attention(q, k, v, *, mask)`: the same with k and v (3, m, 64);
        - `softmax(x)`: scores (9, n, m), -inf where hidden;
        - `masked_softmax(scores, mask)`: scores (9, n, m), mask (n, m);
        - `cache(cache, q, k, v)`: `decode_step` with one token of all heads, (9, 1, 64);
        - `mask(n, m)`: n queries that are the last of m tokens;
        - `rotary(x, positions, *, base)`: queries (9, n, 64), then keys (3, n, 64);
        - `norm(x, gain, *, eps)`: tokens (n, 576);
        - `split_heads(x, h)`: queries (n, 576), keys and values (n, 192); `merge_heads(x)`;
        - `feed_forward(x, w_gate, w_up, w_down)`: tokens (n, 576);
        - `sublayer(x, norm, part)`: tokens (n, 576), the layer's norm, and its attention or
          network, functions of tokens: `pre_norm` is x + part(norm(x));
        - `storage(x)`: rotated keys, and values, (3, n, 64), as a cache gives them back.

        A function with a parameter `layer` is told the layer, from 0.

        The first time takes seconds, later ones less than one: the weights are kept, as numbers,
        in the cache folder. Raises MissingModel where the package is not installed, ValueError for
        another socket, TypeError for what cannot be called.
        """
        chosen = Sockets(SOCKETS, sockets)
        return cls(parts(), chosen)

    def logits(
        self, ids: Tensor | Sequence[int], *, mask: Tensor | None = None, past: Past | None = None
    ) -> Tensor:
        """The logits (..., n, 49152) of the token that follows each of `ids` (..., n).

        mask (..., n, m), True where a query may attend, is taken in place of the socket's. With a
        `past` the tokens follow those that it holds, and are added to it.

        Raises SocketError, ValueError for tokens outside the vocabulary.
        """
        return self.hidden(ids, mask=mask, past=past) @ self.tensors["table"].mT

    def maps(self, text: str | Sequence[int], *, mask: Tensor | None = None) -> Tensor:
        """The weights of every head of every layer, (30, 9, n, n), for the tokens of a text."""
        found: list[Tensor] = []
        self.hidden(self._ids(text), mask=mask, maps=found)
        return torch.stack(found)

    def states(self, text: str | Sequence[int], *, mask: Tensor | None = None) -> Tensor:
        """The tokens (31, n, 576) as they enter the first layer and as each layer leaves them."""
        found: list[Tensor] = []
        self.hidden(self._ids(text), mask=mask, states=found)
        return torch.stack(found)

    def perplexity(self, text: str | Sequence[int], *, tokens: int | None = None) -> float:
        """Exp of the mean negative log-likelihood of each token but the first, given those before.

        Of all tokens of the text, or the first `tokens` of them.
        """
        ids = _tensor(self._ids(text)[:tokens])
        likely = self.logits(ids)[:-1].log_softmax(dim=-1)
        return math.exp(-likely.gather(-1, ids[1:, None]).mean().item())

    def generate(
        self,
        prompt: str,
        tokens: int = 24,
        *,
        chat: bool = True,
        cached: bool = True,
        choose: Choice = likeliest,
    ) -> str:
        """What the model writes after a prompt: `tokens` of them, or fewer where it ends itself.

        chat frames the prompt as a question to be answered; cached keeps the keys and values of
        the tokens so far, in place of computing all anew; choose takes the logits (49152,) of the
        next token and gives its number, the likeliest by default.

        Raises SocketError, and NoNumbersError where the logits are not finite.
        """
        past = Past(self.sizes.layers) if cached else None
        ids = self.encode(chat_frame(prompt) if chat else prompt)
        chosen = continued(self.logits, ids, past=past, choose=choose)
        answer = takewhile(lambda token: token != self.sizes.end, islice(chosen, tokens))
        return self.decode(list(answer))

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, as numbers; nothing is put before or after."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, those of the chat's frame included."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def words(self, text: str | Sequence[int]) -> list[str]:
        """A label for each token, to stand on an axis: the word, "-case" for a later piece."""
        return readable([self.decode([i]) for i in self._ids(text)])

    def _ids(self, text: str | Sequence[int]) -> list[int]:
        return self.encode(text) if isinstance(text, str) else list(text)

    @torch.no_grad()
    def hidden(
        self,
        ids: Tensor | Sequence[int],
        *,
        mask: Tensor | None = None,
        past: Past | None = None,
        maps: list[Tensor] | None = None,
        states: list[Tensor] | None = None,
    ) -> Tensor:
        """The output of the last norm (..., n, 576) for each of `ids` (..., n); see `logits`.

        The weights of each layer are put into the list `maps`, the tokens as they enter the first
        layer and leave each one into the list `states`, if there are such lists.
        """
        ids = _tensor(ids)
        n, start = ids.shape[-1], past.tokens if past else 0
        if mask is None:
            like = shaped(n, start + n, dtype=torch.bool)
            mask = self.sockets.call("mask", None, like, n, start + n)
        x, positions = embed(self.tensors["table"], ids), torch.arange(start, start + n)
        for layer in range(self.sizes.layers):
            if states is not None:
                states.append(x)
            x = self.layer(x, layer, mask, positions=positions, past=past, maps=maps)
        if states is not None:
            states.append(x)
        if past:
            past.tokens += n
        return self._norm(x, "norm", None)


def _tensor(ids: Tensor | Sequence[int]) -> Tensor:
    return ids if isinstance(ids, Tensor) else torch.tensor(list(ids), dtype=torch.int64)
