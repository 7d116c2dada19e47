"""How much of a text was said in it before: distinct n-grams, and those that come again."""

from collections.abc import Hashable, Sequence


def distinct_share(tokens: Sequence[Hashable], n: int) -> float:
    """How many of a text's n-grams are different ones, as a share: 1 if none comes twice.

    It falls with length, so that only texts of one length compare. Raises ValueError for a text of
    fewer than n tokens. Source: Li et al. 2016 (distinct-1 and distinct-2).

    >>> distinct_share("the big dog and the big cat".split(), 2)  # "the big" twice
    0.8333333333333334
    """
    grams = _grams(tokens, n)
    return len(set(grams)) / len(grams)


def said_before(tokens: Sequence[Hashable], n: int) -> list[bool]:
    """For each token whether the n tokens that end with it stood together before; False for the
    first n - 1. Raises ValueError as `distinct_share`.

    >>> said_before("very very very big".split(), 2)
    [False, False, True, False]
    """
    grams = _grams(tokens, n)
    seen: set[tuple[Hashable, ...]] = set()
    found = [False] * (n - 1)
    for gram in grams:
        found.append(gram in seen)
        seen.add(gram)
    return found


def _grams(tokens: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    if not 1 <= n <= len(tokens):
        raise ValueError(f"n must be from 1 to the number of tokens: got n={n} for {len(tokens)}")
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
