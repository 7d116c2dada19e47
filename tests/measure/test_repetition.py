"""What is said twice."""

import pytest

from attncourse.measure.repetition import distinct_share, said_before


def test_pairs_by_hand():
    text = ["it", "is", "too", "big", "it", "is", "too", "big"]
    assert distinct_share(text, 2) == 4 / 7  # "it is", "is too", "too big", "big it"
    assert said_before(text, 2) == [False] * 5 + [True] * 3
    assert said_before(text, 4) == [False] * 7 + [True]


def test_all_different_and_all_alike():
    assert distinct_share(range(9), 3) == 1
    assert distinct_share([0] * 9, 3) == 1 / 7
    assert sum(said_before([0] * 9, 3)) == 6


@pytest.mark.parametrize("n", [0, 4])
def test_a_text_without_such_runs_is_refused(n):
    with pytest.raises(ValueError, match=f"got n={n} for 3"):
        distinct_share("abc", n)
