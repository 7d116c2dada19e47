r"""# Mend a mask in the wrong slot

A small encoder-decoder, without projections. The encoder's tokens look at each other, as far as
`source_mask` lets them; a word of the target looks at itself and the words before it; then it
reads the *whole* encoded source:

$$M = S + \mathrm{att}(S, S, S;\ \text{source mask}), \qquad
T' = T + \mathrm{att}(T, T, T;\ \text{causal}), \qquad
Z = T' + \mathrm{att}(T', M, M) .$$

In training its loss was far too good, and what it then wrote ignored half of the source. Where
source and target differ in length it does not even run. Find the two faults, and mend them.

- `source` is (..., m, d), `target` is (..., n, d); `source_mask` is Boolean (m, m), True where a
  source token may attend, and hides at least nothing from a token of itself. The result is
  (..., n, d), in the dtype of the inputs, and its gradient is right.
- att is softmax attention with the scale 1/√d.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 15
hints = (
    "Change the last word of the target, then the last word of the source. Which rows of the "
    "result move, and which should?",
    "Three attentions, three masks: one was given, one has to be made from n, and one attention "
    "has none at all.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention", "Transformer")


def solution(
    source: Float[Tensor, "... m d"],
    target: Float[Tensor, "... n d"],
    *,
    source_mask: Bool[Tensor, "m m"],
) -> Float[Tensor, "... n d"]:
    """What the words of a target make of themselves and of the whole encoded source.

    >>> words = torch.tensor([[6.0], [6.0]])
    >>> solution(words, words, source_mask=torch.eye(2, dtype=torch.bool)).tolist()
    [[24.0], [24.0]]
    """
    n = target.shape[-2]
    past = causal_mask(n, n).to(target.device)
    memory = source + attention(source, source, source, mask=source_mask)
    told = target + attention(target, target, target, mask=past)
    return told + attention(told, memory, memory)


def check_equals_the_three_steps(student):
    """equals the three steps, for a source as long as the target and for others"""
    for m, n, d in ((6, 6, 5), (7, 4, 8), (3, 9, 3)):
        source, target, mask = _inputs(m, n, d)
        ours = student(source, target, source_mask=mask)
        assert_same(ours, solution(source, target, source_mask=mask))


def check_never_sees_the_future(student):
    """another last word of the target leaves the rows before it as they were"""
    for m, n, d in ((6, 6, 5), (4, 7, 3)):
        source, target, mask = _inputs(m, n, d, seed=10)
        before = student(source, target, source_mask=mask)
        moved = target.clone()
        moved[-1] += 3.0
        after = student(source, moved, source_mask=mask)
        assert_same(after[:-1], before[:-1], "what stands before the word that was changed")
        assert_same(after, solution(source, moved, source_mask=mask))


def check_every_word_reads_the_whole_source(student):
    """the gradient of every output reaches every token of the source"""
    for m, n, d in ((6, 6, 5), (5, 7, 8)):
        source, target, mask = _inputs(m, n, d, std=0.5, seed=20)
        mask = mask & torch.eye(m, dtype=torch.bool)  # nobody in the source sees another
        ours = gradients(student, source, target, source_mask=mask)[0]
        assert_same(
            ours,
            gradients(solution, source, target, source_mask=mask)[0],
            "the gradient of the source",
        )
        first = student(source, target, source_mask=mask)[0]
        far = source.clone()
        far[-1] += 1.0
        moved = float((student(far, target, source_mask=mask)[0] - first).abs().max())
        assert_that(
            moved > 1e-6,
            "another last token of the source leaves the first word of the result as it was; it "
            "is to read the whole source.",
        )


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, and for one word"""
    for lead, m, n, d in (((2, 3), 6, 4, 5), ((1,), 5, 5, 3), ((4, 1), 3, 1, 6)):
        source, target, mask = _inputs(m, n, d, *lead, seed=30)
        ours = student(source, target, source_mask=mask)
        assert_same(ours, solution(source, target, source_mask=mask))


def check_has_the_right_gradient(student):
    """the gradients of source and target are right"""
    for m, n, d in ((6, 6, 5), (7, 4, 8)):
        source, target, mask = _inputs(m, n, d, seed=40)
        ours = gradients(student, source, target, source_mask=mask)
        theirs = gradients(solution, source, target, source_mask=mask)
        for name, a, b in zip(("source", "target"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of the {name}")


def check_keeps_the_dtype(student):
    """float32 words give float32 results"""
    source, target, mask = _inputs(6, 6, 5, std=1.0, seed=50)
    exact = solution(source.float().double(), target.float().double(), source_mask=mask)
    assert_same(student(source.float(), target.float(), source_mask=mask), exact.float())


def _inputs(m, n, d, *lead, std=2.0, seed=0):
    """A source, a target, and a mask that shows each source token itself and those before it."""
    source = gaussian(*lead, m, d, std=std, seed=seed)
    target = gaussian(*lead, n, d, std=std, seed=seed + 1)
    return source, target, torch.ones(m, m, dtype=torch.bool).tril()


def _attend(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def _causal(x):
    return torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()


def wrong_as_found(source, target, *, source_mask):
    """You left both faults: the target sees its future, and the source's own mask stands where the
    decoder reads the source. Make a causal mask for the one, and none for the other.
    """

    def attend(q, k, v, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is None:
            mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
        weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
        return weights @ v

    memory = source + attend(source, source, source, source_mask)
    told = target + attend(target, target, target)
    return told + attend(told, memory, memory, source_mask)


stub = wrong_as_found


def wrong_future_still_seen(source, target, *, source_mask):
    """You took the mask out of the last attention, and the target still sees its future: word 0
    knows the last one. Give the middle attention a causal mask.
    """
    memory = source + _attend(source, source, source, source_mask)
    told = target + _attend(target, target, target)
    return told + _attend(told, memory, memory)


def wrong_source_still_hidden(source, target, *, source_mask):
    """Your target is causal now, but the decoder still reads the source through the source's own
    mask, of m × m, where n × m pairs meet. Leave that mask out.
    """
    memory = source + _attend(source, source, source, source_mask)
    told = target + _attend(target, target, target, _causal(target))
    return told + _attend(told, memory, memory, source_mask)


def wrong_source_causal_for_the_target(source, target, *, source_mask):
    """You made the reading of the source causal, too, so that word 0 sees token 0 of it alone. The
    source is there whole before the first word is written: no mask.
    """
    n, m = target.shape[-2], source.shape[-2]
    memory = source + _attend(source, source, source, source_mask)
    told = target + _attend(target, target, target, _causal(target))
    return told + _attend(told, memory, memory, torch.ones(n, m, dtype=torch.bool).tril())


def wrong_encoder_not_masked(source, target, *, source_mask):
    """You no longer use `source_mask` at all. It belongs to the encoder, the first of the three
    attentions, and only there.
    """
    memory = source + _attend(source, source, source)
    told = target + _attend(target, target, target, _causal(target))
    return told + _attend(told, memory, memory)


def right_by_words(source, target, *, source_mask):
    """the middle attention as a loop over the words, each with those up to itself"""
    memory = source + _attend(source, source, source, source_mask)
    rows = []
    for i in range(target.shape[-2]):
        word, past = target[..., i : i + 1, :], target[..., : i + 1, :]
        rows.append(word + _attend(word, past, past))
    told = torch.cat(rows, dim=-2)
    return told + _attend(told, memory, memory)


def right_by_exponentials(source, target, *, source_mask):
    """weights as exponentials over their sum, hidden ones multiplied by 0"""

    def attend(q, k, mask):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        raised = (scores - scores.amax(dim=-1, keepdim=True)).exp() * mask
        return raised / raised.sum(dim=-1, keepdim=True) @ k

    memory = source + attend(source, source, source_mask)
    told = target + attend(target, target, _causal(target))
    return told + attend(told, memory, torch.ones_like(source_mask[:1]))


shown = right_by_words
