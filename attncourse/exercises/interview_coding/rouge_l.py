r"""# The longest thread in common

ROUGE-L looks for the longest sequence of tokens that both texts have in the same order, whatever
stands between them. Of its length L come a precision and a recall, and of these the harmonic mean:

$$P = \frac{L}{c}, \qquad R = \frac{L}{r}, \qquad \mathrm{ROUGE_L} = \frac{2 \, P \, R}{P + R} .$$

- `candidate` and `reference` are lists of c and r tokens; the result is a float from 0 to 1.
- *the trophy fits* and *the big trophy*: L = 2, *the trophy*. Order counts, nearness does not.
- Where nothing is shared, or a text is empty, the result is 0.
- For two texts of 200 tokens it takes well under a second: the work grows with c r.
"""

from attncourse.exercises.interview_coding._texts import like, text
from attncourse.measure.overlap import rouge_l as solution
from attncourse.testing import assert_same

difficulty, minutes = 3, 20
hints = (
    "Let L(i, j) be the answer for the first i and the first j tokens. What is it where token i "
    "and token j are the same, and where they are not?",
    "Fill a table with c + 1 rows and r + 1 columns, zeros at the edges: the same token adds 1 "
    "to the entry at the upper left, else the larger of the entries above and on the left.",
)
forbidden = ("rouge_l", "SequenceMatcher")


def check_by_hand(student):
    """two sentences about a trophy, both ways"""
    one, other = ["the", "trophy", "fits"], ["the", "big", "trophy"]
    assert_same(student(one, other), 2 / 3, "ROUGE-L")
    one, other = ["it", "is", "too", "big"], ["the", "trophy", "is", "big", "for", "it"]
    assert_same(student(one, other), 0.4, "ROUGE-L")
    assert_same(student(other, one), 0.4, "ROUGE-L")


def check_equals_the_definition(student):
    """equals the table's answer for texts of several lengths"""
    for i, (c, r) in enumerate(((9, 5), (5, 9), (14, 17), (30, 23), (7, 7))):
        args = _case(c, r, seed=2000 + 10 * i)
        assert_same(student(*args), _by_definition(*args), f"ROUGE-L of {c} and {r} tokens")


def check_lets_words_stand_between(student):
    """what is shared may lie far apart, and has to be in the same order"""
    words = [f"w{i}" for i in range(7)]
    scattered = [x for word in words for x in (word, "x", "y")]
    for candidate in (scattered, words[::-1], words[3:] + words[:3], [*words[:2], "x", *words[4:]]):
        assert_same(student(candidate, words), _by_definition(candidate, words), "ROUGE-L")


def check_counts_repeated_words(student):
    """a word that is said twice is shared twice only if both have it twice"""
    for candidate, reference in (
        ("a a a b", "a b a"),
        ("a b a", "a a a b"),
        ("the the the the", "the cat the"),
        ("b a a", "a a b b"),
    ):
        args = candidate.split(), reference.split()
        assert_same(student(*args), _by_definition(*args), f"ROUGE-L of {candidate!r}")


def check_is_one_for_itself_and_zero_for_strangers(student):
    """a text has 1 with itself, 0 with what shares nothing and with an empty one"""
    words = text(8, seed=2100)
    assert_same(student(words, list(words)), 1.0, "ROUGE-L of a text with itself")
    for candidate, reference in ((["x"] * 5, words), ([], words), (words, []), ([], [])):
        assert_same(student(candidate, reference), 0.0, "ROUGE-L where nothing is shared")


def check_takes_long_texts(student):
    """two texts of some hundred tokens: not every subsequence can be tried"""
    for c, r in ((200, 160), (120, 210)):
        args = _case(c, r, seed=2200)
        assert_same(student(*args), _by_definition(*args), f"ROUGE-L of {c} and {r} tokens")


def _case(c, r, *, seed):
    reference = text(r, seed=seed)
    return like(reference, c, seed=seed + 1)[::-1][: c // 4] + text(
        c - c // 4, seed=seed
    ), reference


def _longest(a, b):
    """The table of the lengths, row by row."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def _mean(common, c, r):
    return 2 * common / (c + r) if common else 0.0


def _by_definition(candidate, reference):
    return _mean(_longest(candidate, reference), len(candidate), len(reference))


def wrong_run_in_common(candidate, reference):
    """You look for the longest run without a gap. Other words may stand between those that are
    shared: where two tokens differ, take over the larger of the two neighbours, and not 0.
    """
    best, row = 0, [0] * (len(reference) + 1)
    for x in candidate:
        row = [0] + [row[j] + 1 if x == y else 0 for j, y in enumerate(reference)]
        best = max(best, *row)
    return _mean(best, len(candidate), len(reference))


def wrong_words_in_common(candidate, reference):
    """You count shared words in any order: that is ROUGE-1. They have to come in the same order in
    both texts.
    """
    from collections import Counter

    common = (Counter(candidate) & Counter(reference)).total()
    return _mean(common, len(candidate), len(reference))


def wrong_taken_as_they_come(candidate, reference):
    """You take the first match of each word and go on behind it. What is taken early can bar a
    longer thread: keep the best for every pair of beginnings.
    """
    place = common = 0
    for x in candidate:
        if x in reference[place:]:
            place = reference.index(x, place) + 1
            common += 1
    return _mean(common, len(candidate), len(reference))


def wrong_recall_alone(candidate, reference):
    """You return the recall, L over the length of the reference, which rewards whoever says
    everything. Take the harmonic mean with the precision.
    """
    return _longest(candidate, reference) / len(reference) if reference else 0.0


def wrong_precision_alone(candidate, reference):
    """You return the precision, L over the length of the candidate, which rewards whoever says one
    safe word. Take the harmonic mean with the recall.
    """
    return _longest(candidate, reference) / len(candidate) if candidate else 0.0


def wrong_plain_mean(candidate, reference):
    """You take the plain mean of precision and recall. The harmonic one, 2 P R / (P + R), is
    nearer to the smaller of the two.
    """
    if not candidate or not reference:
        return 0.0
    common = _longest(candidate, reference)
    return (common / len(candidate) + common / len(reference)) / 2


def wrong_length_returned(candidate, reference):
    """You return the number of tokens in common. Make it a share of both lengths:
    2 P R / (P + R).
    """
    return float(_longest(candidate, reference))


def wrong_shared_word_adds_to_its_neighbour(candidate, reference):
    """Where two tokens are the same you add 1 to the larger neighbour, so that a word said once is
    shared twice. Add it to the entry at the upper left, which has used neither of them.
    """
    row = [0] * (len(reference) + 1)
    for x in candidate:
        new = [0]
        for j, y in enumerate(reference):
            new.append(max(row[j + 1], new[j]) + (x == y))
        row = new
    return _mean(row[-1], len(candidate), len(reference))


def wrong_divided_by_zero(candidate, reference):
    """You divide without a look at what is shared: where P + R is 0, or a text is empty, the
    answer is 0, and has to be said first.
    """
    common = _longest(candidate, reference)
    p, r = common / len(candidate), common / len(reference)
    return 2 * p * r / (p + r)


def right_by_a_table(candidate, reference):
    """the whole table, entry by entry"""
    c, r = len(candidate), len(reference)
    common = [[0] * (r + 1) for _ in range(c + 1)]
    for i in range(1, c + 1):
        for j in range(1, r + 1):
            if candidate[i - 1] == reference[j - 1]:
                common[i][j] = common[i - 1][j - 1] + 1
            else:
                common[i][j] = max(common[i - 1][j], common[i][j - 1])
    longest = common[c][r]
    if longest == 0:
        return 0.0
    precision, recall = longest / c, longest / r
    return 2 * precision * recall / (precision + recall)


def right_from_the_ends(candidate, reference):
    """the longest of what is left of both, from the ends to the front"""
    left = {}
    for i in range(len(candidate), -1, -1):
        for j in range(len(reference), -1, -1):
            if i == len(candidate) or j == len(reference):
                left[i, j] = 0
            elif candidate[i] == reference[j]:
                left[i, j] = left[i + 1, j + 1] + 1
            else:
                left[i, j] = max(left[i + 1, j], left[i, j + 1])
    common = left[0, 0]
    return 2.0 * common / (len(candidate) + len(reference)) if common else 0.0


def right_by_increasing_places(candidate, reference):
    """the longest increasing sequence of places, by bisection"""
    from bisect import bisect_left

    places = {}
    for j, y in enumerate(reference):
        places.setdefault(y, []).insert(0, j)
    ends = []
    for x in candidate:
        for j in places.get(x, ()):
            at = bisect_left(ends, j)
            ends[at : at + 1] = [j]
    return len(ends) * 2 / (len(candidate) + len(reference)) if ends else 0.0


shown = right_by_a_table
