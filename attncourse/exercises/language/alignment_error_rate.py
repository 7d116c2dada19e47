r"""# Links beside those of people

Compare the links that a translator drew with those that people drew. People mark two kinds: *sure*
links S have to be found, *possible* ones P may be. For the links found, A,

$$\mathrm{AER} = 1 - \frac{|A \cap S| + |A \cap P|}{|A| + |S|} .$$

- `found`, `sure` and `possible` are Boolean (..., n, m): True where word i of one text is linked
  with word j of the other. The result is one float.
- A sure link is possible as well, whether `possible` says so or not.
- Links are counted over all texts first, then divided: one rate for all.
- Where there is no link at all, neither found nor sure, the rate is 0.
"""

import torch

from attncourse.measure.alignment import alignment_error_rate as solution
from attncourse.testing import assert_same, gaussian

difficulty, minutes = 2, 15
hints = (
    "Four counts are enough, each a sum over everything: links found, sure links, and how many of "
    "those found are sure, and are possible.",
    "`found & sure` is True where both are. What is possible is `possible | sure`, and `int(...)` "
    "makes a number of a sum.",
)
forbidden = ("alignment_error_rate",)


def check_two_words_by_hand(student):
    """sieben und achtzig, beside eighty seven"""
    sure = torch.tensor([[False, True], [False, False], [True, False]])
    possible = sure | torch.tensor([[False, False], [True, True], [False, False]])
    found = torch.tensor([[False, True], [True, False], [False, True]])
    assert_same(student(found, sure, possible), 1 - 3 / 5, "the rate")
    assert_same(student(possible, sure, possible), 0.0, "the rate of all that is possible")


def check_equals_the_formula(student):
    """equals the count, link by link, for texts of any lengths"""
    for seed, sizes in enumerate(((5, 9), (8, 3))):
        args = _drawn(*sizes, seed=10 * seed)
        assert_same(student(*args), right_link_by_link(*args), "the rate")


def check_counts_before_it_divides(student):
    """one rate for many texts, long ones with more say than short ones"""
    for lead in ((1,), (4,), (2, 1, 3)):
        found, sure, possible = _drawn(*lead, 5, 4, seed=40)
        found[..., 0, :, :2] = False
        assert_same(student(found, sure, possible), right_link_by_link(found, sure, possible))


def check_what_is_sure_is_possible(student):
    """a sure link counts as possible, whether it is named there or not"""
    found, sure, possible = _drawn(6, 5, seed=60)
    expected = right_link_by_link(found, sure, possible)
    assert_same(student(found, sure, possible & ~sure), expected, "the rate")


def check_possible_links_need_not_be_found(student):
    """sure links alone are a perfect alignment, however much is possible"""
    _, sure, possible = _drawn(7, 4, seed=80)
    assert_same(student(sure, sure, possible), 0.0, "the rate of the sure links")
    assert_same(student(sure | possible, sure, possible), 0.0, "the rate of all that is possible")


def check_nothing_found(student):
    """nothing found is all wrong, unless there was nothing to find"""
    none = torch.zeros(3, 4, dtype=torch.bool)
    some = none.clone()
    some[1, 2] = True
    assert_same(student(none, some, some), 1.0, "the rate where nothing is found")
    assert_same(student(some, none, none), 1.0, "the rate where nothing is right")
    assert_same(student(none, none, some), 0.0, "the rate without any link")


def _drawn(*sizes, seed):
    """Links found, sure and possible (..., n, m), each pair of them in several places."""
    found, sure, more = (gaussian(*sizes, std=1.0, seed=seed + i) > 0.3 for i in range(3))
    return found, sure, sure | more


def _counts(found, sure, possible):
    """|A|, |S|, |A and S|, |A and P|."""
    return tuple(int(x.sum()) for x in (found, sure, found & sure, found & (possible | sure)))


def _rate(right, whole):
    return 1 - right / whole if whole else 0.0


def wrong_sure_links_alone(found, sure, possible):
    """You ask twice for the sure links, so that a link which may be there counts as a mistake. The
    second count in the numerator is of the possible ones.
    """
    a, s, a_s, _ = _counts(found, sure, possible)
    return _rate(2 * a_s, a + s)


def wrong_possible_links_alone(found, sure, possible):
    """You count the possible links twice. One of the two counts in the numerator is of the sure
    links, since those have to be found.
    """
    a, s, _, a_p = _counts(found, sure, possible)
    return _rate(2 * a_p, a + s)


def wrong_divided_by_the_possible(found, sure, possible):
    """You divide by |A| + |P|, so that every possible link has to be found. Divide by |A| + |S|."""
    a, _, a_s, a_p = _counts(found, sure, possible)
    return _rate(a_s + a_p, a + int((possible | sure).sum()))


def wrong_precision(found, sure, possible):
    """You return the share of links found that are not possible. Those that were missed have to
    count too: add |A and S| above and |S| below.
    """
    a, s, _, a_p = _counts(found, sure, possible)
    return _rate(a_p, a) if a else float(s > 0)


def wrong_recall(found, sure, possible):
    """You return the share of sure links that were missed. What was found and is wrong has to count
    too: add |A and P| above and |A| below.
    """
    a, s, a_s, _ = _counts(found, sure, possible)
    return _rate(a_s, s) if s else float(a > 0)


def wrong_one_rate_a_text(found, sure, possible):
    """You return the mean of the rates of single texts, so that a short one has as much say as a
    long one. Count over all texts, then divide once.
    """
    texts = (x.reshape(-1, *x.shape[-2:]) for x in (found, sure, possible))
    rates = [wrong_named_links_alone(*text) for text in zip(*texts, strict=True)]
    return sum(rates) / len(rates)


def wrong_named_links_alone(found, sure, possible):
    """You take `possible` as it is, although a sure link that it does not name is possible as well:
    use `possible | sure`.
    """
    a, s, a_s, _ = _counts(found, sure, possible)
    return _rate(a_s + int((found & possible).sum()), a + s)


def wrong_sure_links_once(found, sure, possible):
    """You leave the sure links out of the possible ones, so that a perfect alignment gets a half.
    They count in both: |A and S| + |A and P|.
    """
    a, s, a_s, _ = _counts(found, sure, possible)
    return _rate(a_s + int((found & possible & ~sure).sum()), a + s)


def wrong_not_subtracted(found, sure, possible):
    """You return how much agrees. An error rate is 1 minus that."""
    a, s, a_s, a_p = _counts(found, sure, possible)
    return (a_s + a_p) / (a + s) if a + s else 1.0


def wrong_union_below(found, sure, possible):
    """You divide by the links that are found *or* sure. Those that are both count twice below, as
    they do above: |A| + |S|.
    """
    _, _, a_s, a_p = _counts(found, sure, possible)
    return _rate(a_s + a_p, int((found | sure).sum()))


def wrong_pairs_without_a_link_count(found, sure, possible):
    """You count every pair of words on which both agree, those without a link too, and these are
    nearly all. Count links alone.
    """
    return (found != sure).float().mean().item()


def wrong_nothing_by_nothing(found, sure, possible):
    """You divide 0 by 0 where there is no link at all. There the rate is 0: ask first whether there
    is anything to divide by.
    """
    a, s, a_s, a_p = _counts(found, sure, possible)
    return 1 - (a_s + a_p) / (a + s) if a + s else float("nan")


def right_by_counts(found, sure, possible):
    """four counts"""
    links = int(found.sum()) + int(sure.sum())
    right = int((found & sure).sum()) + int((found & (possible | sure)).sum())
    return 1 - right / links if links else 0.0


def right_link_by_link(found, sure, possible):
    """one pair of words after the other"""
    wrong = whole = 0
    for a, s, p in zip(found.flatten(), sure.flatten(), possible.flatten(), strict=True):
        whole += int(a) + int(s)
        wrong += int(a and not (p or s)) + int(s and not a)
    return wrong / whole if whole else 0.0


def right_by_mistakes(found, sure, possible):
    """what was missed and what is wrong, over the same sum"""
    missed = (sure & ~found).sum().item()
    impossible = (found & ~possible & ~sure).sum().item()
    links = found.sum().item() + sure.sum().item()
    return (missed + impossible) / max(links, 1)


shown = right_by_counts
