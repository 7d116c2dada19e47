"""The norms equal PyTorch's and Llama's, and do to a token what they are for."""

import pytest
import torch
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from attncourse.mechanisms.dense.norms import (
    layer_norm,
    layer_norm_by_definition,
    rms_norm,
    rms_norm_by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients

N, D = 5, 12
EPS = [0.0, 1e-6, 1e-5, 0.1]
layer_norms = pytest.mark.parametrize("form", [layer_norm_by_definition, layer_norm])
rms_norms = pytest.mark.parametrize("form", [rms_norm_by_definition, rms_norm])


@layer_norms
@pytest.mark.parametrize("eps", EPS)
def test_layer_norm_equals_pytorchs_in_value_and_gradient(form, eps):
    inputs = gaussian(2, N, D), gaussian(D, seed=1), gaussian(D, seed=2)

    def theirs(x, gain, bias):
        return functional.layer_norm(x, (D,), gain, bias, eps)

    assert_same(form(*inputs, eps=eps), theirs(*inputs))
    assert_same(gradients(form, *inputs, eps=eps), gradients(theirs, *inputs))


@rms_norms
@pytest.mark.parametrize("eps", EPS)
def test_rms_norm_equals_pytorchs_in_value_and_gradient(form, eps):
    inputs = gaussian(2, N, D), gaussian(D, seed=1)

    def theirs(x, gain):
        return functional.rms_norm(x, (D,), gain, eps)

    assert_same(form(*inputs, eps=eps), theirs(*inputs))
    assert_same(gradients(form, *inputs, eps=eps), gradients(theirs, *inputs))


def test_rms_norm_equals_llamas():
    """Llama's sums in float32 whatever it is given, so the comparison is in float32."""
    x, gain = gaussian(2, N, D).float(), gaussian(D, seed=1).float()
    module = LlamaRMSNorm(D, eps=1e-6)
    module.weight.data = gain
    assert_same(rms_norm(x, gain), module(x).detach())


def test_the_defaults_are_those_of_layer_norm_and_of_llama():
    x, gain, bias = gaussian(N, D, std=1e-3), gaussian(D, seed=1), gaussian(D, seed=2)
    assert_same(layer_norm(x, gain, bias), functional.layer_norm(x, (D,), gain, bias, 1e-5))
    assert_same(rms_norm(x, gain), functional.rms_norm(x, (D,), gain, 1e-6))


def test_layer_norm_forgets_shift_and_scale_and_rms_norm_scale_alone():
    x, gain, bias = gaussian(N, D), gaussian(D, seed=1), gaussian(D, seed=2)
    assert_same(layer_norm(3 * x + 7, gain, bias, eps=0.0), layer_norm(x, gain, bias, eps=0.0))
    assert_same(rms_norm(3 * x, gain, eps=0.0), rms_norm(x, gain, eps=0.0))
    assert not torch.allclose(rms_norm(x + 7, gain), rms_norm(x, gain))
    one, zero = torch.ones(D).double(), torch.zeros(D).double()
    centred = x - x.mean(dim=-1, keepdim=True)
    assert_same(rms_norm(centred, one, eps=1e-5), layer_norm(x, one, zero))


def test_a_token_of_zeros_has_a_finite_gradient():
    x, gain, bias = torch.zeros(N, D).double(), gaussian(D, seed=1), gaussian(D, seed=2)
    for g in (*gradients(layer_norm, x, gain, bias), *gradients(rms_norm, x, gain)):
        assert g.isfinite().all()


@pytest.mark.parametrize("eps", [-1e-5, float("nan")])
def test_a_negative_eps_gets_one_sentence(eps):
    x, gain = gaussian(N, D), gaussian(D)
    for call in (lambda: layer_norm(x, gain, gain, eps=eps), lambda: rms_norm(x, gain, eps=eps)):
        with pytest.raises(ValueError, match=f"^eps must be at least 0: got eps={eps}$"):
            call()
