"""Attention to exactly the best keys: ties, laws, gradients and cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.top_k import topk_attention, topk_attention_by_definition
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(topk_attention))


def weights_of(form, q, k, **options):
    """The weights themselves: the output for values that are the unit vectors."""
    units = torch.eye(k.shape[-2], dtype=q.dtype).expand(*k.shape[:-2], -1, -1)
    return form(q, k, units, **options)


@every_form
def test_all_keys_are_attention(form):
    inputs = attention_inputs(2, 3)
    assert_same(form(*inputs, top=37), scaled_dot_product_attention(*inputs))
    assert_same(gradients(form, *inputs, top=37), gradients(scaled_dot_product_attention, *inputs))


@every_form
def test_one_key_is_a_lookup(form):
    q, k, v = attention_inputs()
    assert_same(form(q, k, v, top=1), v[(q @ k.mT).argmax(dim=-1)])


def sdpa_over_the_best(q, k, v, *, top):
    """numpy's partial sort picks the keys, PyTorch's attention does the rest."""
    scores = (q @ k.mT).detach().numpy()
    best = torch.from_numpy(scores.argpartition(-top, axis=-1)[..., -top:].copy())
    mask = torch.zeros(scores.shape, dtype=torch.bool).scatter(-1, best, True)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@every_form
@pytest.mark.parametrize(
    ("m", "top"), [(37, 1), (37, 36), (300, 1), (300, 5), (1000, 3), (1000, 60)]
)
def test_it_equals_pytorch_over_the_keys_that_numpy_picks(form, m, top):
    """Long rows with few to pick go through groups, with and without a remainder."""
    q, k, v = gaussian(2, 150, 8), gaussian(2, m, 8, seed=1), gaussian(2, m, 6, seed=2)
    assert_same(form(q, k, v, top=top), sdpa_over_the_best(q, k, v, top=top))
    ours = gradients(form, q, k, v, top=top)
    assert_same(ours, gradients(sdpa_over_the_best, q, k, v, top=top))


@every_form
@pytest.mark.parametrize("m", [9, 400])
def test_ties_go_to_the_lowest_index(form, m):
    q, k = torch.ones(3, 2, dtype=torch.float64), torch.ones(m, 2, dtype=torch.float64)
    k[5] = 2.0
    found = weights_of(form, q, k, top=3)
    assert torch.equal((found > 0).nonzero()[:, 1].view(3, 3), torch.tensor([[0, 1, 5]] * 3))
    assert torch.equal(found[:, 0], found[:, 1])
    assert (found[:, 5] > found[:, 0]).all()


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    m=st.integers(1, 200), levels=st.integers(1, 4), share=st.floats(0, 1), seed=st.integers(0, 99)
)
def test_rows_full_of_ties_are_settled_alike(m, levels, share, seed):
    generator = torch.Generator().manual_seed(seed)
    k = torch.randint(levels, (2, m, 1), generator=generator).double()
    q, top = torch.ones(2, 4, 1, dtype=torch.float64), max(1, round(share * m))
    expected = weights_of(topk_attention_by_definition, q, k, top=top)
    found = weights_of(topk_attention, q, k, top=top)
    assert torch.equal(found > 0, expected > 0)
    assert_same(found, expected)
    assert ((found > 0).sum(dim=-1) == top).all()


@every_form
def test_exactly_that_many_weights_and_they_are_those_of_softmax(form):
    q, k, _ = attention_inputs(2)
    found = weights_of(form, q, k, top=5)
    assert ((found > 0).sum(dim=-1) == 5).all()
    full = torch.softmax(q @ k.mT / 8**0.5, dim=-1)
    assert_same(found, full * (found > 0) / (full * (found > 0)).sum(dim=-1, keepdim=True))


@every_form
def test_the_order_of_the_keys_does_not_matter(form):
    q, k, v = attention_inputs(2)
    order = torch.arange(36, -1, -1)
    assert_same(form(q, k[:, order], v[:, order], top=6), form(q, k, v, top=6))


@every_form
def test_a_key_that_nobody_chose_gets_no_gradient(form):
    q, k, v = attention_inputs()
    unseen = weights_of(form, q, k, top=2).amax(dim=0) == 0
    _, d_k, d_v = gradients(form, q, k, v, top=2)
    assert (d_k[unseen] == 0).all()
    assert (d_v[unseen] == 0).all()


def test_gradients_by_finite_differences():
    inputs = [y.requires_grad_() for y in (gaussian(3, 4), gaussian(7, 4), gaussian(7, 2))]
    assert torch.autograd.gradcheck(lambda *x: topk_attention(*x, top=3), inputs)


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_the_gradient_of_a_single_argument(argument):
    inputs = list(attention_inputs(2))
    inputs[argument].requires_grad_()
    (ours,) = torch.autograd.grad(topk_attention(*inputs, top=4).sum(), inputs[argument])
    (theirs,) = torch.autograd.grad(
        topk_attention_by_definition(*inputs, top=4).sum(), inputs[argument]
    )
    assert_same(ours, theirs)


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def four(q, k, v):
    return topk_attention(q, k, v, top=4)


def backward(q, k, v):
    return gradients(four, q, k, v)


@pytest.mark.parametrize("form", [four, backward])
def test_the_largest_tensor_grows_with_the_length(form):
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 256) == 1


def test_all_scores_are_computed_once_and_only_chosen_values_are_summed():
    q, k, v = inputs_of_length(256)
    scores, kept = 2 * 256 * 256 * 8, 2 * 256 * 4
    assert flops(four, q, k, v) == scores + kept * 6
    assert flops(backward, q, k, v) == scores + kept * (6 + 6 + 6 + 8 + 8 + 6)
    assert flops(attention, q, k, v) == 2 * 256 * 256 * (8 + 6)


@every_form
@pytest.mark.parametrize("top", [0, -1, 38])
def test_top_must_be_a_number_of_keys(form, top):
    with pytest.raises(ValueError, match=f"^top must be between 1 and m=37: got top={top}$"):
        form(*attention_inputs(), top=top)
