"""Sums over all keys part by part: whatever the parts, and whichever memory is used again."""

import pytest
import torch

from attncourse.mechanisms.linear import _all_keys
from attncourse.mechanisms.linear.linear_transformer import (
    linear_attention,
    linear_attention_by_definition,
)
from attncourse.testing import assert_same, gradients

SIZES = ((5, 7, 3, 4), (20, 9, 4, 4), (9, 20, 6, 2), (1, 1, 1, 1))  # n, m, d, e


@pytest.mark.parametrize("part", [2**20, 200, 64], ids=lambda part: f"{part} numbers at once")
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_parts_give_what_the_whole_gives(part, lead, sizes, monkeypatch):
    monkeypatch.setattr(_all_keys, "PART", part)
    n, m, d, e = sizes
    generator = torch.Generator().manual_seed(n)
    shapes = (n, d), (m, d), (m, e)
    inputs = [
        torch.randn(*lead, *shape, generator=generator, dtype=torch.float64) for shape in shapes
    ]
    assert_same(linear_attention(*inputs), linear_attention_by_definition(*inputs))
    expected = gradients(linear_attention_by_definition, *inputs)
    for found, right in zip(gradients(linear_attention, *inputs), expected, strict=True):
        assert_same(found, right)


def test_inputs_are_left_as_they_are_and_results_share_no_memory():
    q, k, v = torch.ones(3, 8, 4).unbind()
    first = linear_attention(q, k, v)
    kept = first.clone()
    linear_attention(2 * q, k, 3 * v)
    assert torch.equal(first, kept)
    assert torch.equal(torch.stack([q, k, v]), torch.ones(3, 8, 4))
