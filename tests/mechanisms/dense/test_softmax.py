"""The softmax and the masked softmax: infinities, empty rows, and PyTorch beside them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.mechanisms.dense.softmax import masked_softmax, softmax
from attncourse.testing import assert_same, gaussian, gradients, random_mask

few = settings(derandomize=True, max_examples=25, deadline=None)
sizes = st.integers(1, 6)
seeds = st.integers(0, 10_000)


def test_the_softmaxes_pass_gradcheck():
    scores = gaussian(2, 3, 5).requires_grad_()
    mask = random_mask(3, 5, empty_row=1)
    assert torch.autograd.gradcheck(softmax, scores)
    assert torch.autograd.gradcheck(lambda x: masked_softmax(x, mask), scores)


@given(
    rows=sizes,
    n=sizes,
    shift=st.sampled_from([-1e6, -700.0, -1.0, 0.5, 700.0, 1e6]),
    seed=seeds,
)
@few
def test_softmax_is_invariant_to_a_shift(rows, n, shift, seed):
    x = gaussian(rows, n, seed=seed)
    torch.testing.assert_close(softmax(x + shift), softmax(x), rtol=1e-7, atol=1e-9)
    mask = random_mask(rows, n, seed=seed)
    shifted = masked_softmax(x + shift, mask)
    torch.testing.assert_close(shifted, masked_softmax(x, mask), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_softmax_survives_the_largest_numbers_of_its_dtype(dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([largest, largest, 0.0, -largest], dtype=dtype)
    assert_same(softmax(x), torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=dtype))


@pytest.mark.parametrize(
    "x",
    [
        [0.0, -math.inf, 1.0],
        [-math.inf, -math.inf],
        [math.inf, 0.0],
        [math.nan, 0.0],
        [[1.0, math.nan], [2.0, 3.0]],
    ],
    ids=str,
)
def test_softmax_treats_infinities_and_nan_as_pytorch_does(x):
    x = torch.tensor(x, dtype=torch.float64)
    assert_same(softmax(x), torch.softmax(x, dim=-1))


def test_the_softmax_of_one_entry_is_one_and_of_equal_entries_even():
    assert softmax(gaussian(1)).tolist() == [1.0]
    assert softmax(torch.full((4,), 7.0)).tolist() == [0.25] * 4


def test_a_minus_infinity_takes_weight_zero_and_finite_gradient():
    x = torch.tensor([0.5, -math.inf, 1.0], dtype=torch.float64)
    (gradient,) = gradients(softmax, x)
    assert gradient.isfinite().all()
    assert gradient[1] == 0


@pytest.mark.parametrize("shape", [(5, 37), (1, 37), (5, 1), (3, 1, 37), (2, 1, 5, 37)], ids=str)
def test_masked_softmax_equals_softmax_over_the_visible_keys(shape):
    mask = random_mask(math.prod(shape[:-1]), shape[-1]).view(shape)
    scores = gaussian(2, 3, 5, 37, seed=8)
    weights = masked_softmax(scores, mask)
    visible = mask.expand(2, 3, 5, 37)
    assert not weights[~visible].any()
    rows = zip(scores.view(-1, 37), weights.view(-1, 37), visible.reshape(-1, 37), strict=True)
    for row, found, sees in rows:
        expected = torch.softmax(row[sees], dim=-1)
        assert_same(found[sees], expected)


def test_masked_softmax_with_everything_visible_is_softmax():
    scores = gaussian(3, 5, 37)
    everything = torch.ones(1, 1, dtype=torch.bool)
    assert_same(masked_softmax(scores, everything), softmax(scores))


def test_masked_softmax_of_an_empty_row_is_zero_in_value_and_gradient():
    scores = gaussian(5, 37)
    mask = random_mask(5, 37, empty_row=3)
    assert not masked_softmax(scores, mask)[3].any()
    (gradient,) = gradients(lambda x: masked_softmax(x, mask), scores)
    assert gradient.isfinite().all()
    assert not gradient[3].any()
    assert not gradient[~mask].any()


def test_a_masked_score_may_be_infinite_or_nan():
    scores = gaussian(3, 4)
    mask = random_mask(3, 4)
    mask[:, 0], mask[:, 1] = False, True
    clean = masked_softmax(scores, mask)
    for poison in (math.nan, math.inf, -math.inf):
        scores[:, 0] = poison
        assert torch.equal(masked_softmax(scores, mask), clean)
