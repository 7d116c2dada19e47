"""Nyström attention against two independent packages, and its laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nystrom_attention import NystromAttention
from nystrom_attention.nystrom_attention import moore_penrose_iter_pinv
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.low_rank.nystrom import (
    iterative_inverse,
    nystrom_attention,
    nystrom_attention_exact_inverse,
    segment_means,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

D, E = 8, 6
every_form = pytest.mark.parametrize("form", forms_of(nystrom_attention))
with_the_exact = pytest.mark.parametrize(
    "form", [*forms_of(nystrom_attention), nystrom_attention_exact_inverse]
)


def one_head(n):
    """Queries, keys and values (1, 1, n, 8): both packages scale all heads by one common norm."""
    return tuple(gaussian(1, 1, n, D, std=1.0, seed=i) for i in range(3))


class Given(torch.nn.Module):
    """Stands in for a projection: gives what it was made with, whatever it is given."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, x):
        return self.out


@every_form
@pytest.mark.parametrize("landmarks", [1, 4, 12, 24])
def test_it_equals_the_package_nystrom_attention(form, landmarks):
    q, k, v = one_head(24)
    theirs = NystromAttention(D, D, 1, num_landmarks=landmarks, residual=False).double().eval()
    theirs.to_qkv, theirs.to_out = Given(torch.cat([q, k, v], dim=-1)[0]), torch.nn.Identity()
    expected = theirs(torch.zeros(1, 24, D, dtype=torch.float64))
    assert_same(form(q, k, v, landmarks=landmarks)[0], expected)


@every_form
@pytest.mark.parametrize("landmarks", [1, 4, 12])
def test_it_equals_transformers(form, landmarks):
    from transformers import NystromformerConfig
    from transformers.models.nystromformer.modeling_nystromformer import (
        NystromformerSelfAttention,
    )

    config = NystromformerConfig(
        hidden_size=D,
        num_attention_heads=1,
        num_landmarks=landmarks,
        segment_means_seq_len=24,
        attention_probs_dropout_prob=0.0,
    )
    theirs = NystromformerSelfAttention(config).double().eval()
    theirs.conv_kernel_size = None  # without the convolution on the values
    x = gaussian(1, 24, D)
    q, k, v = (part(x)[:, None] for part in (theirs.query, theirs.key, theirs.value))
    assert_same(form(q, k, v, landmarks=landmarks)[:, 0], theirs(x)[0])


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_iterative_inverse_equals_the_packages(steps):
    a = torch.softmax(gaussian(7, 7), dim=-1)
    assert_same(iterative_inverse(a, steps=steps), moore_penrose_iter_pinv(a[None], steps)[0])


def test_the_iterative_inverse_tends_to_the_pseudo_inverse_of_any_rank():
    full = torch.eye(5, dtype=torch.float64) + 0.1 * gaussian(2, 5, 5)
    thin = gaussian(2, 5, 3, seed=1) @ gaussian(2, 3, 5, seed=2)
    for a in (full, thin, 1e-3 * full):
        assert_same(iterative_inverse(a, steps=14), torch.linalg.pinv(a))
    zero = torch.zeros(3, 3)
    assert torch.equal(iterative_inverse(zero, steps=3), zero)


def test_each_matrix_of_a_batch_is_inverted_by_itself():
    a = torch.softmax(gaussian(4, 7, 7), dim=-1)
    a[2] *= 50
    whole = iterative_inverse(a, steps=4)
    assert_same(whole, torch.stack([iterative_inverse(x, steps=4) for x in a]))


def test_six_steps_in_float32_err_no_more_than_the_package():
    for seed in range(10):
        q, k, v = (x[:1] for x in attention_inputs(1, std=1.0, seed=3 * seed))
        exact = nystrom_attention(q, k, v, landmarks=4)
        single = [x.float() for x in (q, k, v)]
        ours, plain = (
            form(*single, landmarks=4) - exact for form in forms_of(nystrom_attention)[::-1]
        )
        assert ours.abs().max() <= 4 * plain.abs().max() + 1e-6


@pytest.mark.parametrize(("n", "r"), [(12, 4), (13, 4), (15, 4), (5, 5), (7, 1), (37, 36)])
def test_segments_are_those_of_tensor_split(n, r):
    x = gaussian(2, n, D)
    parts = [part.mean(dim=-2) for part in x.tensor_split(r, dim=-2)]
    assert_same(segment_means(x, r), torch.stack(parts, dim=-2))


@pytest.mark.parametrize("std", [0.5, 2.0])
def test_a_landmark_for_every_token_and_the_exact_inverse_are_full_attention(std):
    inputs = [gaussian(2, 9, width, std=std, seed=i) for i, width in enumerate((D, D, E))]
    expected = scaled_dot_product_attention(*inputs)
    assert_same(nystrom_attention_exact_inverse(*inputs, landmarks=9), expected)


def test_the_exact_inverse_has_the_gradient_of_full_attention_there():
    inputs = [gaussian(2, 5, width, std=0.5, seed=i) for i, width in enumerate((D, D, E))]
    ours = gradients(nystrom_attention_exact_inverse, *inputs, landmarks=5)
    assert_same(ours, gradients(scaled_dot_product_attention, *inputs))


def test_the_iteration_comes_near_full_attention_with_a_landmark_for_every_token():
    q, k, v = (gaussian(16, D, std=2.0, seed=i) for i in range(3))
    errors = [
        float((nystrom_attention(q, k, v, landmarks=r) - attention(q, k, v)).norm())
        for r in (2, 16)
    ]
    assert errors[1] < 0.7 * errors[0]


@with_the_exact
def test_one_landmark_is_the_mean_query_for_everyone(form):
    q, k, v = attention_inputs(2)
    mean = scaled_dot_product_attention(q.mean(dim=-2, keepdim=True), k, v)
    found = form(q, k, v, landmarks=1)
    assert_same(found, mean.expand_as(found))


@with_the_exact
def test_tokens_may_change_places_within_a_segment(form):
    q, k, v = (gaussian(2, 12, width, seed=i) for i, width in enumerate((D, D, E)))
    order = torch.tensor([2, 0, 1, 3, 5, 4, 6, 7, 8, 11, 10, 9])  # four segments of three
    whole = form(q, k, v, landmarks=4)
    assert_same(form(q, k[:, order], v[:, order], landmarks=4), whole)
    assert_same(form(q[:, order], k, v, landmarks=4), whole[:, order])


@with_the_exact
def test_equal_values_come_out_unchanged_where_the_inverse_is_exact(form):
    """The rows of softmax, of its inverse and of softmax again sum to one."""
    q, k, v = attention_inputs(2)
    v[:] = v[:, :1]
    landmarks = 1 if form is not nystrom_attention_exact_inverse else 3
    found = form(q, k, v, landmarks=landmarks)
    assert_same(found, v[:, :1].expand_as(found))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), data=st.data())
def test_any_sizes_agree(n, m, data):
    landmarks = data.draw(st.integers(1, min(n, m)))
    q, k, v = gaussian(2, n, 3), gaussian(2, m, 3, seed=1), gaussian(2, m, 2, seed=2)
    ours, theirs = (
        form(q, k, v, landmarks=landmarks) for form in forms_of(nystrom_attention)[::-1]
    )
    assert_same(ours, theirs)


def of_length(n):
    return gaussian(n, D), gaussian(n, D, seed=1), gaussian(n, E, seed=2)


def sixteen(*inputs):
    return nystrom_attention(*inputs, landmarks=16)


def backward(*inputs):
    return gradients(sixteen, *inputs)


def test_work_and_the_largest_tensor_grow_with_the_length_and_not_with_its_square():
    # the inverse costs the same at any length
    work = [flops(sixteen, *of_length(n)) for n in (512, 1024, 2048)]
    assert work[2] - work[1] == 2 * (work[1] - work[0])
    assert scaling_exponent(largest_tensor, sixteen, of_length, 512) == 1
    assert scaling_exponent(largest_tensor, backward, of_length, 512) == 1
    assert work[2] < flops(attention, *of_length(2048)) / 30


@with_the_exact
@pytest.mark.parametrize("landmarks", [0, -1, 6, 37])
def test_landmarks_are_no_more_than_queries_and_keys(form, landmarks):
    rule = rf"^landmarks must lie between 1 and min\(n, m\)=5: got landmarks={landmarks}$"
    with pytest.raises(ValueError, match=rule):
        form(*attention_inputs(), landmarks=landmarks)


def test_segments_and_steps_out_of_range_are_refused():
    for r in (0, 6):
        with pytest.raises(ValueError, match=f"^r must lie between 1 and n=5: got r={r}$"):
            segment_means(gaussian(5, D), r)
    with pytest.raises(ValueError, match="^steps must be at least 0: got steps=-1$"):
        iterative_inverse(gaussian(3, 3), steps=-1)
