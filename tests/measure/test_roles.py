"""What heads do is found where it is known."""

import pytest
import torch

from attncourse.measure.roles import head_roles


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
