"""LSH attention against transformers' Reformer, and what chunks and rounds may not change."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize, scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content import _lsh_rounds as lsh_rounds
from attncourse.mechanisms.content.lsh import (
    lsh_attention,
    lsh_attention_by_definition,
    lsh_buckets,
    lsh_mask,
)
from attncourse.testing import assert_same, gaussian, gradients

N, D, E = 37, 8, 6
every_form = pytest.mark.parametrize("form", forms_of(lsh_attention))
every_causal = pytest.mark.parametrize("causal", [False, True])


def inputs(*lead, n=N, p=3, r=2, std=2.0):
    qk, v = gaussian(*lead, n, D, std=std), gaussian(*lead, n, E, seed=1)
    return qk, v, gaussian(p, D, r, std=1.0, seed=2)


def one_bucket(p=1):
    """Rotations that send every vector to bucket 0."""
    return torch.zeros(p, D, 2, dtype=torch.float64)


def all_but_itself(qk, v, *, causal):
    """PyTorch's attention with unit keys; a token sees itself only if it sees nothing else."""
    mask = ~torch.eye(qk.shape[-2], dtype=torch.bool)
    mask = mask.tril() if causal else mask
    mask[~mask.any(dim=-1), 0] = True  # the first token, if causal
    return scaled_dot_product_attention(qk, normalize(qk, dim=-1), v, attn_mask=mask)


def reformer(*, buckets, rounds, chunk, heads, seed, causal=False):
    """transformers' layer with projections that change nothing, and the rotations it will draw."""
    from transformers import ReformerConfig
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention

    config = ReformerConfig(
        attention_head_size=D,
        hidden_size=heads * D,
        num_attention_heads=heads,
        num_buckets=buckets,
        num_hashes=rounds,
        lsh_attn_chunk_length=chunk,
        lsh_attention_probs_dropout_prob=0.0,
        hash_seed=seed,
        is_decoder=causal,
        axial_pos_embds=False,
    )
    layer = LSHSelfAttention(config).double().eval()
    with torch.no_grad():
        layer.query_key.weight.copy_(torch.eye(heads * D))
        layer.value.weight.copy_(torch.eye(heads * D))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = torch.randn(heads, D, rounds, buckets // 2, dtype=torch.float64)
    return layer, drawn.transpose(1, 2)


def merged(x):
    """(heads, n, width) as the one row (1, n, heads * width) that transformers takes."""
    return x.transpose(0, 1).flatten(1)[None]


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_buckets_are_those_of_transformers(rounds):
    layer, rotations = reformer(buckets=8, rounds=rounds, chunk=4, heads=2, seed=3)
    qk = gaussian(2, 40, D)
    with torch.random.fork_rng():
        theirs = layer._hash_vectors(qk[None], rounds, None).view(2, rounds, 40)
    for head in range(2):
        for i in range(rounds):
            assert torch.equal(lsh_buckets(qk[head], rotations[head, i]), theirs[head, i] - 8 * i)


@every_causal
def test_one_chunk_equals_transformers(causal):
    layer, _ = reformer(buckets=2, rounds=1, chunk=64, heads=2, seed=0, causal=causal)
    qk = gaussian(2, N, D)
    # transformers does not divide by sqrt(d)
    ours = lsh_attention(D**0.5 * qk, qk, one_bucket(), chunk=64, causal=causal)
    with torch.no_grad():
        theirs = layer(merged(qk)).hidden_states
    # transformers adds 1e-6 to the mean square of a key
    torch.testing.assert_close(merged(ours), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rounds", [1, 3])
@every_causal
def test_well_separated_clusters_equal_transformers(causal, rounds):
    """transformers attends across the buckets of a chunk; far clusters have no weight there."""
    size, clusters, seed = 6, 4, 3
    centers = 40 * torch.eye(clusters, D, dtype=torch.float64)
    order = torch.randperm(size * clusters, generator=torch.Generator().manual_seed(0))
    cluster = torch.arange(clusters).repeat_interleave(size)[order]
    qk = (centers[cluster] + gaussian(size * clusters, D, std=0.3))[None]
    options = {"chunk": size, "causal": causal}
    layer, rotations = reformer(buckets=16, rounds=rounds, heads=1, seed=seed, **options)
    mask = lsh_mask(qk, rotations[0], **options)[0]
    same = (cluster[:, None] == cluster) & ~torch.eye(len(cluster), dtype=torch.bool)
    others = same.tril() if causal else same
    seen = others.any(dim=-1)  # the first of a cluster, if causal, sees other clusters there
    assert torch.equal(mask[seen], others[seen])  # one cluster, one bucket, one chunk
    ours = lsh_attention(D**0.5 * qk, qk, rotations[0], **options)
    with torch.no_grad(), torch.random.fork_rng():
        theirs = layer(merged(qk)).hidden_states
    torch.testing.assert_close(ours[:, seen], theirs[:, seen], rtol=1e-6, atol=1e-6)


@every_form
@every_causal
@pytest.mark.parametrize("chunk", [N, 10**9])
def test_one_bucket_in_one_chunk_is_full_attention_without_the_diagonal(form, causal, chunk):
    qk, v, _ = inputs(2)

    def ours(qk, v):
        return form(qk, v, one_bucket(2), chunk=chunk, causal=causal)

    assert_same(ours(qk, v), all_but_itself(qk, v, causal=causal))
    theirs = gradients(all_but_itself, qk, v, causal=causal)
    assert_same(gradients(ours, qk, v), theirs)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    n=st.integers(1, 20),
    chunk=st.integers(1, 22),
    p=st.integers(1, 4),
    r=st.integers(1, 4),
    causal=st.booleans(),
)
def test_any_sizes_agree(n, chunk, p, r, causal):
    arguments, options = inputs(2, n=n, p=p, r=r), {"chunk": chunk, "causal": causal}
    assert_same(
        lsh_attention(*arguments, **options), lsh_attention_by_definition(*arguments, **options)
    )
    assert_same(
        gradients(lsh_attention, *arguments, **options),
        gradients(lsh_attention_by_definition, *arguments, **options),
    )


@every_causal
@pytest.mark.parametrize("tile", [1, 300])
def test_tiles_of_any_size_agree(monkeypatch, causal, tile):
    arguments = inputs(2)
    options = {"chunk": 4, "causal": causal}
    whole = lsh_attention(*arguments, **options), gradients(lsh_attention, *arguments, **options)
    monkeypatch.setattr(lsh_rounds, "TILE", tile)
    monkeypatch.setattr(lsh_rounds, "HASHED", 10)
    assert_same(lsh_attention(*arguments, **options), whole[0])
    assert_same(gradients(lsh_attention, *arguments, **options), whole[1])


def test_more_chunks_than_two_bytes_can_count_are_told_apart():
    """Tokens 0 and 2^15 meet in the second round alone; in the first, each meets its neighbours."""
    far = 2**15
    qk = torch.tensor([[-1.0, 0.5]], dtype=torch.float64).repeat(far + 1, 1)
    qk[[0, far]] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    rotations = torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]]], dtype=torch.float64)
    v = gaussian(far + 1, E)
    out = lsh_attention(qk, v, rotations, chunk=1)
    keys = normalize(qk[[far - 1, 0]], dim=-1)
    assert_same(out[far:], scaled_dot_product_attention(qk[far:], keys, v[[far - 1, 0]]))


def test_all_earlier_tokens_of_a_bucket_within_a_chunk_are_seen():
    qk, _, rotations = inputs(2, p=1, r=4)
    bucket = lsh_buckets(qk, rotations[0])
    largest = int(max(row.bincount().max() for row in bucket))
    assert largest < N  # or this says nothing
    others = (bucket[..., :, None] == bucket[..., None, :]).tril(-1)
    mask = lsh_mask(qk, rotations, chunk=largest, causal=True)
    assert torch.equal(mask.tril(-1), others)
    assert torch.equal(mask.diagonal(dim1=-2, dim2=-1), ~others.any(dim=-1))


@every_form
def test_a_bucket_of_many_chunks_is_cut_and_looks_one_chunk_back(form):
    qk, v, _ = inputs(n=7)
    seen = [[1], [0], [0, 1, 3], [0, 1, 2], [2, 3, 5], [2, 3, 4], [4, 5]]
    mask = lsh_mask(qk, one_bucket(), chunk=2)
    assert [row.nonzero().flatten().tolist() for row in mask] == seen
    expected = scaled_dot_product_attention(qk, normalize(qk, dim=-1), v, attn_mask=mask)
    assert_same(form(qk, v, one_bucket(), chunk=2), expected)


@every_form
@every_causal
def test_a_pair_that_meets_in_several_rounds_counts_once(form, causal):
    qk, v, rotations = inputs(2, p=1)
    once = form(qk, v, rotations, chunk=5, causal=causal)
    assert torch.equal(form(qk, v, rotations.repeat(4, 1, 1), chunk=5, causal=causal), once)


@every_causal
def test_the_order_of_rounds_does_not_matter_and_more_of_them_see_more(causal):
    qk, v, rotations = inputs(2, p=4)
    whole = lsh_attention(qk, v, rotations, chunk=5, causal=causal)
    assert_same(lsh_attention(qk, v, rotations.flip(0), chunk=5, causal=causal), whole)
    few, many = (lsh_mask(qk, rotations[:p], chunk=5, causal=causal) for p in (2, 4))
    others = ~torch.eye(N, dtype=torch.bool)
    assert not (few & ~many & others).any()
    assert (many & others).sum() > (few & others).sum()


@every_form
def test_the_length_of_a_vector_is_no_part_of_its_bucket_or_its_key(form):
    qk, v, rotations = inputs(2)
    longer = qk.clone()
    longer[:, 5] *= 4
    assert torch.equal(lsh_buckets(longer, rotations[0]), lsh_buckets(qk, rotations[0]))
    others = torch.arange(N) != 5
    before, after = (form(x, v, rotations, chunk=5)[:, others] for x in (qk, longer))
    assert_same(after, before)


@every_form
def test_tokens_may_stand_in_any_order_where_one_chunk_holds_them_all(form):
    qk, v, rotations = inputs(2)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    moved = form(qk[:, order], v[:, order], rotations, chunk=N)
    assert_same(moved, form(qk, v, rotations, chunk=N)[:, order])


@every_form
def test_future_values_and_lengths_leave_the_past_bit_equal(form):
    qk, v, rotations = inputs(2)
    later_qk, later_v = qk.clone(), v.clone()
    later_qk[:, 20:] *= 3
    later_v[:, 20:] = gaussian(2, N - 20, E, seed=9)
    before = form(qk, v, rotations, chunk=5, causal=True)
    after = form(later_qk, later_v, rotations, chunk=5, causal=True)
    assert torch.equal(after[:, :20], before[:, :20])
    assert not torch.allclose(after[:, 20:], before[:, 20:])


@every_form
def test_any_future_leaves_the_past_alone_where_chunks_cut_no_bucket(form):
    qk, v, rotations = inputs(2)
    later = qk.clone()
    later[:, 20:] = gaussian(2, N - 20, D, seed=9)
    before, after = (form(x, v, rotations, chunk=N, causal=True) for x in (qk, later))
    assert_same(after[:, :20], before[:, :20])


@every_form
@every_causal
def test_a_token_alone_in_its_buckets_gets_its_own_value(form, causal):
    qk, v, rotations = inputs(p=3, r=64)
    mask = lsh_mask(qk, rotations, chunk=5, causal=causal)
    alone = mask.diagonal()
    assert 0 < alone.sum() < N
    assert_same(form(qk, v, rotations, chunk=5, causal=causal)[alone], v[alone])
    d_qk, d_v, _ = gradients(form, qk, v, rotations, chunk=5, causal=causal)
    unseen = alone & ~(mask & ~torch.eye(N, dtype=torch.bool)).any(dim=-2)
    assert unseen.any()
    assert torch.equal(d_qk[unseen], torch.zeros_like(d_qk[unseen]))
    assert_same(d_v[unseen], gaussian(N, E, std=1.0, seed=77)[unseen])


@every_form
def test_a_zero_vector_has_bucket_zero_and_a_finite_gradient(form):
    qk, v, rotations = inputs()
    qk[3] = 0
    assert lsh_buckets(qk, rotations[0])[3] == 0
    assert all(g.isfinite().all() for g in gradients(form, qk, v, rotations, chunk=5))


def test_ties_go_to_the_lowest_bucket_in_both_ways_of_hashing():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (500, 4), generator=generator).double()
    rotations = torch.randint(-1, 2, (3, 4, 5), generator=generator).double()
    plain = torch.stack([lsh_buckets(x, rotation) for rotation in rotations])
    assert torch.equal(lsh_rounds._hash(x, rotations), plain)
    scores = torch.cat([x @ rotations[0], -x @ rotations[0]], dim=-1)
    assert plain[0].tolist() == [row.index(max(row)) for row in scores.tolist()]


def test_a_small_angle_makes_one_bucket_likely():
    x = normalize(gaussian(2000, D), dim=-1)
    near, far = (normalize(x + gaussian(2000, D, std=std, seed=1), dim=-1) for std in (0.05, 1.0))
    rotation = gaussian(D, 4, seed=2)
    shared = [
        (lsh_buckets(x, rotation) == lsh_buckets(y, rotation)).double().mean() for y in (near, far)
    ]
    assert shared[0] > 0.8 > 0.4 > shared[1]


def of_length(n):
    return gaussian(n, D), gaussian(n, E, seed=1), gaussian(3, D, 4, seed=2)


def hashed(*arguments):
    return lsh_attention(*arguments, chunk=16)


def backward(*arguments):
    return gradients(hashed, *arguments)


@pytest.mark.parametrize("form", [hashed, backward])
def test_work_and_the_largest_tensor_grow_with_the_length_and_not_with_its_square(form):
    for n in (256, 512):
        assert scaling_exponent(flops, form, of_length, n) == 1
        assert scaling_exponent(largest_tensor, form, of_length, n) < 1.02
    assert largest_tensor(form, *of_length(1024)) <= 34 * 1024
    assert (
        flops(hashed, *of_length(1024))
        < flops(lambda *x: lsh_attention_by_definition(*x, chunk=16), *of_length(1024)) / 4
    )


@pytest.mark.parametrize(
    "function", [*forms_of(lsh_attention), lambda qk, v, r, chunk: lsh_mask(qk, r, chunk=chunk)]
)
@pytest.mark.parametrize("chunk", [0, -3])
def test_a_chunk_must_be_positive(function, chunk):
    with pytest.raises(ValueError, match=f"^chunk must be at least 1: got chunk={chunk}$"):
        function(*inputs(), chunk=chunk)
