"""What heads do is found where it is known."""

import pytest
import torch

from attncourse.measure.roles import (
    OBJECTS,
    VERBS,
    head_roles,
    induction_score,
    made_sentences,
    repeated,
    verb_to_object,
)


class Known:
    """A reader of letters whose four heads do one thing each."""

    def encode(self, text):
        return [ord(letter) for letter in text]

    def maps(self, ids):
        n = len(ids)
        even, previous = torch.full((n, n), 1 / n), torch.eye(n).roll(-1, dims=-1)
        first, last = torch.zeros(n, n), torch.zeros(n, n)
        first[:, 0] = last[:, -1] = 1
        return torch.stack([even, previous, first, last])[None]


def test_heads_are_told_by_what_they_do():
    found = head_roles(Known(), ["abcde", "fghijk"])
    assert found["previous"].shape == (1, 4)
    assert found["previous"][0, 1] == 1
    assert found["first"][0, 2] == 1
    assert found["last"][0, 3] == 1
    assert "same" not in found  # no letter stands twice
    assert found["even"][0, 0].item() == pytest.approx((3 / 5 + 4 / 6) / 7)
    assert found["itself"][0, 0].item() == pytest.approx((3 / 5 + 4 / 6) / 7)


def test_the_same_token_elsewhere_counts_for_the_queries_that_have_one():
    found = head_roles(Known(), ["abba"])
    assert found["same"][0].tolist() == pytest.approx([0.25, 0.5, 0.0, 0.0])


class Two:
    """A reader of words: one head looks two words on, the other at the last word but one."""

    def encode(self, text):
        return [0, *range(1, 1 + len(text.split())), 0]

    def maps(self, ids):
        n = len(ids)
        far = torch.eye(n).roll(2, dims=-1)
        object_ = torch.zeros(n, n)
        object_[:, -3] = 1
        return torch.stack([far, object_])[None]


def test_a_head_finds_the_object_or_only_a_distance():
    made = made_sentences()
    found = verb_to_object(Two(), made)
    two_on = sum(place - verb == 2 for _, verb, place in made) / len(made)
    assert 0.2 < two_on < 0.5
    assert found[0].tolist() == pytest.approx([two_on, 1.0])


def test_a_verb_stands_before_its_object():
    for sentence, verb, place in made_sentences(20, seed=3):
        words = sentence.split()
        assert words[verb] in VERBS
        assert words[place] in OBJECTS
        assert 2 <= place - verb <= 4


def test_a_word_in_pieces_is_refused():
    with pytest.raises(ValueError, match="each word must be one token: got 3 for 'the b'"):
        verb_to_object(Known(), [("the b", 0, 1)])


def test_a_head_that_copies_is_found():
    tokens = repeated(5, vocabulary=100, generator=torch.Generator().manual_seed(3))
    copying, previous = torch.zeros(10, 10), torch.eye(10).roll(-1, dims=-1)
    copying[:5, 0] = 1
    copying[torch.arange(5, 10), torch.arange(1, 6)] = 1
    assert induction_score(torch.stack([copying, previous]), tokens).tolist() == [1.0, 0.0]


def test_no_head_copies_where_nothing_comes_twice():
    assert induction_score(torch.full((2, 3, 3), 1 / 3), torch.tensor([4, 0, 2])).tolist() == [0, 0]


def test_a_repeated_text_has_no_token_twice_within_a_copy():
    tokens = repeated(20, vocabulary=30)
    assert len(set(tokens[:20].tolist())) == 20
    assert torch.equal(tokens[:20], tokens[20:])
