"""What holds for every mechanism under torch.autocast: what holds for PyTorch's attention."""

import pytest
import torch
from torch.func import grad
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms import definition_of
from attncourse.mechanisms.dense import layers
from attncourse.testing import assert_same, attention_inputs, gaussian
from rows import MECHANISMS
from rows.layers import D_Y, DECODER, ENCODER, D, H

every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
every_dtype = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def cast(arguments, dtype):
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in arguments)


def gradients(function, leaves):
    out = function(*leaves)
    wanted = [x for x in leaves if x.requires_grad]
    return torch.autograd.grad(
        out.double().square().sum(), wanted, allow_unused=True, materialize_grads=True
    )


@every_dtype
def test_pytorchs_attention_casts_its_inputs_and_computes(dtype):
    inputs = cast(attention_inputs(2, 3), torch.float32)
    with torch.autocast("cpu", dtype):
        out = scaled_dot_product_attention(*inputs)
    assert torch.equal(out, scaled_dot_product_attention(*cast(inputs, dtype)))


@every_dtype
@every_mechanism
def test_so_does_every_mechanism(mechanism, dtype):
    assert_cast_and_computed(mechanism.fast, mechanism, dtype)


@every_dtype
@pytest.mark.parametrize("name", [n for n, x in MECHANISMS.items() if definition_of(x.fast)])
def test_so_does_every_definition(name, dtype):
    assert_cast_and_computed(MECHANISMS[name].definition, MECHANISMS[name], dtype)


def assert_cast_and_computed(function, mechanism, dtype):
    arguments = cast(mechanism.inputs(2, 3, std=1.0, seed=5), torch.float32)
    with torch.autocast("cpu", dtype):
        out = function(*arguments)
    assert out.dtype == dtype
    assert torch.equal(out, function(*cast(arguments, dtype)))


@every_dtype
@every_mechanism
def test_gradients_have_the_dtype_of_the_arguments_within_autocast_and_outside(mechanism, dtype):
    arguments = cast(mechanism.inputs(3, std=1.0, seed=5), torch.float32)
    leaves = [x.requires_grad_(x.is_floating_point()) for x in arguments]

    def function(*x):
        with torch.autocast("cpu", dtype):
            return mechanism.fast(*x)

    def narrow(*x):
        return mechanism.fast(*cast(x, dtype))

    found = gradients(function, leaves)
    assert {x.dtype for x in found} == {torch.float32}
    assert_same(found, gradients(narrow, leaves))
    with torch.autocast("cpu", dtype):
        again = gradients(mechanism.fast, leaves)
    assert {x.dtype for x in again} == {torch.float32}
    assert all(x.isfinite().all() for x in again)


@every_mechanism
def test_float64_stays_as_it_is(mechanism):
    arguments = mechanism.inputs(3, seed=5)
    with torch.autocast("cpu"):
        out = mechanism.fast(*arguments)
    assert torch.equal(out, mechanism.fast(*arguments))


@every_mechanism
def test_torch_func_differentiates_the_same_around_autocast_and_has_a_dtype_within(mechanism):
    arguments = cast(mechanism.inputs(std=1.0, seed=5), torch.float32)

    def total(*x):
        return mechanism.fast(*x).double().sum()

    def around(*x):
        with torch.autocast("cpu"):
            return total(*x)

    wanted = grad(total)(*cast(arguments, torch.bfloat16)).float()
    assert_same(grad(around)(*arguments), wanted)
    with torch.autocast("cpu"):
        found = grad(total)(*arguments)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


LAYERS = {
    "encoder": (layers.encoder_layer, ENCODER, 1),
    "post-norm encoder": (layers.post_norm_encoder_layer, ENCODER, 1),
    "decoder": (layers.decoder_layer, DECODER, 2),
    "post-norm decoder": (layers.post_norm_decoder_layer, DECODER, 2),
}


@every_dtype
@pytest.mark.parametrize(("layer", "params", "inputs"), LAYERS.values(), ids=LAYERS)
def test_a_layer_is_near_and_its_parameters_are_trained_in_their_own_dtype(
    layer, params, inputs, dtype
):
    given = [gaussian(2, 5 + i, width, seed=i).float() for i, width in enumerate((D, D_Y)[:inputs])]
    params = {name: x.float().requires_grad_() for name, x in params.items()}
    exact = layer(*given, params=params, h=H)
    with torch.autocast("cpu", dtype):
        out = layer(*given, params=params, h=H)
    assert (out - exact).norm() <= 0.05 * exact.norm()
    for g in torch.autograd.grad(out.double().sum(), list(params.values())):
        assert g.dtype == torch.float32
        assert g.isfinite().all()
