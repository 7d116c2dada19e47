"""The chunked kernels of linear attention against float64, on CUDA or interpreted."""

import pytest
import torch

from attncourse.kernels import linear
from attncourse.kernels.linear import (
    causal_product,
    chunked_kernel_attention,
    chunked_linear_attention,
)
from attncourse.mechanisms.linear.linear_transformer import causal_linear_attention_by_definition
from attncourse.testing import gaussian

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALVES = [torch.float16, torch.bfloat16] if DEVICE == "cuda" else [torch.float16]
SIZES = [(37, 16, 16), (70, 8, 20), (5, 3, 2), (16, 16, 16), (1, 5, 7)]
every_size = pytest.mark.parametrize(("n", "d", "e"), SIZES)


def inputs(n, d, e, dtype=torch.float32):
    widths = enumerate((d, d, e))
    made = (gaussian(1, 2, n, w, std=1.0, seed=i).to(DEVICE, dtype) for i, w in widths)
    return tuple(made)


def with_gradients(function, arguments):
    leaves = [x.detach().requires_grad_() for x in arguments]
    out = function(*leaves)
    cotangent = gaussian(*out.shape, std=1.0, seed=9).to(out)
    return out, *torch.autograd.grad(out, leaves, cotangent)


@pytest.mark.parametrize("kernel", [chunked_kernel_attention, chunked_linear_attention])
def test_a_second_derivative_and_torch_func_are_refused(kernel):
    arguments = [x.exp().requires_grad_() for x in inputs(5, 16, 16)]
    total = kernel(*arguments).square().sum()
    (first,) = torch.autograd.grad(total, arguments[0], create_graph=True)
    message = (
        "^chunked_kernel_attention and chunked_linear_attention have neither second derivatives nor"
        " rules for torch.func: take causal_kernel_attention or causal_linear_attention$"
    )
    with pytest.raises(RuntimeError, match=message):
        first.sum().backward()
    with pytest.raises(RuntimeError, match=message):
        torch.func.vmap(kernel)(*arguments)


def definition(q, k, v):
    return causal_linear_attention_by_definition(q, k, v, chunk=1)


@every_size
def test_it_equals_the_definition_in_value_and_gradient(n, d, e):
    arguments = inputs(n, d, e)
    exact = with_gradients(definition, [x.double() for x in arguments])
    for found, wanted in zip(
        with_gradients(chunked_linear_attention, arguments), exact, strict=True
    ):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
@every_size
def test_the_causal_product_is_a_triangular_product(n, d, e, backwards):
    a, b, c = (torch.nn.functional.pad(x, (0, 32 - x.shape[-1]))[0] for x in inputs(n, d, e))
    pairs = a.double() @ b.double().mT
    wanted = (pairs.triu() if backwards else pairs.tril()) @ c.double()
    found = causal_product(a, b, c, backwards=backwards)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_query_without_weights_gets_zeros_and_finite_gradients():
    q, k, v = (x.abs() for x in inputs(20, 8, 6))
    q[..., 3, :] = 0.0
    out, *gradients = with_gradients(chunked_kernel_attention, (q, k, v))
    assert not out[..., 3, :].any()
    assert all(g.isfinite().all() for g in gradients)


def test_the_future_changes_nothing():
    q, k, v = inputs(50, 8, 6)
    before = chunked_linear_attention(q, k, v)
    v[..., 30:, :] += 1.0
    after = chunked_linear_attention(q, k, v)
    assert torch.equal(before[..., :30, :], after[..., :30, :])
    assert (before[..., 30:, :] != after[..., 30:, :]).any(dim=-1).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_errs_at_most_twice_as_much_as_the_plain_form(dtype):
    arguments = inputs(50, 16, 16, dtype)

    def plain(q, k, v):
        a, b = (torch.nn.functional.elu(x) + 1 for x in (q, k))
        weights = (a @ b.mT).tril()
        return weights @ v / weights.sum(dim=-1, keepdim=True)

    exact = with_gradients(plain, [x.double() for x in arguments])
    theirs = with_gradients(plain, arguments)
    ours = with_gradients(chunked_linear_attention, arguments)
    for a, b, truth in zip(ours, theirs, exact, strict=True):
        assert (a - truth).abs().max() <= 2 * (b - truth).abs().max()


def test_an_empty_batch_gives_an_empty_result():
    q = torch.zeros(0, 2, 5, 16, device=DEVICE)
    assert chunked_linear_attention(q, q, q).shape == (0, 2, 5, 16)


@pytest.mark.parametrize("backwards", [False, True])
def test_columns_that_find_no_room_are_taken_in_parts(backwards, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(2, 40, width, generator=generator) for width in (16, 16, 64))
    whole = linear.causal_product(a, b, c, backwards=backwards)
    monkeypatch.setattr(linear, "widest", lambda width, capability: min(width, 16))
    torch.testing.assert_close(linear.causal_product(a, b, c, backwards=backwards), whole)


def test_only_a_t4_takes_parts(monkeypatch):
    monkeypatch.setattr(linear, "interpreting", lambda: False)
    assert [linear.widest(128, capability) for capability in (75, 80, 90)] == [64, 128, 128]
    assert linear.widest(32, 75) == 32
