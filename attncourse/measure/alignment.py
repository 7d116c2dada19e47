"""How well the links between the words of two texts agree with those that people have drawn."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.measure.overlap import bleu
from attncourse.models.number_words import Translator, alignment, german, links


@checked
def alignment_error_rate(
    found: Bool[Tensor, "... n m"],
    sure: Bool[Tensor, "... n m"],
    possible: Bool[Tensor, "... n m"],
) -> float:
    """The alignment error rate, from 0 to 1: 1 - (|A and S| + |A and P|) / (|A| + |S|).

    A are the links found, S those that have to be found, P those that may be: a sure link is
    possible, whether `possible` says so or not. Links are counted over all texts before the
    division. Without any link, found or sure, the rate is 0. Source: Och and Ney 2003, section 5.

    >>> sure = torch.tensor([[True, False], [False, True]])
    >>> alignment_error_rate(sure, sure, sure)
    0.0
    """
    whole = int(found.sum()) + int(sure.sum())
    right = int((found & sure).sum()) + int((found & (possible | sure)).sum())
    return 1 - right / whole if whole else 0.0


def translation_scores(model: Translator, drawn: Sequence[int]) -> dict[str, float]:
    """What becomes of some numbers: the share without a fault, the mean BLEU, the alignment error.

    BLEU is of the numbers of four German words or more, since a shorter line has no 4-gram and
    BLEU 0, however right. The alignment is that of the numbers without a fault, or 1.
    """
    lines, weights = model.translate(drawn)
    rights = [german(number)[0] for number in drawn]
    pairs = list(zip(lines, rights, strict=True))
    long = [(line, right) for line, right in pairs if len(right) >= 4]
    exact = torch.tensor([line == right for line, right in pairs])
    sure, possible = links(drawn)
    found = alignment(weights, lines)
    rate = alignment_error_rate(found[exact], sure[exact], possible[exact]) if exact.any() else 1.0
    return {
        "exact": exact.float().mean().item(),
        "bleu": sum(bleu(line, [right]) for line, right in long) / len(long),
        "aer": rate,
    }
