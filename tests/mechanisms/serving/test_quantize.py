"""Eight bits for a number: what is lost is bounded, and what is saved is counted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving.quantize import (
    dequantize,
    quantize_channels,
    quantize_int8,
    quantized_attention,
    quantized_attention_by_definition,
    quantized_linear,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(quantized_attention))


@pytest.mark.parametrize("std", [1e-30, 2.0, 100.0, 1e30])
@pytest.mark.parametrize("lead", [(), (5,), (2, 3)], ids=str)
def test_the_error_is_at_most_half_a_step(lead, std):
    x = gaussian(*lead, 37, std=std)
    values, scale = quantize_int8(x)
    assert (values.dtype, scale.dtype) == (torch.int8, torch.float64)
    assert (values.shape, scale.shape) == (x.shape, (*lead, 1))
    assert_same(scale, x.abs().amax(-1, keepdim=True) / 127)
    assert ((dequantize(values, scale) - x).abs() <= scale / 2 * (1 + 1e-12)).all()
    assert (values.abs().amax(-1) == 127).all()


def test_it_equals_pytorchs_quantisation_by_channel():
    x = gaussian(5, 37).float()
    values, scale = quantize_int8(x)
    zero = torch.zeros(5, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(x, scale[:, 0], zero, 0, -127, 127)
    assert_same(dequantize(values, scale), theirs)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    row=st.lists(st.floats(-1e300, 1e300, allow_subnormal=True), min_size=1, max_size=6),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_any_finite_row_is_within_half_a_step(row, dtype):
    x = torch.tensor(row, dtype=torch.float64).clamp(-1e37, 1e37).to(dtype)
    values, scale = quantize_int8(x)
    assert scale > 0
    assert values.abs().max() <= 127
    error = (values.double() * scale.double() - x.double()).abs()
    assert (error <= scale.double() * (0.5 + 1e-4)).all()


def test_a_row_of_zeros_has_scale_one_and_stays_zero():
    x = torch.zeros(2, 5, dtype=torch.float64)
    values, scale = quantize_int8(x)
    assert torch.equal(scale, torch.ones(2, 1).double())
    assert torch.equal(dequantize(values, scale), x)


def test_whole_numbers_up_to_127_are_kept_and_signs_are_treated_alike():
    x = torch.arange(-127, 128).double()
    values, scale = quantize_int8(x)
    assert torch.equal(values.double(), x)
    assert torch.equal(scale, torch.ones(1).double())
    y = gaussian(5, 37)
    assert torch.equal(quantize_int8(-y)[0], -quantize_int8(y)[0])


def test_quantising_twice_changes_nothing():
    values, scale = quantize_int8(gaussian(5, 37))
    again, same = quantize_int8(dequantize(values, scale))
    assert torch.equal(again, values)
    assert_same(same, scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_scale_keeps_the_dtype_and_the_bound_holds_in_wide_arithmetic(dtype):
    for std in (1e-3, 1.0, 100.0):
        x = gaussian(5, 37, std=std).to(dtype)
        values, scale = quantize_int8(x)
        assert scale.dtype == dequantize(values, scale).dtype == dtype
        error = (values.double() * scale.double() - x.double()).abs()
        assert (error <= scale.double() * (0.5 + 1e-4)).all()


def test_channels_have_a_scale_each_and_an_outlier_costs_the_others_nothing():
    x = gaussian(2, 37, 8)
    x[..., 3] *= 1000
    values, scale = quantize_channels(x)
    assert (values.shape, scale.shape) == ((2, 37, 8), (2, 1, 8))
    errors = (dequantize(values, scale) - x).abs()
    assert (errors <= scale / 2 * (1 + 1e-12)).all()
    by_row = (dequantize(*quantize_int8(x)) - x).abs()
    others = [c for c in range(8) if c != 3]
    assert by_row[..., others].mean() > 50 * errors[..., others].mean()


def test_bytes_are_those_of_the_numbers_and_their_scales():
    x = gaussian(5, 64).float()
    values, scale = quantize_int8(x)
    taken = sum(t.numel() * t.element_size() for t in (values, scale))
    assert taken == 5 * (64 + 4)
    assert x.numel() * x.element_size() / taken == 256 / 68


def test_a_quantised_matrix_multiplies_like_the_dequantised_one():
    x, w = gaussian(3, 5, 8), gaussian(8, 6, seed=1)
    quantised = quantize_channels(w)
    out = quantized_linear(x, quantised)
    assert_same(out, x @ dequantize(*quantised))
    bound = x.abs().sum(-1, keepdim=True) * quantised[1] / 2
    assert ((out - x @ w).abs() <= bound * (1 + 1e-12)).all()
    assert_same(gradients(quantized_linear, x, quantised)[0].shape, x.shape)


def cache(*lead, std=2.0):
    q, k, v = attention_inputs(*lead, std=std)
    return q, quantize_channels(k), quantize_int8(v)


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("lead", [(), (2, 3), (0,)], ids=str)
def test_attention_equals_pytorchs_over_the_dequantised_cache(form, lead, std):
    q, k, v = cache(*lead, std=std)
    theirs = scaled_dot_product_attention(q, dequantize(*k), dequantize(*v))
    assert_same(form(q, k, v), theirs)


def test_attention_agrees_over_several_tiles_and_in_its_gradient():
    q, keys, values = gaussian(3, 8), gaussian(1100, 8, seed=1), gaussian(1100, 6, seed=2)
    k, v = quantize_channels(keys), quantize_int8(values)
    assert_same(quantized_attention(q, k, v), quantized_attention_by_definition(q, k, v))
    assert_same(
        gradients(quantized_attention, q, k, v),
        gradients(quantized_attention_by_definition, q, k, v),
    )


@pytest.mark.parametrize("std", [0.5, 1.0, 2.0])
def test_what_attention_loses_is_bounded(std):
    """|s - s'| <= |q|_1 max(step) / (2 sqrt(d)) =: t, and weights change by at most e^(2t) - 1."""
    q, keys, values = attention_inputs(2, std=std)
    k, v = quantize_channels(keys), quantize_int8(values)
    exact = scaled_dot_product_attention(q, keys, values)
    error = (quantized_attention(q, k, v) - exact).abs()
    t = (q.abs() * k[1]).sum(-1) / 2 / 8**0.5
    weights = (t * 2).expm1() * values.abs().amax()
    assert (error.amax(-1) <= weights + v[1].amax() / 2).all()
    assert error.max() < 0.1 * exact.abs().max()


def test_keys_and_values_become_floats_in_tiles_only():
    q, keys = gaussian(1, 8), gaussian(4096, 8, seed=1)
    k, v = quantize_channels(keys), quantize_int8(keys)
    assert largest_tensor(lambda q: quantized_attention(q, k, v), q) <= 4096
    assert largest_tensor(lambda q: quantized_attention_by_definition(q, k, v), q) >= 4096 * 8


@every_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(form, dtype):
    q, keys, values = (x.to(dtype) for x in attention_inputs(std=1.0))
    k, v = quantize_channels(keys), quantize_int8(values)
    out = form(q, k, v)
    assert out.dtype == dtype
    wide = scaled_dot_product_attention(q.double(), *(a.double() * b.double() for a, b in (k, v)))
    assert (out - wide).abs().max() < 0.05


def test_it_runs_on_meta():
    q, keys, values = (x.to("meta") for x in attention_inputs(2))
    k, v = quantize_channels(keys), quantize_int8(values)
    assert k[0].dtype == torch.int8
    assert quantized_attention(q, k, v).shape == (2, 5, 6)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("function", [quantize_int8, quantize_channels])
def test_a_number_that_is_none_is_told(function, number):
    x = gaussian(5, 37)
    x[2, 3] = number
    with pytest.raises(ValueError, match="^x must be finite: got a NaN or an infinity$"):
        function(x)


@every_form
def test_pairs_that_do_not_fit_are_told(form):
    q, k, v = cache()
    message = r"^the scale of k must have the shape \(1, 8\): got \(37, 8\)$"
    with pytest.raises(ValueError, match=message):
        form(q, (k[0], k[1].expand(37, 8)), v)
    with pytest.raises(
        ValueError, match=r"^the scale of v must have the shape \(37, 1\): got \(37,"
    ):
        form(q, k, (v[0], v[1].expand(37, 6)))
    with pytest.raises(ValueError, match="^q and k must share d"):
        form(q[:, :5], k, v)
    with pytest.raises(ValueError, match="^k and v must share m"):
        form(q, k, (v[0][:5], v[1][:5]))
    with pytest.raises(TypeError, match="^k must hold integers: got torch.float64$"):
        form(q, (k[0].double(), k[1]), v)
    with pytest.raises(TypeError, match="^the scale of v must be floating point: got torch.int8$"):
        form(q, k, (v[0], v[0]))
    for wrong in (3, None, k[0], (k[0],), (k[0], 3)):
        with pytest.raises(TypeError):
            form(q, wrong, v)


def test_a_matrix_that_does_not_fit_is_told():
    x, (values, scale) = gaussian(5, 8), quantize_channels(gaussian(8, 6))
    with pytest.raises(ValueError, match="^x and w must share d_x"):
        quantized_linear(x[:, :5], (values, scale))
    message = r"^the scale of w must have the shape \(1, 6\): got \(8, 1\)$"
    with pytest.raises(ValueError, match=message):
        quantized_linear(x, quantize_int8(gaussian(8, 6)))
