"""The Triton kernels against float64: on a CUDA device if there is one, otherwise interpreted.

Interpreted tiles are small, 32 queries by 16 keys, so that small inputs have several.
"""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import sliding_window_mask
from attncourse.kernels.flash import flash_attention, flash_window_attention
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.testing import gaussian

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Triton's interpreter multiplies no tiles of bfloat16
HALVES = [torch.float16, torch.bfloat16] if DEVICE == "cuda" else [torch.float16]
SIZES = [(1, 1, 37, 37, 16, 16), (2, 1, 50, 75, 24, 16), (2, 2, 70, 40, 8, 20), (2, 1, 1, 33, 7, 5)]
every_size = pytest.mark.parametrize(("h", "g", "n", "m", "d", "e"), SIZES)


def inputs(h, g, n, m, d, e, dtype=torch.float32, std=1.0):
    shapes = (h, n, d), (g, m, d), (g, m, e)
    made = (
        gaussian(1, *shape, std=std, seed=i).to(DEVICE, dtype) for i, shape in enumerate(shapes)
    )
    return tuple(made)


@pytest.mark.parametrize("options", [{}, {"window": 3}])
def test_a_second_derivative_and_torch_func_are_refused(options):
    kernel = flash_window_attention if options else flash_attention
    arguments = [x.requires_grad_() for x in inputs(1, 1, 5, 5, 16, 16)]
    (first,) = torch.autograd.grad(
        kernel(*arguments, **options).sum(), arguments[0], create_graph=True
    )
    message = (
        "^flash_attention and flash_window_attention have neither second derivatives nor rules for"
        " torch.func: take grouped_query_attention or sliding_window_attention$"
    )
    with pytest.raises(RuntimeError, match=message):
        first.sum().backward()
    with pytest.raises(RuntimeError, match=message):
        torch.func.vmap(lambda *x: kernel(*x, **options))(*arguments)


def with_gradients(function, arguments):
    """The value, and the gradients for a fixed cotangent."""
    leaves = [x.detach().requires_grad_() for x in arguments]
    out = function(*leaves)
    cotangent = gaussian(*out.shape, std=1.0, seed=9).to(out)
    return out, *torch.autograd.grad(out, leaves, cotangent)


def assert_as_exact_as_float32(ours, mask, arguments):
    """Value and gradients within float32's rounding of the definition in float64."""
    exact = with_gradients(
        lambda q, k, v: grouped_query_attention(q, k, v, mask=mask), [x.double() for x in arguments]
    )
    for found, wanted in zip(with_gradients(ours, arguments), exact, strict=True):
        assert found.dtype == arguments[0].dtype
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@every_size
def test_full_attention(h, g, n, m, d, e):
    assert_as_exact_as_float32(flash_attention, None, inputs(h, g, n, m, d, e))


@every_size
def test_causal_attention_with_empty_rows_where_there_are_more_queries(h, g, n, m, d, e):
    mask = causal_mask(n, m).to(DEVICE)
    arguments = inputs(h, g, n, m, d, e)
    assert_as_exact_as_float32(lambda *x: flash_attention(*x, causal=True), mask, arguments)
    if n > m:
        out, d_q, *_ = with_gradients(lambda *x: flash_attention(*x, causal=True), arguments)
        assert not out[..., : n - m, :].any()
        assert not d_q[..., : n - m, :].any()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [0, 5, 20, 1000])
def test_window_attention(window, causal):
    h, g, n, d, e = 2, 1, 70, 8, 20
    mask = sliding_window_mask(n, window, causal=causal).to(DEVICE)
    assert_as_exact_as_float32(
        lambda *x: flash_window_attention(*x, window=window, causal=causal),
        mask,
        inputs(h, g, n, n, d, e),
    )


@pytest.mark.parametrize("causal", [False, True])
def test_large_scores_are_safe(causal):
    arguments = inputs(1, 1, 40, 50, 16, 16, std=30.0)
    found = with_gradients(lambda *x: flash_attention(*x, causal=causal), arguments)
    assert all(x.isfinite().all() for x in found)
    mask = causal_mask(40, 50).to(DEVICE) if causal else None
    exact = grouped_query_attention(*(x.double() for x in arguments), mask=mask)
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_errs_at_most_twice_as_much_as_pytorch(dtype, causal):
    arguments = inputs(1, 1, 50, 50, 16, 16, dtype)
    mask = causal_mask(50, 50).to(DEVICE) if causal else None

    def plain(q, k, v):
        scores = q @ k.mT / 4.0
        scores = scores if mask is None else scores.masked_fill(~mask, float("-inf"))
        return torch.softmax(scores, dim=-1) @ v

    exact = with_gradients(plain, [x.double() for x in arguments])
    theirs = with_gradients(plain, arguments)
    ours = with_gradients(lambda *x: flash_attention(*x, causal=causal), arguments)
    for a, b, truth in zip(ours, theirs, exact, strict=True):
        assert (a - truth).abs().max() <= 2 * (b - truth).abs().max()


def test_pytorchs_own_attention_agrees():
    q, k, v = inputs(2, 2, 37, 37, 16, 16)
    theirs = scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(flash_attention(q, k, v, causal=True), theirs)


def test_the_future_and_what_lies_outside_of_the_window_change_nothing():
    q, k, v = inputs(1, 1, 50, 50, 16, 16)
    before = flash_attention(q, k, v, causal=True), flash_window_attention(q, k, v, window=7)
    k[..., 30:, :] += 1.0
    after = flash_attention(q, k, v, causal=True), flash_window_attention(q, k, v, window=7)
    assert torch.equal(before[0][..., :30, :], after[0][..., :30, :])
    assert torch.equal(before[1][..., :23, :], after[1][..., :23, :])
    assert (before[0][..., 30:, :] != after[0][..., 30:, :]).any(dim=-1).all()


def test_an_empty_batch_gives_an_empty_result():
    q = torch.zeros(0, 2, 5, 16, device=DEVICE)
    assert flash_attention(q, q, q).shape == (0, 2, 5, 16)


def test_bad_input_gets_one_sentence():
    q, k, v = inputs(3, 2, 5, 5, 16, 16)
    with pytest.raises(ValueError, match=r"^g must divide h: got g=2 and h=3 for \(1, 3, 5, 16\)$"):
        flash_attention(q, k, v)
    with pytest.raises(TypeError, match=r"^q must be float32, .* got torch.float64$"):
        flash_attention(q.double(), k[:, :1].double(), v[:, :1].double())
    with pytest.raises(ValueError, match=r"^q must be on a CUDA device, .*: got q on meta$"):
        flash_attention(*(x.to("meta") for x in (q, k[:, :1], v[:, :1])))
    with pytest.raises(ValueError, match=r"^window must be at least 0: got window=-1$"):
        flash_window_attention(q, k[:, :1], v[:, :1], window=-1)
