"""What heads do is found where it is known."""

import pytest
import torch

from attncourse.measure.roles import OBJECTS, VERBS, head_roles, made_sentences, verb_to_object


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
