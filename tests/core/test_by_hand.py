"""Backward passes by hand: differentiated again by the plain form, or refused in a sentence."""

import pkgutil
from importlib import import_module

import pytest
import torch

import attncourse.kernels
import attncourse.mechanisms
from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.fused import fused_attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients


class Cube(HandWritten):
    """x^3 times a number; the gradient counts its calls."""

    calls = 0

    @staticmethod
    def plain(x, number):
        return number * x**3

    @staticmethod
    def forward(ctx, x, number):
        keep(ctx, (x, number), x * x)
        return number * x**3

    @staticmethod
    def backward(ctx, grad):
        (_, number), (square,) = kept(ctx)
        Cube.calls += 1
        assert not torch.is_autocast_enabled("cpu")
        return 3 * number * square * grad, None


class Square(HandWritten):
    """x^2, whose gradient is not to be differentiated."""

    refusal = "the square has no second derivatives: take x * x"

    @staticmethod
    def forward(ctx, x):
        keep(ctx, (x,))
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,), _ = kept(ctx)
        return (2 * x * grad,)


def test_one_gradient_is_the_one_by_hand_and_all_further_ones_are_those_of_the_plain_form():
    x = torch.tensor(2.0, requires_grad=True)
    before = Cube.calls
    (first,) = torch.autograd.grad(Cube.call(x, 5.0), x)
    assert (first.item(), Cube.calls) == (60.0, before + 1)
    (first,) = torch.autograd.grad(Cube.call(x, 5.0), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    (third,) = torch.autograd.grad(second, x)
    assert (first.item(), second.item(), third.item(), Cube.calls) == (60, 60, 30, before + 1)


def test_a_gradient_within_autocast_is_computed_outside_of_it():
    x = torch.tensor(2.0, requires_grad=True)
    with torch.autocast("cpu"):
        assert torch.autograd.grad(Cube.call(x, 5.0), x)[0].item() == 60.0


def test_the_second_derivative_reaches_what_the_argument_was_made_from():
    x = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(Cube.call(x * x, 1.0), x, create_graph=True)  # x^6
    assert torch.autograd.grad(first, x)[0].item() == 30 * 2.0**4


def test_without_a_plain_form_the_second_derivative_is_refused_and_the_first_is_not():
    x = torch.tensor(3.0, requires_grad=True)
    (first,) = torch.autograd.grad(Square.call(x), x, create_graph=True)
    assert first.item() == 6.0
    message = r"^the square has no second derivatives: take x \* x$"
    with pytest.raises(RuntimeError, match=message):
        first.backward()
    with pytest.raises(RuntimeError, match=message):
        torch.func.vmap(Square.call)(torch.ones(3))


def every_function():
    """Every autograd function of the library that has a backward pass."""
    for package in (attncourse.mechanisms, attncourse.kernels):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, torch.autograd.Function):
                    yield value


def test_every_backward_pass_of_the_library_has_a_plain_form_or_a_sentence():
    found = set(every_function()) - {HandWritten}
    assert len(found) >= 12
    for function in found:
        assert issubclass(function, HandWritten)
        assert (function.plain is None) == bool(function.refusal)


def by_scores(q, k, v, mask=None):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ v


@pytest.mark.parametrize("masked", [False, True])
def test_the_fused_kernel_has_its_value_its_gradient_and_a_second_one(masked):
    inputs = [x.requires_grad_() for x in attention_inputs(2, 3, std=1.0)]
    mask = gaussian(5, 37) > -1 if masked else None
    assert_same(fused_attention(*inputs, mask=mask), by_scores(*inputs, mask=mask))
    found = gradients(fused_attention, *inputs, mask=mask)
    assert_same(found, gradients(by_scores, *inputs, mask=mask))

    def function(*x):
        return fused_attention(*x, mask=mask)

    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_the_fused_kernels_graph_serves_a_second_backward_pass_too():
    inputs = [x.requires_grad_() for x in attention_inputs(2, 3, std=1.0)]
    out = fused_attention(*inputs)
    first = torch.autograd.grad(out.sum(), inputs, retain_graph=True)
    assert_same(torch.autograd.grad(out.sum(), inputs), first)
