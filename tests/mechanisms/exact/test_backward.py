"""The backward pass by hand equals autograd, PyTorch's own attention and finite differences."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.softmax import attention, softmax
from attncourse.mechanisms.exact.backward import (
    attention_backward,
    softmax_backward,
    with_backward,
)
from attncourse.testing import assert_same, attention_inputs, gaussian

every_form = pytest.mark.parametrize("form", forms_of(attention_backward))


def inputs(*lead, std=2.0):
    return *attention_inputs(*lead, std=std), gaussian(*lead, 5, 6, seed=7)


@every_form
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("std", [2.0, 100.0])
def test_it_equals_the_gradient_of_pytorchs_attention(form, lead, std):
    q, k, v, grad = inputs(*lead, std=std)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    theirs = torch.autograd.grad(scaled_dot_product_attention(*leaves), leaves, grad)
    assert_same(form(q, k, v, grad), theirs)


@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_softmax_backward_equals_autograd(lead):
    scores, grad = gaussian(*lead, 5, 7).requires_grad_(), gaussian(*lead, 5, 7, seed=1)
    weights = softmax(scores)
    (expected,) = torch.autograd.grad(weights, scores, grad)
    assert_same(softmax_backward(weights.detach(), grad), expected)


def test_softmax_backward_is_the_product_with_the_jacobian():
    p, g = softmax(gaussian(6)), gaussian(6, seed=1)
    assert_same(softmax_backward(p, g), (torch.diag(p) - torch.outer(p, p)) @ g)
    assert softmax_backward(p, torch.ones(6, dtype=p.dtype)).abs().max() < 1e-15


def test_it_can_itself_be_differentiated():
    small = gaussian(3, 2), gaussian(4, 2, seed=1), gaussian(4, 3, seed=2), gaussian(3, 3, seed=3)
    assert torch.autograd.gradcheck(attention_backward, [x.requires_grad_() for x in small])


@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_attention_with_its_backward_has_value_and_gradient_of_attention(lead):
    q, k, v, grad = inputs(*lead)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    own, usual = with_backward(attention_backward)(*leaves), attention(*leaves)
    assert_same(own, usual)
    found = torch.autograd.grad(own, leaves, grad)
    assert_same(found, torch.autograd.grad(usual, leaves, grad))


def test_what_is_given_as_a_backward_is_what_autograd_gets():
    q, k, v, grad = inputs()
    leaves = [x.requires_grad_() for x in (q, k, v)]
    out = with_backward(lambda q, k, v, g: (q, 2 * k, g.sum() * v))(*leaves)
    assert_same(torch.autograd.grad(out, leaves, grad), (q, 2 * k, grad.sum() * v))


def test_it_costs_five_matrix_products_of_the_forward_passs_two():
    q, k, v, grad = inputs()
    assert flops(attention_backward, q, k, v, grad) == 2 * 5 * 37 * (3 * 8 + 2 * 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_are_kept_and_sums_are_wide(dtype):
    x = [t.to(dtype) for t in inputs(std=1.0)]
    exact = attention_backward(*(t.double() for t in x))
    for ours, wanted in zip(attention_backward(*x), exact, strict=True):
        assert ours.dtype == dtype
        budget = 2 * (wanted.to(dtype).double() - wanted).abs().max() + 1e-6
        assert (ours.double() - wanted).abs().max() <= budget


def test_it_runs_on_meta_and_leaves_its_arguments_alone():
    x = inputs(2)
    before = [t.clone() for t in x]
    attention_backward(*x)
    assert all(torch.equal(a, b) for a, b in zip(x, before, strict=True))
    shapes = [t.shape for t in attention_backward(*(t.to("meta") for t in x))]
    assert shapes == [t.shape for t in x[:3]]


@every_form
@pytest.mark.parametrize(
    ("name", "spoil", "error"),
    [
        ("grad", lambda x: x[..., :3], ValueError),
        ("grad", lambda x: x[..., :2, :], ValueError),
        ("grad", lambda x: x.float(), TypeError),
        ("k", lambda x: x[..., :4], ValueError),
        ("v", lambda x: x[..., :5, :], ValueError),
        ("q", lambda x: x.long(), TypeError),
        ("q", lambda x: x[0], ValueError),
    ],
)
def test_bad_input_is_told_in_one_sentence(form, name, spoil, error):
    arguments = dict(zip(("q", "k", "v", "grad"), inputs(), strict=True))
    with pytest.raises(error, match=f"{name}.* must .*: got "):
        form(**arguments | {name: spoil(arguments[name])})
