r"""# How much of it a reference has

BLEU compares a candidate text with references by the runs of n tokens, the n-grams, that it shares
with them:

$$\mathrm{BLEU} = \min\!\left(1, e^{1 - r/c}\right) \cdot
\left(p_1 \, p_2 \, p_3 \, p_4\right)^{1/4} .$$

- `candidate` is a list of tokens, `references` a list of such lists, at least one. The result is a
  float from 0 to 1.
- The precision of n-grams is a share of all n-grams of the candidate. Each kind of n-gram counts as
  often as it occurs there, but at most as often as in the one reference that has it most often.
- c is the number of tokens of the candidate, r that of the reference nearest to it in length; of
  two as near, the shorter one.
- Nothing is smoothed. Where a precision is 0, or the candidate has fewer than 4 tokens, BLEU is 0.
- ValueError where there is no reference.
"""

import math
from collections import Counter

from attncourse.exercises.interview_coding._texts import like, text
from attncourse.measure.overlap import bleu as solution
from attncourse.measure.small_models import refusal
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 3, 25
hints = (
    "Count the n-grams of each text with `collections.Counter` over tuples. For the clipping, "
    "what do `|` and `&` do with two counters?",
    "Four precisions first, then one `if` for zeros, then the mean of their logarithms. The "
    "length r is a `min` with a key of two numbers: the distance, then the length.",
)
forbidden = ("bleu", "sentence_bleu", "corpus_bleu")


def check_by_hand(student):
    """one word too many: the precisions 5/6, 4/5, 3/4 and 2/3 give the fourth root of 1/3"""
    found = student(["a", "b", "c", "d", "e", "x"], [["a", "b", "c", "d", "e"]])
    assert_same(found, (1 / 3) ** 0.25, "BLEU")
    found = student(["a", "b", "c", "d", "e"], [["a", "b", "c", "d", "e", "x"]])
    assert_same(found, math.exp(1 - 6 / 5), "BLEU of what lacks one word")


def check_equals_the_definition(student):
    """equals the formula for texts of several lengths, with one reference and with three"""
    for i, (size, count) in enumerate(((9, 1), (12, 3), (16, 2), (25, 3), (5, 1))):
        args = _case(size, count, seed=1000 + 10 * i)
        assert_same(student(*args), _by_definition(*args), "BLEU")


def check_clips_by_one_reference(student):
    """a word that is said again and again counts as often as one reference has it"""
    words = ["trophy", "fits", "in", "it"]
    said = ["the", "the", "the", *words, "the", "the", "the"]
    first, second = ["the", *words, "the", "the"], ["the", "the", *words]
    for references in ([first], [first, second], [second, first, first]):
        args = said, references
        assert_same(student(*args), _by_definition(*args), "BLEU")


def check_measures_the_nearest_reference(student):
    """r is the length of the nearest reference, of two as near that of the shorter"""
    base = text(14, seed=1100)
    for size, lengths in ((8, (3, 9)), (8, (6, 10)), (8, (10, 6)), (8, (14, 9)), (10, (12, 3))):
        args = base[:size], [base[:length] for length in lengths]
        assert_same(student(*args), _by_definition(*args), f"BLEU for the lengths {lengths}")


def check_is_one_for_a_reference_and_zero_for_strangers(student):
    """a reference itself has 1; nothing shared, no 4-gram shared, or three tokens give 0"""
    words = text(9, seed=1200)
    assert_same(student(words, [text(7, seed=1201), words]), 1.0, "BLEU of a reference")
    for candidate in (["x"] * 6, words[:3], [], [*words[:3], "x", *words[3:6], "x", *words[6:]]):
        args = candidate, [words]
        assert_same(student(*args), _by_definition(*args), f"BLEU of {len(candidate)} tokens")


def check_does_not_reward_length(student):
    """a long text is not punished by its length, and not rewarded for saying more"""
    base = text(10, seed=1300)
    for more in (1, 4, 15):
        args = [*base, *text(more, seed=1301)], [base]
        assert_same(student(*args), _by_definition(*args), "BLEU of a long text")


def check_needs_a_reference(student):
    """without a reference there is nothing to compare with: ValueError"""
    words = text(6, seed=1400)
    assert_same(student(words, [words]), 1.0, "BLEU of a reference")
    kind = refusal(student, words, [])
    assert_that(
        kind == "ValueError", f"an empty list must raise ValueError: got {kind or 'no error'}."
    )


def _case(size, count, *, seed):
    reference = text(size, seed=seed)
    others = [like(reference, size + 1 - 2 * i, seed=seed + i) for i in range(1, count)]
    return like(reference, size, seed=seed + 5), [reference, *others]


def _ngrams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _most(references, n):
    most = Counter()
    for reference in references:
        most |= _ngrams(reference, n)
    return most


def _right(candidate, references, n):
    return (_ngrams(candidate, n) & _most(references, n)).total()


def _nearest(c, references):
    return min((len(x) for x in references), key=lambda size: (abs(size - c), size))


def _root(precisions):
    return math.prod(precisions) ** (1 / len(precisions))


def _bleu(candidate, references, *, clip=_most, length=_nearest, mean=_root, most=4, short=None):
    """BLEU with other rules for what is clipped, the length, the mean and the penalty."""
    if not references:
        raise ValueError("no reference")
    c = len(candidate)
    if c < most:
        return 0.0
    precisions = []
    for n in range(1, most + 1):
        said = _ngrams(candidate, n)
        precisions.append((said & clip(references, n)).total() / said.total())
    r = length(c, references)
    penalty = (short or (lambda c, r: min(1.0, math.exp(1 - r / c))))(c, r)
    return penalty * mean(precisions)


def _by_definition(candidate, references):
    return _bleu(candidate, references)


def wrong_not_clipped(candidate, references):
    """You count every n-gram that some reference has, as often as it is said: "the the the" gets a
    precision of 1. It counts at most as often as in one reference.
    """

    def always(references, n):
        return Counter(dict.fromkeys(_most(references, n), 10**6))

    return _bleu(candidate, references, clip=always)


def wrong_clipped_by_the_sum(candidate, references):
    """You add up what all references have, so that a word may be said once for each of them. Take
    the largest count in any one.
    """
    return _bleu(
        candidate, references, clip=lambda refs, n: sum((_ngrams(x, n) for x in refs), Counter())
    )


def wrong_first_reference_alone(candidate, references):
    """You look at the first reference alone. Any of them may have said it so: take all of them."""
    return _bleu(candidate, references[:1])


def wrong_kinds_counted_once(candidate, references):
    """You count each kind of n-gram once, as sets do. Count how often it is said: a `Counter`."""
    if not references:
        raise ValueError("no reference")
    precisions = []
    for n in range(1, 5):
        said, known = set(_ngrams(candidate, n)), set(_most(references, n))
        precisions.append(len(said & known) / len(said) if said else 0.0)
    r = _nearest(len(candidate), references)
    penalty = min(1.0, math.exp(1 - r / len(candidate))) if candidate else 0.0
    return penalty * _root(precisions)


def wrong_recall(candidate, references):
    """You divide by the n-grams of the reference. That is recall; BLEU asks what share of the
    candidate's n-grams is right.
    """
    if not references:
        raise ValueError("no reference")
    c = len(candidate)
    r = _nearest(c, references)
    shares = [
        _right(candidate, references, n) / max(1, _most(references, n).total()) for n in range(1, 5)
    ]
    return min(1.0, math.exp(1 - r / c)) * _root(shares) if c else 0.0


def wrong_arithmetic_mean(candidate, references):
    """You take the plain mean of the four precisions, so that words alone give points. Take the
    geometric one: the fourth root of their product.
    """
    return _bleu(candidate, references, mean=lambda p: sum(p) / 4 if all(p) else 0.0)


def wrong_words_alone(candidate, references):
    """You compare single words, and their order does not matter. BLEU multiplies the precisions of
    runs of 1, 2, 3 and 4.
    """
    return _bleu(candidate, references, most=1)


def wrong_runs_of_four_alone(candidate, references):
    """You take the precision of 4-grams alone. It is the fourth root of the product of all four
    precisions.
    """
    return _bleu(candidate, references, mean=lambda p: p[3])


def wrong_no_penalty(candidate, references):
    """You forgot the penalty for what is short: four right words and nothing else get 1. Multiply
    by exp(1 - r/c) where c is below r.
    """
    return _bleu(candidate, references, short=lambda c, r: 1.0)


def wrong_penalty_for_long_ones(candidate, references):
    """You multiply by exp(1 - r/c) for long candidates, too, which rewards them. The penalty is at
    most 1: precision punishes what is long already.
    """
    return _bleu(candidate, references, short=lambda c, r: math.exp(1 - r / c))


def wrong_penalty_without_exp(candidate, references):
    """You multiply by c/r for what is short. The penalty is exp(1 - r/c), which is milder at first
    and then harder.
    """
    return _bleu(candidate, references, short=lambda c, r: min(1.0, c / r))


def wrong_shortest_reference(candidate, references):
    """You take the length of the shortest reference for r, so that too little is punished. It is
    the one nearest in length to the candidate.
    """
    return _bleu(candidate, references, length=lambda c, refs: min(map(len, refs)))


def wrong_longer_of_two_as_near(candidate, references):
    """Of two references as near in length you take the longer. The shorter one counts: sort by the
    distance, then by the length.
    """
    return _bleu(
        candidate,
        references,
        length=lambda c, refs: min((len(x) for x in refs), key=lambda s: (abs(s - c), -s)),
    )


def wrong_smoothed(candidate, references):
    """You add one to numerator and denominator, so that nothing is 0. Such smoothing has its uses
    for single sentences; here it is not asked for, and the numbers are others.
    """
    if not references:
        raise ValueError("no reference")
    c = len(candidate)
    shares = [_right(candidate, references, n) + 1 for n in range(1, 5)]
    shares = [x / (_ngrams(candidate, n).total() + 1) for n, x in enumerate(shares, 1)]
    r = _nearest(c, references)
    return (min(1.0, math.exp(1 - r / c)) if c else 0.0) * _root(shares)


def wrong_percent(candidate, references):
    """You return per cent, as reports print it. The result here lies between 0 and 1."""
    return 100 * _bleu(candidate, references)


def right_by_counters(candidate, references):
    """counters for the clipping, logarithms for the mean"""
    from collections import Counter

    def ngrams(tokens, n):
        return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))

    if not references:
        raise ValueError("bleu needs at least one reference")
    logs = 0.0
    for n in range(1, 5):
        said, known = ngrams(candidate, n), Counter()
        for reference in references:
            known = known | ngrams(reference, n)  # of each, the largest count
        right = sum((said & known).values())  # of each, the smaller count
        if right == 0:
            return 0.0
        logs += math.log(right / sum(said.values()))
    c = len(candidate)
    r = min((len(x) for x in references), key=lambda size: (abs(size - c), size))
    return min(1.0, math.exp(1 - r / c)) * math.exp(logs / 4)


def right_by_lists(candidate, references):
    """lists and `count`, without a counter"""
    if len(references) == 0:
        raise ValueError("bleu needs at least one reference")
    product = 1.0
    for n in (1, 2, 3, 4):
        cut = lambda x, n=n: [tuple(x[i : i + n]) for i in range(len(x) - n + 1)]  # noqa: E731
        said = cut(candidate)
        if not said:
            return 0.0
        right = sum(min(said.count(g), max(cut(x).count(g) for x in references)) for g in set(said))
        product *= right / len(said)
    c, best = len(candidate), len(references[0])
    for x in references:
        if (abs(len(x) - c), len(x)) < (abs(best - c), best):
            best = len(x)
    return product**0.25 * (1.0 if c >= best else math.exp(1 - best / c))


def right_by_exact_fractions(candidate, references):
    """precisions as fractions, a float at the end"""
    from fractions import Fraction

    if not references:
        raise ValueError("bleu needs at least one reference")
    if len(candidate) < 4:
        return 0.0
    product = Fraction(1)
    for n in range(1, 5):
        said, most = _ngrams(candidate, n), _most(references, n)
        product *= Fraction(sum(min(k, most[g]) for g, k in said.items()), sum(said.values()))
    r = sorted((abs(len(x) - len(candidate)), len(x)) for x in references)[0][1]
    return float(product) ** 0.25 * math.exp(min(0, 1 - r / len(candidate)))


shown = right_by_counters
