"""Leitner's boxes, by a calendar that the test turns."""

import random
from itertools import pairwise

import pytest

from attncourse.course import leitner
from attncourse.course.leitner import WAITS, Card, drawn, moved

NAMES = [f"q{i}" for i in range(12)]


def test_right_answers_wait_longer_and_longer_and_a_wrong_one_is_due_at_once():
    card, day, waited = None, 100, []
    for _ in range(6):
        card = moved(card, True, day)
        waited.append(card.due - day)
        day = card.due
    assert waited == [*WAITS[1:], WAITS[-1], WAITS[-1]]
    assert all(a <= b for a, b in pairwise(waited))
    card = moved(card, False, day)
    assert (card.box, card.due) == (1, day)


def test_what_is_due_comes_first_by_its_box_then_what_is_new():
    cards = {"q3": Card(1, 100), "q5": Card(2, 99), "q7": Card(3, 97), "q9": Card(2, 100)}
    found = drawn(NAMES, cards, 12, 100, random.Random(0))
    assert found[:3] == ["q3", "q5", "q7"]
    assert found[-1] == "q9"  # known since today: last of all
    assert sorted(found) == sorted(NAMES)


@pytest.mark.parametrize(("later", "first"), [(0, False), (1, True)])
def test_a_day_later_what_was_right_is_asked_again(later, first):
    cards = {"q4": moved(None, True, 100)}
    found = drawn(NAMES, cards, 3, 100 + later, random.Random(1))
    assert (found[0] == "q4") is first


def test_the_same_seed_gives_the_same_questions():
    assert drawn(NAMES, {}, 5, 1, random.Random(7)) == drawn(NAMES, {}, 5, 1, random.Random(7))
    orders = {tuple(drawn(NAMES, {}, 5, 1, random.Random(seed))) for seed in range(20)}
    assert len(orders) > 10


def test_a_box_that_nobody_has_counts_as_the_last():
    assert Card(9, 100).due == 100 + WAITS[-1]
    assert moved(Card(9, 100), True, 101) == Card(len(WAITS), 101)


def test_today_is_a_whole_day(monkeypatch):
    monkeypatch.setattr(leitner.time, "time", lambda: 86_400 * 20_000 + 86_399.0)
    assert leitner.today() == 20_000
