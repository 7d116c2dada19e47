r"""# Mend a decoder layer

This function is to compute a decoder layer,

$$x' = x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
x'' = x' + \mathrm{attention}(\mathrm{norm}_2(x'),\, \mathrm{memory}), \qquad
y = x'' + \mathrm{network}(\mathrm{norm}_3(x'')) .$$

It was made for translation. It never sees the future, its gradient is what its values say, and its
loss falls. But the first words of a translation are guesses, however clear the source, and the
later a word stands, the better it is. Find out what word 0 sees of the source, and mend it.

- `x` is (..., n, d), what is written so far; `memory` is (..., m, d_y), what an encoder has made of
  the source. The result has the shape and the dtype of x.
- The first attention is causal. In the second, queries come from x, keys and values from `memory`;
  `memory_mask`, if given, is Boolean, True where a query may attend, and broadcasts to *its* scores
  (..., h, n, m).
- `params` is a dict of tensors, as in `decoder_layer`.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.transformer import decoder_layer
from attncourse.mechanisms.dense.layers import decoder_layer as solution

difficulty, minutes = 3, 15
hints = (
    "Change the last token of the memory, and nothing else. Which words of the result move? Which "
    "of them should?",
    "There are two attentions and, inside `attend`, one mask for both. What is right for words "
    "that are not written yet is wrong for a source that is known whole.",
)
forbidden = decoder_layer.forbidden


def wrong_one_mask_for_both(x, memory, params, *, h, memory_mask=None):
    """You left the causal mask in both attentions, so that word 0 sees token 0 of the source alone.
    Hide the future in the first attention only; in the second only `memory_mask` hides.
    """

    def norm(x, i):
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        return params[f"gain_{i}"] * x + params[f"bias_{i}"]

    def attend(x, memory, prefix, mask=None):
        w_q, w_k, w_v, w_o = (params[f"{prefix}_w_{name}"] for name in "qkvo")
        projected = (x @ w_q, memory @ w_k, memory @ w_v)
        q, k, v = (y.unflatten(-1, (h, -1)).transpose(-3, -2) for y in projected)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        n, m = scores.shape[-2:]
        seen = torch.ones(n, m, dtype=torch.bool).tril(m - n)
        if mask is not None:
            seen = seen & mask
        scores = scores.masked_fill(~seen, -math.inf)
        weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)  # empty rows are zero
        return (weights @ v).transpose(-3, -2).flatten(-2) @ w_o

    y = norm(x, 1)
    x = x + attend(y, y, "self")
    x = x + attend(norm(x, 2), memory, "cross", memory_mask)
    hidden = (norm(x, 3) @ params["w_1"] + params["b_1"]).relu()
    return x + hidden @ params["w_2"] + params["b_2"]


stub = wrong_one_mask_for_both


def _unchanged(decoder_layer):
    """An answer to `decoder_layer` is one to this, whose function is the same."""
    return decoder_layer


borrowed = (
    Borrow(
        decoder_layer,
        _unchanged,
        (
            "check_listens_to_the_memory",
            "check_hides_the_future",
            "check_obeys_the_memory_mask",
            "check_equals_the_formula",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_not_causal",
            "wrong_causal_across_alone",
            "wrong_memory_mask_ignored",
            "wrong_memory_mask_on_the_words",
            "wrong_values_of_the_words",
            "wrong_float64_returned",
            "right_by_parts",
            "right_by_blocks",
        ),
    ),
)


shown = decoder_layer.shown
