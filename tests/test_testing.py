"""The inputs and comparisons that checks and tests stand on are themselves tested."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    Mismatch,
    Skipped,
    assert_same,
    assert_that,
    attention_inputs,
    drawn,
    fail,
    gaussian,
    gradients,
    gradients_of_list,
    levels,
    needs_cuda,
    random_mask,
    same_value,
    secret_inputs,
    shape_on_meta,
)


def test_gaussian_numbers_are_float64_and_the_same_for_the_same_seed():
    x = gaussian(5, 7, seed=3)
    assert (x.shape, x.dtype) == ((5, 7), torch.float64)
    assert torch.equal(x, gaussian(5, 7, seed=3))
    assert not torch.equal(x, gaussian(5, 7, seed=4))


def test_gaussian_numbers_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    gaussian(5)
    random_mask(3, 4)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("std", [0.5, 2.0, 100.0])
def test_gaussian_numbers_have_mean_zero_and_the_deviation_asked_for(std):
    x = gaussian(200, 200, std=std)
    assert float(x.mean()) == pytest.approx(0.0, abs=0.02 * std)
    assert float(x.std()) == pytest.approx(std, rel=0.02)


def test_attention_inputs_are_ragged_and_independent():
    q, k, v = attention_inputs(2, 3)
    assert [tuple(x.shape) for x in (q, k, v)] == [(2, 3, 5, 8), (2, 3, 37, 8), (2, 3, 37, 6)]
    assert len({5, 37, 8, 6, 2, 3}) == 6
    for x, y in ((q, k), (k, v), (q, v)):
        count = min(x.numel(), y.numel())
        assert not torch.equal(x.flatten()[:count], y.flatten()[:count])


def test_the_two_sets_of_sizes_have_nothing_in_common():
    q, k, v = attention_inputs(2, sizes=OTHER_SIZES)
    assert [tuple(x.shape) for x in (q, k, v)] == [(2, 11, 3), (2, 9, 3), (2, 9, 7)]
    assert len({*SIZES, *OTHER_SIZES}) == 8
    assert (SIZES[0] < SIZES[1], SIZES[2] > SIZES[3]) != (
        OTHER_SIZES[0] < OTHER_SIZES[1],
        OTHER_SIZES[2] > OTHER_SIZES[3],
    )


def test_levels_take_turns():
    assert_same(levels(5, 0, -3, 7), torch.tensor([0, -3, 7, 0, -3]).double())


def test_attention_inputs_follow_their_seed_and_deviation():
    small, large = attention_inputs(seed=7), attention_inputs(seed=7, std=100.0)
    for a, b in zip(small, large, strict=True):
        assert_same(b, 50 * a)
    assert not torch.equal(small[0], attention_inputs(seed=8)[0])


@given(n=st.integers(1, 9), m=st.integers(1, 9), seed=st.integers(0, 1000))
@settings(derandomize=True, max_examples=25, deadline=None)
def test_a_random_mask_is_boolean_with_a_true_in_every_row(n, m, seed):
    mask = random_mask(n, m, seed=seed)
    assert (mask.shape, mask.dtype) == ((n, m), torch.bool)
    assert mask.any(dim=-1).all()
    assert torch.equal(mask, random_mask(n, m, seed=seed))


@pytest.mark.parametrize("empty_row", range(5))
def test_a_random_mask_empties_the_row_asked_for_and_no_other(empty_row):
    mask = random_mask(5, 37, empty_row=empty_row)
    assert (~mask.any(dim=-1)).nonzero().flatten().tolist() == [empty_row]
    others = torch.arange(5) != empty_row
    assert torch.equal(mask[others], random_mask(5, 37)[others])


def test_a_random_mask_is_about_half_true():
    share = random_mask(100, 100).double().mean()
    assert float(share) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (gaussian(3), gaussian(3)),
        (gaussian(3) + 1e-12, gaussian(3)),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0])),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        ((gaussian(2), gaussian(3)), (gaussian(2), gaussian(3))),
        (3, 3),
    ],
    ids=["equal", "rounding", "nan", "Boolean", "pair", "numbers"],
)
def test_same_values_pass(actual, expected):
    assert_same(actual, expected)


WRONG = {
    "value": torch.ones(3, dtype=torch.float64) + 1e-5,
    "one NaN": torch.tensor([1.0, math.nan, 1.0], dtype=torch.float64),
    "shape": torch.ones(3, 1, dtype=torch.float64),
    "broadcastable shape": torch.ones(1, dtype=torch.float64),
    "dtype": torch.ones(3, dtype=torch.float32),
    "device": torch.ones(3, dtype=torch.float64, device="meta"),
    "list": [1.0, 1.0, 1.0],
    "numpy": torch.ones(3, dtype=torch.float64).numpy(),
    "None": None,
    "string": "three",
    "object": object(),
    "tuple": (torch.ones(3, dtype=torch.float64),),
}


@pytest.mark.parametrize("actual", WRONG.values(), ids=WRONG)
def test_anything_else_is_a_mismatch_that_holds_both_sides(actual):
    expected = torch.ones(3, dtype=torch.float64)
    with pytest.raises(Mismatch) as caught:
        assert_same(actual, expected, "the gradient of q")
    assert str(caught.value).splitlines()[0] == "the gradient of q is not as expected:"
    assert len(str(caught.value).splitlines()) > 1
    assert caught.value.actual is actual
    assert caught.value.expected is expected


def test_a_comparison_is_of_the_result_unless_named():
    with pytest.raises(Mismatch, match=r"\Athe result is not as expected:\n"):
        assert_same(gaussian(3), gaussian(3, seed=1))


def test_a_mismatch_is_an_assertion_error_and_shows_no_second_traceback():
    with pytest.raises(AssertionError) as caught:
        assert_same(gaussian(3), gaussian(3, seed=1))
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("condition", [True, 1, torch.tensor(True), torch.ones(2).all()])
def test_a_condition_that_holds_passes(condition):
    assert_that(condition, "never shown")


@pytest.mark.parametrize("condition", [False, 0, None, torch.tensor(False), torch.zeros(2).any()])
def test_a_condition_that_fails_says_its_one_sentence(condition):
    with pytest.raises(Mismatch) as caught:
        assert_that(condition, "rows do not sum to one")
    assert str(caught.value) == "rows do not sum to one"
    assert (caught.value.actual, caught.value.expected) == (None, None)


def test_to_fail_is_a_mismatch_with_a_sentence():
    with pytest.raises(Mismatch, match=r"\Athe future is visible\Z"):
        fail("the future is visible")


def test_needs_cuda_skips_without_a_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Skipped, match=r"\Aneeds a CUDA device\Z"):
        needs_cuda()


def test_needs_cuda_goes_on_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    needs_cuda()


def test_skipped_is_neither_a_pass_nor_a_failure():
    assert not issubclass(Skipped, AssertionError)


def test_a_function_that_draws_is_given_a_generator_that_follows_the_seed_and_the_secret():
    def normal(n, *, generator):
        return torch.randn(n, generator=generator)

    one, again, other = (drawn(normal, 5, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert torch.equal(one, normal(5, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(one, other)
    with secret_inputs(b"secret"):
        assert not torch.equal(one, drawn(normal, 5, seed=3))


def test_gradients_are_those_of_the_sum_under_a_fixed_cotangent():
    x, y = gaussian(3, 4), gaussian(3, 4, seed=1)
    cotangent = gaussian(3, 4, std=1.0, seed=77)
    for_x, for_y = gradients(lambda x, y: x * y.square(), x, y)
    assert_same(for_x, cotangent * y.square())
    assert_same(for_y, cotangent * 2 * x * y)


def test_a_tensor_that_stays_behind_shows_on_meta():
    x, y = gaussian(3, 4), gaussian(4, 2)
    assert shape_on_meta(lambda x, y, *, n: (x @ y)[:n], x, y, n=2) == (2, 2)
    assert shape_on_meta(lambda x, n: x[:n], x, 1) == (1, 4)
    with pytest.raises(RuntimeError):
        shape_on_meta(lambda x: x + torch.ones(3, 1), x)


def test_an_argument_that_is_not_used_has_gradient_zero():
    used, unused = gradients(lambda x, y: 2 * x, gaussian(3), gaussian(4, 5))
    assert used.any()
    assert_same(unused, torch.zeros(4, 5, dtype=torch.float64))


@pytest.mark.parametrize(
    "fn",
    [lambda x, y: x.detach(), lambda x, y: torch.ones(3), lambda x, y: None, lambda x, y: [x]],
    ids=["detached", "constant", "None", "list"],
)
def test_an_output_without_gradient_gives_zeros_throughout(fn):
    found = gradients(fn, gaussian(3), gaussian(2))
    assert [tuple(g.shape) for g in found] == [(3,), (2,)]
    assert not any(g.any() for g in found)


def test_of_several_outputs_each_has_a_cotangent_of_its_own():
    """Here the second does not depend on the input, and an infinite value harms no gradient."""
    x = gaussian(3, 4)
    alone = gradients(lambda x: x.square(), x)
    assert torch.equal(gradients(lambda x: (x.square(), torch.ones(2)), x)[0], alone[0])
    infinite = gradients(lambda x: (x.square(), x.masked_fill(x < 9, -math.inf)), x)
    assert torch.equal(infinite[0], alone[0])
    assert not torch.allclose(gradients(lambda x: (x.square(), x.square()), x)[0], 2 * alone[0])


def test_only_floating_point_tensors_have_gradients_and_keywords_pass_through():
    mask = random_mask(3, 4)

    def fn(x, mask, factor, *, offset):
        return factor * x.masked_fill(mask, 0.0) + offset

    (found,) = gradients(fn, gaussian(3, 4), mask, 2, offset=gaussian(3, 4, seed=1))
    assert_same(found, 2 * gaussian(3, 4, std=1.0, seed=77).masked_fill(mask, 0.0))


def test_the_tensors_of_a_dict_have_gradients_in_their_order():
    params = {"w": gaussian(4), "name": "of a layer", "b": gaussian(4, seed=1)}
    for_x, for_w, for_b = gradients(lambda x, p: x * p["w"] + p["b"], gaussian(4, seed=2), params)
    assert_same(for_x, for_b * params["w"])
    assert_same(for_w, for_b * gaussian(4, seed=2))
    assert not params["w"].requires_grad


def test_gradients_leave_their_arguments_alone_whatever_the_function_does_to_them():
    def fn(x):
        out = x.sin()
        x.data.zero_()
        return out

    x = gaussian(3)
    copy = x.clone()
    gradients(fn, x)
    assert not x.requires_grad
    assert x.grad is None
    assert torch.equal(x, copy)


def test_the_gradient_has_the_dtype_of_its_argument():
    (found,) = gradients(torch.sin, gaussian(3).to(torch.bfloat16))
    assert found.dtype == torch.bfloat16


KINDS = (
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.complex128,
    torch.complex64,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float8_e4m3fn,
)


def close(a, b):
    """What PyTorch says."""
    try:
        torch.testing.assert_close(a, b, equal_nan=True)
    except (AssertionError, TypeError, ValueError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_tensors_are_the_same_where_pytorch_finds_them_close(kind, data):
    numbers = st.sampled_from([0.0, 1.0, 2.0, -3.0, 100.0, math.nan, math.inf, -math.inf])
    if not (kind.is_floating_point or kind.is_complex):
        numbers = st.sampled_from([0.0, 1.0, 2.0, 100.0])
    values = data.draw(st.lists(numbers, max_size=4))
    change = data.draw(st.sampled_from([0.0, 1e-9, 1e-7, 3e-7, 1e-6, 1e-5, 1e-3, 1e-2, 0.02]))
    a = torch.tensor(values, dtype=torch.float64)
    b = a * (1 + change) + data.draw(st.sampled_from([0.0, 1e-8, 1e-6, 1e-4]))
    a, b = a.to(kind), b.to(kind)
    assert same_value(a, b) is close(a, b)


def test_the_tensors_of_a_list_have_cotangents_of_their_own():
    x, y = gaussian(3, 2), gaussian(4, 2, seed=1)
    found = gradients_of_list(lambda xs: [3 * xs[0], xs[1] ** 2], (x, y))
    expected = gradients(lambda xs: (3 * xs[0], xs[1] ** 2), (x, y))
    assert [g.shape for g in found] == [x.shape, y.shape]
    assert_same(found, expected)
