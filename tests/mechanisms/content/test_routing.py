"""Routing attention: what clusters see, and how centroids move."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize, scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.routing import (
    routing_attention,
    routing_attention_by_definition,
    update_centroids,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

D, E = 8, 6
every_form = pytest.mark.parametrize("form", forms_of(routing_attention))


def inputs(*lead, c=3):
    return *attention_inputs(*lead), gaussian(*lead, c, D, seed=3)


def square(*lead, n=9, c=3):
    q, k, v = (gaussian(*lead, n, width, seed=i) for i, width in enumerate((D, D, E)))
    return q, k, v, gaussian(*lead, c, D, seed=3)


@every_form
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("std", [2.0, 100.0])
def test_clusters_of_all_tokens_are_full_attention(form, c, std):
    q, k, v = (gaussian(2, 9, width, std=std, seed=i) for i, width in enumerate((D, D, E)))
    centroids = gaussian(2, c, D, seed=3)
    expected = scaled_dot_product_attention(q, k, v)
    assert_same(form(q, k, v, centroids, top=9), expected)
    ours = gradients(form, q, k, v, centroids, top=9)
    assert_same(ours[:3], gradients(scaled_dot_product_attention, q, k, v))
    assert torch.equal(ours[3], torch.zeros_like(centroids))


@every_form
def test_separate_clusters_attend_within_themselves(form):
    cluster = torch.arange(12) % 3
    centroids = torch.eye(3, D, dtype=torch.float64)
    q, k = (10 * centroids[cluster] + gaussian(12, D, std=0.5, seed=i) for i in (0, 1))
    v = gaussian(12, E, seed=2)
    expected = scaled_dot_product_attention(q, k, v, attn_mask=cluster[:, None] == cluster)
    assert_same(form(q, k, v, centroids, top=4), expected)


@every_form
def test_a_query_in_no_cluster_gets_zeros_and_no_gradient(form):
    q, k, v, centroids = inputs(c=1)
    out = form(q, k, v, centroids, top=2)
    left_out = (out == 0).all(dim=-1)
    assert left_out.sum() == 3
    d_q, d_k, _, _ = gradients(form, q, k, v, centroids, top=2)
    assert torch.equal(d_q[left_out], torch.zeros(3, D, dtype=q.dtype))
    assert ((d_k != 0).any(dim=-1)).sum() == 2


@every_form
def test_a_query_in_two_clusters_gets_the_mean_of_both(form):
    q, k, v, centroids = square(c=2)
    alone = [form(q, k, v, centroids[i : i + 1], top=6) for i in range(2)]
    inside = [(out != 0).any(dim=-1, keepdim=True) for out in alone]
    assert (inside[0] & inside[1]).any()
    count = (inside[0].double() + inside[1]).clamp(min=1)
    assert_same(form(q, k, v, centroids, top=6), (alone[0] + alone[1]) / count)


@every_form
def test_a_centroid_given_twice_changes_nothing_and_neither_does_their_order(form):
    q, k, v, centroids = inputs(2)
    once = form(q, k, v, centroids, top=2)
    assert_same(form(q, k, v, torch.cat([centroids, centroids], dim=-2), top=2), once)
    assert_same(form(q, k, v, centroids.flip(-2), top=2), once)


@every_form
def test_tokens_may_stand_in_any_order(form):
    q, k, v, centroids = inputs(2)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    whole = form(q, k, v, centroids, top=3)
    assert_same(form(q, k[:, order], v[:, order], centroids, top=3), whole)
    assert_same(form(q.flip(-2), k, v, centroids, top=3), whole.flip(-2))


@every_form
def test_only_the_direction_of_a_token_decides_its_cluster(form):
    q, k, v, centroids = inputs(2)
    seen = form(q, k, v, centroids, top=2) != 0
    longer = q * torch.tensor([1.0, 50.0, 0.02, 3.0, 1.0], dtype=q.dtype)[:, None]
    assert torch.equal(form(longer, k, v, centroids, top=2) != 0, seen)


@every_form
def test_zero_vectors_have_a_finite_gradient(form):
    q, k, v, centroids = inputs()
    q[2], k[3] = 0, 0
    assert all(g.isfinite().all() for g in gradients(form, q, k, v, centroids, top=5))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), c=st.integers(1, 4), data=st.data())
def test_any_sizes_agree(n, m, c, data):
    top = data.draw(st.integers(1, min(n, m)))
    q, k, v = gaussian(2, n, 3), gaussian(2, m, 3, seed=1), gaussian(2, m, 2, seed=2)
    arguments = q, k, v, gaussian(2, c, 3, seed=3)
    assert_same(
        routing_attention(*arguments, top=top), routing_attention_by_definition(*arguments, top=top)
    )
    ours, theirs = (
        gradients(form, *arguments, top=top) for form in forms_of(routing_attention)[::-1]
    )
    assert_same(ours, theirs)


def nearest_by_loop(tokens, centroids):
    return [max(range(len(centroids)), key=lambda c: float(x @ centroids[c])) for x in tokens]


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_a_centroid_moves_towards_the_tokens_nearest_to_it(decay):
    q, k, _, centroids = inputs(c=4)
    moved = update_centroids(centroids, q, k, decay=decay)
    tokens = normalize(torch.cat([q, k]), dim=-1)
    nearest = torch.tensor(nearest_by_loop(tokens, centroids))
    for c, centroid in enumerate(centroids):
        own = tokens[nearest == c]
        new = normalize(own.sum(dim=0), dim=0) if len(own) else centroid
        assert_same(moved[c], decay * centroid + (1 - decay) * new)


def test_a_centroid_without_tokens_stays():
    q, k, _, centroids = inputs(2)
    centroids[:, 1] = -1e-9 * q.sum(dim=(0, 1))
    centroids[:, 0] = -centroids[:, 2]
    moved = update_centroids(centroids, q, k, decay=0.5)
    assert torch.equal(moved[:, 1], centroids[:, 1])
    assert not torch.allclose(moved[:, 0], centroids[:, 0])


def test_updates_find_separate_clusters_and_then_stand_still():
    centers = torch.eye(3, D, dtype=torch.float64)
    x = centers.repeat_interleave(10, dim=0) + gaussian(30, D, std=0.05)
    centroids = normalize(centers + gaussian(3, D, std=0.2, seed=1), dim=-1)
    for _ in range(30):
        centroids = update_centroids(centroids, x, x, decay=0.3)
    assert_same(update_centroids(centroids, x, x, decay=0.3), centroids)
    assert (centroids - centers).norm(dim=-1).max() < 0.1
    assert_same(centroids.norm(dim=-1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_updates_keep_dtype_gradient_arguments_and_batch(dtype):
    q, k, _, centroids = (x.to(dtype).requires_grad_() for x in inputs(2, 3))
    before = [x.detach().clone() for x in (centroids, q, k)]
    moved = update_centroids(centroids, q, k, decay=0.9)
    assert moved.dtype == dtype
    assert not moved.requires_grad
    assert all(torch.equal(a, b) for a, b in zip((centroids, q, k), before, strict=True))
    one = update_centroids(centroids[1, 2], q[1, 2], k[1, 2], decay=0.9)
    torch.testing.assert_close(moved[1, 2], one)
    meta = update_centroids(*(x.to("meta") for x in (centroids, q, k)), decay=0.9)
    assert meta.shape == moved.shape
    empty = update_centroids(*(x[:0] for x in (centroids, q, k)), decay=0.9)
    assert empty.shape == (0, 3, 3, D)


def of_length(n):
    """Square root of n clusters of as many tokens."""
    return square(n=n, c=round(n**0.5))


def rooted(q, k, v, centroids):
    return routing_attention(q, k, v, centroids, top=len(centroids))


def backward(*arguments):
    return gradients(rooted, *arguments)


def test_work_grows_as_n_to_the_power_of_one_and_a_half():
    fourfold = [flops(rooted, *of_length(n)) for n in (64, 256, 1024)]
    assert [b / a for a, b in pairwise(fourfold)] == [8, 8]
    n, c = 1024, 32
    assert fourfold[-1] == 2 * (2 * n * c * D + n * c * (D + E))


def test_with_a_fixed_size_of_clusters_the_largest_tensor_is_that_of_the_affinities():
    def fixed(q, k, v, centroids):
        return routing_attention(q, k, v, centroids, top=8)

    def many(n):
        return square(n=n, c=8)

    for n in (256, 512):
        assert scaling_exponent(flops, fixed, many, 2 * n) < 1
        assert scaling_exponent(largest_tensor, fixed, many, n) == 1
    assert largest_tensor(backward, *of_length(1024)) <= 1024 * 32


@every_form
@pytest.mark.parametrize("top", [0, -1, 6])
def test_a_cluster_takes_no_more_than_there_are(form, top):
    rule = rf"^top must lie between 1 and min\(n, m\)=5: got top={top}$"
    with pytest.raises(ValueError, match=rule):
        form(*inputs(), top=top)


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_decay_is_a_share(decay):
    q, k, _, centroids = inputs()
    with pytest.raises(ValueError, match=f"^decay must lie between 0 and 1: got decay={decay}$"):
        update_centroids(centroids, q, k, decay=decay)
