"""How much two texts have in common: BLEU and ROUGE-L, of tokens that somebody else has cut."""

import math
from collections import Counter
from collections.abc import Sequence


def bleu(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU-4 of one text against one or more references, from 0 to 1.

    The geometric mean of four precisions times a penalty for what is short. The precision of
    n-grams, n = 1 to 4, is the share of the candidate's n-grams that a reference has, each counted
    at most as often as the one reference that has it most often. The penalty is exp(1 - r/c) for a
    candidate of c tokens that is shorter than r, the length of the reference nearest to it, of two
    the shorter one. Nothing is smoothed: where a precision is 0, or there is no 4-gram, so is BLEU.

    Of a corpus, counts and lengths are added up first: this is not the mean over its sentences.
    Raises ValueError where there is no reference. Source: Papineni et al. 2002, section 2.3.

    >>> round(bleu("the trophy does not fit in".split(), ["the trophy does not fit".split()]), 3)
    0.76
    """
    if not references:
        raise ValueError("bleu needs at least one reference: got none")
    c = len(candidate)
    precisions = [_precision(candidate, references, n) for n in range(1, 5)]
    if not all(precisions):
        return 0.0
    r = min((len(reference) for reference in references), key=lambda size: (abs(size - c), size))
    penalty = math.exp(min(0.0, 1 - r / c))
    return penalty * math.exp(sum(map(math.log, precisions)) / 4)


def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L of two texts, from 0 to 1: the harmonic mean of precision and recall.

    Both count the longest common subsequence: tokens that both have in the same order, others may
    stand between. Precision is its share of the candidate, recall its share of the reference. An
    empty text gives 0. Time O(c r), memory O(r), for c and r tokens.
    Source: Lin 2004, section 3.1, equations 2 to 4 with beta = 1.

    >>> rouge_l("the big trophy fits".split(), "the trophy is too big".split())  # the trophy
    0.4444444444444444
    """
    row = [0] * (len(reference) + 1)
    for token in candidate:
        before = row
        row = [0]
        for j, other in enumerate(reference):
            row.append(before[j] + 1 if token == other else max(before[j + 1], row[j]))
    common = row[-1]
    return 2 * common / (len(candidate) + len(reference)) if common else 0.0


def _precision(candidate: Sequence[str], references: Sequence[Sequence[str]], n: int) -> float:
    """The clipped share of the candidate's n-grams that a reference has."""
    said = _ngrams(candidate, n)
    most: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        most |= _ngrams(reference, n)
    return (said & most).total() / said.total() if said else 0.0


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n tokens occurs."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
