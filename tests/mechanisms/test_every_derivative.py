"""What holds for every mechanism that is differentiated twice, or by torch.func.

A hand-written backward pass that were differentiated itself would give a Hessian of zeros. And
torch.func knows no backward pass but PyTorch's own: each mechanism has to bring its rules along.
"""

import pytest
import torch
from torch.func import grad, jacrev, jvp, vmap

from attncourse.mechanisms.linear import delta_rule, gated_linear, linear_transformer, retention
from attncourse.testing import assert_same, gaussian
from rows import MECHANISMS

# PyTorch's own, of the file that torch.func.jvp imports when it is first called
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

# What stands behind `detach` has a gradient of zero on purpose, and differences would see it move.
STOPPED = {"segment_attention", "segment_recurrence"}

every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)


def floats(function, arguments):
    """The function of the floating-point arguments alone, and these."""
    places = [i for i, x in enumerate(arguments) if x.is_floating_point()]

    def run(*given):
        full = dict(zip(places, given, strict=True))
        return function(*[full.get(i, x) for i, x in enumerate(arguments)])

    return run, tuple(arguments[i] for i in places)


def like(x, seed):
    """Gaussian numbers in the shape of x."""
    return gaussian(*x.shape, std=1.0, seed=seed)


def directions(inputs):
    return tuple(like(x, seed) for seed, x in enumerate(inputs, start=50))


def summed(function, out):
    """The function, its output multiplied by fixed numbers and summed."""
    weights = like(out, 40)
    return lambda *x: (function(*x) * weights).sum()


def derivatives(function, arguments):
    """The gradient of a sum, and that of its product with a direction: by autograd, twice."""
    run, inputs = floats(function, arguments)
    leaves = [x.clone().requires_grad_() for x in inputs]
    options = {"allow_unused": True, "materialize_grads": True}
    total = summed(run, run(*inputs).detach())(*leaves)
    first = torch.autograd.grad(total, leaves, create_graph=True, **options)
    product = sum((g * t).sum() for g, t in zip(first, directions(inputs), strict=True))
    if not product.requires_grad:
        return first, tuple(torch.zeros_like(x) for x in leaves)
    return tuple(g.detach() for g in first), torch.autograd.grad(product, leaves, **options)


@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
@every_mechanism
def test_second_derivatives_are_those_of_the_definition(mechanism, lead):
    arguments = mechanism.inputs(*lead, std=1.0, seed=5)
    found = derivatives(mechanism.fast, arguments)
    assert_same(found, derivatives(mechanism.definition, arguments))


@pytest.mark.parametrize("name", sorted(MECHANISMS.keys() - STOPPED))
def test_second_derivatives_are_differences_of_first_ones(name):
    run, inputs = floats(MECHANISMS[name].fast, MECHANISMS[name].inputs(std=1.0, seed=5))
    leaves = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True, atol=1e-4)


@every_mechanism
def test_grad_is_the_gradient_and_jvp_of_it_the_second_derivative(mechanism):
    arguments = mechanism.inputs(std=1.0, seed=5)
    run, inputs = floats(mechanism.fast, arguments)
    function = grad(summed(run, run(*inputs)), argnums=tuple(range(len(inputs))))
    found = jvp(function, inputs, directions(inputs))
    assert_same(found, derivatives(mechanism.fast, arguments))


@every_mechanism
def test_jacrev_times_a_direction_is_jvp(mechanism):
    run, inputs = floats(mechanism.fast, mechanism.inputs(std=1.0, seed=5))
    direction = like(inputs[0], 50)
    _, along = jvp(lambda x: run(x, *inputs[1:]), inputs[:1], (direction,))
    jacobian = jacrev(run)(*inputs)
    product = jacobian.reshape(along.numel(), -1) @ direction.flatten()
    assert_same(product.view(along.shape), along)


@every_mechanism
def test_vmap_over_a_leading_axis_is_that_axis(mechanism):
    arguments, one = mechanism.inputs(3, seed=5), mechanism.inputs(seed=5)
    dims = tuple(0 if x.ndim > y.ndim else None for x, y in zip(arguments, one, strict=True))
    assert_same(vmap(mechanism.fast, dims)(*arguments), mechanism.fast(*arguments))


@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
@every_mechanism
def test_vmap_over_one_argument_is_one_call_after_another_and_so_is_its_gradient(mechanism, lead):
    arguments = mechanism.inputs(*lead, std=1.0, seed=5)
    for place, x in enumerate(arguments):
        both = torch.stack([x, x.flip(-1)], dim=-1)

        def run(one, place=place):
            return mechanism.fast(*arguments[:place], one, *arguments[place + 1 :])

        assert_same(vmap(run, in_dims=-1)(both), torch.stack([run(y) for y in both.unbind(-1)]))
        if x.is_floating_point():
            slope = grad(summed(run, run(x)))
            each = torch.stack([slope(y) for y in both.unbind(-1)])
            assert_same(vmap(slope, in_dims=-1)(both), each)


SEGMENTS = {
    "linear": lambda s, z, q, k, v: linear_transformer.linear_attention_segment(
        (s, z[:, 0]), q, k, v, chunk=4
    )[0],
    "retention": lambda s, z, q, k, v: retention.retention_segment(
        s, q, k, v, z[0].sigmoid()[0], chunk=4
    )[0],
    "gated": lambda s, z, q, k, v: gated_linear.gated_linear_attention_segment(
        s, q, k, v, (q + k).sigmoid(), chunk=4
    )[0],
    "delta": lambda s, z, q, k, v: delta_rule.delta_rule_segment(
        s, q, k, v, z.sigmoid().sum(0).expand(11), chunk=4
    )[0],
}


@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)
def test_segments_with_a_state_are_differentiated_twice_and_mapped(segment):
    shapes = (8, 6), (8, 1), (11, 8), (11, 8), (11, 6)
    both = [gaussian(2, *shape, std=0.5, seed=i).abs() for i, shape in enumerate(shapes)]
    inputs = tuple(x[0] for x in both)
    assert torch.autograd.gradgradcheck(
        segment, [x.clone().requires_grad_() for x in inputs], fast_mode=True
    )
    each = torch.stack([segment(*(x[i] for x in both)) for i in range(2)])
    assert_same(vmap(segment)(*both), each)
    function = grad(summed(segment, segment(*inputs)), argnums=tuple(range(5)))
    assert_same(jvp(function, inputs, directions(inputs)), derivatives(segment, inputs))
