"""Attention and the two softmaxes: equal to PyTorch under masks, and the laws they obey."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot, scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.softmax import (
    attention,
    attention_by_definition,
    masked_softmax,
    softmax,
)
from attncourse.testing import (
    assert_same,
    attention_inputs,
    gaussian,
    gradients,
    random_mask,
)

few = settings(derandomize=True, max_examples=25, deadline=None)
sizes = st.integers(1, 6)
seeds = st.integers(0, 10_000)

MASKS = {
    "full (5, 37)": lambda: random_mask(5, 37),
    "with an empty row": lambda: random_mask(5, 37, empty_row=2),
    "causal": lambda: causal_mask(5, 37),
    "one row for all queries (1, 37)": lambda: random_mask(1, 37),
    "one column for all keys (5, 1)": lambda: torch.tensor([[True], [False]] * 3)[:5],
    "nothing at all (1, 1)": lambda: torch.tensor([[False]]),
    "everything": lambda: torch.ones(5, 37, dtype=torch.bool),
    "by head (3, 5, 37)": lambda: torch.stack([random_mask(5, 37, seed=s) for s in range(3)]),
    "by batch (2, 1, 1, 37)": lambda: torch.stack([random_mask(1, 37, seed=s) for s in (0, 1)])[
        :, None
    ],
    "by batch and head (2, 3, 5, 37)": lambda: torch.stack(
        [random_mask(5, 37, empty_row=s % 5, seed=s) for s in range(6)]
    ).reshape(2, 3, 5, 37),
}
every_mask = pytest.mark.parametrize("mask", [make() for make in MASKS.values()], ids=MASKS)


def sdpa(q, k, v, *, mask=None):
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def weights_of(q, k, *, mask=None):
    """The attention weights, read off with the unit vectors as values."""
    m = k.shape[-2]
    identity = torch.eye(m, dtype=k.dtype).expand(*k.shape[:-2], m, m)
    return attention(q, k, identity, mask=mask)


def assert_agree(ours, theirs, *arguments, **options):
    """The two functions have one value and one gradient for q, k and v."""
    assert_same(ours(*arguments, **options), theirs(*arguments, **options))
    ours_found = gradients(ours, *arguments, **options)
    for name, a, b in zip("qkv", ours_found, gradients(theirs, *arguments, **options), strict=True):
        assert_same(a, b, f"the gradient of {name}")


@every_mask
@pytest.mark.parametrize("oracle", [attention_by_definition, sdpa])
def test_attention_under_a_mask_equals_its_oracles_in_value_and_gradient(oracle, mask):
    assert_agree(attention, oracle, *attention_inputs(2, 3, seed=mask.ndim), mask=mask)


@pytest.mark.parametrize("oracle", [attention_by_definition, sdpa])
@pytest.mark.parametrize("mask", [None, random_mask(5, 37, empty_row=4)], ids=["plain", "masked"])
def test_scores_in_the_hundred_thousands_change_nothing_about_that(oracle, mask):
    assert_agree(attention, oracle, *attention_inputs(std=100.0, seed=3), mask=mask)


@given(n=sizes, m=sizes, d=sizes, e=sizes, lead=st.lists(st.integers(0, 2), max_size=2), seed=seeds)
@few
def test_attention_equals_the_definition_for_any_sizes_and_any_mask(n, m, d, e, lead, seed):
    q, k = gaussian(*lead, n, d, seed=seed), gaussian(*lead, m, d, seed=seed + 1)
    v = gaussian(*lead, m, e, seed=seed + 2)
    mask = torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) < 0.5
    assert_agree(attention, attention_by_definition, q, k, v, mask=mask)


def test_an_empty_row_gives_zeros_and_takes_no_gradient():
    q, k, v = attention_inputs(seed=4)
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[2] = False
    assert torch.equal(attention(q, k, v, mask=mask)[2], torch.zeros(6, dtype=torch.float64))
    for_q, for_k, for_v = gradients(attention, q, k, v, mask=mask)
    assert torch.equal(for_q[2], torch.zeros(8, dtype=torch.float64))
    assert all(g.isfinite().all() and g.any() for g in (for_q, for_k, for_v))


def test_a_mask_without_any_true_gives_zeros_with_zero_gradients():
    nothing = torch.zeros(5, 37, dtype=torch.bool)
    q, k, v = attention_inputs(2)
    assert not attention(q, k, v, mask=nothing).any()
    assert not any(g.any() for g in gradients(attention, q, k, v, mask=nothing))


def test_a_hidden_key_and_its_value_take_no_gradient():
    q, k, v = attention_inputs()
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[:, 11] = False
    _, for_k, for_v = gradients(attention, q, k, v, mask=mask)
    assert not for_k[11].any()
    assert not for_v[11].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_masked_attention_in_half_precision_errs_at_most_twice_as_much_as_pytorch(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(2, 3, std=1.0))
    mask = random_mask(5, 37, empty_row=1)
    exact = sdpa(*(x.to(torch.float64) for x in (q, k, v)), mask=mask)
    scores = (q @ k.mT / math.sqrt(8)).masked_fill(~mask, -math.inf)
    plain = torch.softmax(scores, dim=-1).nan_to_num(0.0) @ v
    out = attention(q, k, v, mask=mask)
    assert (out - exact).abs().max() <= 2 * (plain - exact).abs().max()
    assert not out[..., 1, :].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_scores_beyond_the_range_of_float16_do_not_overflow(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(std=200.0))
    assert attention(q, k, v).isfinite().all()
    assert attention(q, k, v, mask=random_mask(5, 37)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_mask_keeps_dtype_and_is_not_modified(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(3))
    mask = random_mask(5, 37)
    copy = mask.clone()
    assert attention(q, k, v, mask=mask).dtype == dtype
    assert torch.equal(mask, copy)


def test_a_mask_works_on_the_meta_device():
    q, k, v = (x.to("meta") for x in attention_inputs(2, 3))
    out = attention(q, k, v, mask=random_mask(5, 37).to("meta"))
    assert (out.is_meta, out.shape) == (True, (2, 3, 5, 6))


@pytest.mark.parametrize("mask", [None, random_mask(3, 5, empty_row=1)], ids=["plain", "masked"])
def test_attention_passes_gradcheck(mask):
    inputs = [gaussian(*shape).requires_grad_() for shape in ((2, 3, 2), (2, 5, 2), (2, 5, 3))]
    assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, mask=mask), inputs)


def test_the_softmaxes_pass_gradcheck():
    scores = gaussian(2, 3, 5).requires_grad_()
    mask = random_mask(3, 5, empty_row=1)
    assert torch.autograd.gradcheck(softmax, scores)
    assert torch.autograd.gradcheck(lambda x: masked_softmax(x, mask), scores)


@given(n=sizes, m=sizes, seed=seeds)
@few
def test_permuting_keys_together_with_values_changes_nothing(n, m, seed):
    q, k, v = (
        gaussian(n, 3, seed=seed),
        gaussian(m, 3, seed=seed + 1),
        gaussian(m, 2, seed=seed + 2),
    )
    mask = random_mask(n, m, seed=seed)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    assert_same(attention(q, k[order], v[order]), attention(q, k, v))
    assert_same(
        attention(q, k[order], v[order], mask=mask[:, order]), attention(q, k, v, mask=mask)
    )


def test_permuting_queries_permutes_the_output():
    q, k, v = attention_inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_same(attention(q[order], k, v), attention(q, k, v)[order])


@given(t=st.integers(1, 8), seed=seeds)
@few
def test_changing_the_future_leaves_the_past_bit_equal(t, seed):
    n = 9
    q, k, v = (gaussian(2, n, d, seed=seed + d) for d in (3, 3, 5))
    changed = [torch.cat([x[:, :t], gaussian(2, n - t, x.shape[-1], seed=1)], 1) for x in (q, k, v)]
    mask = causal_mask(n, n)
    before, after = attention(q, k, v, mask=mask), attention(*changed, mask=mask)
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.equal(before[:, t:], after[:, t:])


def test_the_gradient_of_the_past_is_zero_in_the_future():
    q, k, v = (gaussian(9, d, seed=d) for d in (3, 3, 5))

    def past(q, k, v):
        return attention(q, k, v, mask=causal_mask(9, 9))[:4]

    for gradient in gradients(past, q, k, v):
        assert gradient[:4].any()
        assert not gradient[4:].any()


def test_causal_attention_in_one_go_equals_decoding_token_by_token():
    q, k, v = (gaussian(9, d, seed=d) for d in (3, 3, 5))
    steps = [attention(q[t : t + 1], k[: t + 1], v[: t + 1]) for t in range(9)]
    assert_same(attention(q, k, v, mask=causal_mask(9, 9)), torch.cat(steps))


@given(n=sizes, m=sizes, std=st.sampled_from([0.1, 2.0, 100.0]), seed=seeds)
@few
def test_weights_are_positive_and_sum_to_one(n, m, std, seed):
    weights = weights_of(gaussian(n, 3, std=std, seed=seed), gaussian(m, 3, std=std, seed=seed + 1))
    assert (weights >= 0).all()
    assert_same(weights.sum(dim=-1), torch.ones(n, dtype=torch.float64))


@given(n=sizes, m=sizes, std=st.sampled_from([0.1, 2.0, 100.0]), seed=seeds)
@few
def test_the_output_lies_between_the_smallest_and_the_largest_visible_value(n, m, std, seed):
    q, k = gaussian(n, 3, std=std, seed=seed), gaussian(m, 3, std=std, seed=seed + 1)
    v, mask = gaussian(m, 4, std=std, seed=seed + 2), random_mask(n, m, seed=seed)
    visible = mask.unsqueeze(-1)
    low = v.masked_fill(~visible, math.inf).amin(dim=-2)
    high = v.masked_fill(~visible, -math.inf).amax(dim=-2)
    slack = 1e-12 * std
    out = attention(q, k, v, mask=mask)
    assert (low - slack <= out).all()
    assert (out <= high + slack).all()


def test_a_hidden_key_changes_nothing_and_equals_a_missing_one():
    q, k, v = attention_inputs()
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[:, 30:] = False
    without = attention(q, k[:30], v[:30])
    assert_same(attention(q, k, v, mask=mask), without)
    k[30:], v[30:] = 1e6, -1e6
    assert_same(attention(q, k, v, mask=mask), without)


def test_a_query_that_may_attend_to_one_key_returns_its_value():
    q, k, v = attention_inputs()
    chosen = torch.tensor([36, 0, 7, 7, 20])
    mask = one_hot(chosen, 37).to(torch.bool)
    assert_same(attention(q, k, v, mask=mask), v[chosen])


def test_adding_one_vector_to_every_key_changes_nothing():
    q, k, v = attention_inputs()
    assert_same(attention(q, k + gaussian(8, seed=9), v), attention(q, k, v))


def test_attention_is_linear_in_the_values():
    q, k, v = attention_inputs()
    other = gaussian(37, 6, seed=9)
    expected = 2 * attention(q, k, v) - 3 * attention(q, k, other)
    assert_same(attention(q, k, 2 * v - 3 * other), expected)


def test_equal_keys_give_the_plain_mean_of_the_values():
    q, k, v = attention_inputs()
    assert_same(attention(q, k[:1].expand(37, 8), v), v.mean(dim=0).expand(5, 6))


def test_a_nan_in_a_query_reaches_its_own_row_alone():
    q, k, v = attention_inputs()
    clean = attention(q, k, v)
    q[2, 0] = math.nan
    out = attention(q, k, v)
    assert out[2].isnan().all()
    others = [0, 1, 3, 4]
    assert_same(out[others], clean[others])


def test_a_nan_in_a_query_that_may_attend_to_nothing_reaches_no_row():
    q, k, v = attention_inputs()
    q[2] = math.nan
    out = attention(q, k, v, mask=random_mask(5, 37, empty_row=2))
    assert not out[2].any()
    assert out.isfinite().all()


def test_a_nan_in_a_key_reaches_only_the_queries_that_may_attend_to_it():
    q, k, v = attention_inputs()
    mask = random_mask(5, 37, empty_row=4)
    clean = attention(q, k, v, mask=mask)
    k[11] = math.nan
    out = attention(q, k, v, mask=mask)
    reached = mask[:, 11]
    assert 0 < reached.sum() < 5
    assert out[reached].isnan().all()
    assert_same(out[~reached], clean[~reached])
    assert attention(q, k, v).isnan().all()


def test_a_nan_in_a_value_reaches_every_query_in_its_column():
    q, k, v = attention_inputs()
    mask = random_mask(5, 37)
    mask[0, 11] = False
    clean = attention(q, k, v, mask=mask)
    v[11, 3] = math.nan
    out = attention(q, k, v, mask=mask)
    assert out[:, 3].isnan().all()
    columns = [0, 1, 2, 4, 5]
    assert_same(out[:, columns], clean[:, columns])


@given(
    rows=sizes,
    n=sizes,
    shift=st.sampled_from([-1e6, -700.0, -1.0, 0.5, 700.0, 1e6]),
    seed=seeds,
)
@few
def test_softmax_is_invariant_to_a_shift(rows, n, shift, seed):
    x = gaussian(rows, n, seed=seed)
    torch.testing.assert_close(softmax(x + shift), softmax(x), rtol=1e-7, atol=1e-9)
    mask = random_mask(rows, n, seed=seed)
    shifted = masked_softmax(x + shift, mask)
    torch.testing.assert_close(shifted, masked_softmax(x, mask), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_softmax_survives_the_largest_numbers_of_its_dtype(dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([largest, largest, 0.0, -largest], dtype=dtype)
    assert_same(softmax(x), torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=dtype))


@pytest.mark.parametrize(
    "x",
    [
        [0.0, -math.inf, 1.0],
        [-math.inf, -math.inf],
        [math.inf, 0.0],
        [math.nan, 0.0],
        [[1.0, math.nan], [2.0, 3.0]],
    ],
    ids=str,
)
def test_softmax_treats_infinities_and_nan_as_pytorch_does(x):
    x = torch.tensor(x, dtype=torch.float64)
    assert_same(softmax(x), torch.softmax(x, dim=-1))


def test_the_softmax_of_one_entry_is_one_and_of_equal_entries_even():
    assert softmax(gaussian(1)).tolist() == [1.0]
    assert softmax(torch.full((4,), 7.0)).tolist() == [0.25] * 4


def test_a_minus_infinity_takes_weight_zero_and_finite_gradient():
    x = torch.tensor([0.5, -math.inf, 1.0], dtype=torch.float64)
    (gradient,) = gradients(softmax, x)
    assert gradient.isfinite().all()
    assert gradient[1] == 0


@every_mask
def test_masked_softmax_equals_softmax_over_the_visible_keys(mask):
    scores = gaussian(2, 3, 5, 37, seed=8)
    weights = masked_softmax(scores, mask)
    visible = mask.expand(2, 3, 5, 37)
    assert not weights[~visible].any()
    rows = zip(scores.view(-1, 37), weights.view(-1, 37), visible.reshape(-1, 37), strict=True)
    for row, found, sees in rows:
        expected = torch.softmax(row[sees], dim=-1)
        assert_same(found[sees], expected)


def test_masked_softmax_with_everything_visible_is_softmax():
    scores = gaussian(3, 5, 37)
    everything = torch.ones(1, 1, dtype=torch.bool)
    assert_same(masked_softmax(scores, everything), softmax(scores))


def test_masked_softmax_of_an_empty_row_is_zero_in_value_and_gradient():
    scores = gaussian(5, 37)
    mask = random_mask(5, 37, empty_row=3)
    assert not masked_softmax(scores, mask)[3].any()
    (gradient,) = gradients(lambda x: masked_softmax(x, mask), scores)
    assert gradient.isfinite().all()
    assert not gradient[3].any()
    assert not gradient[~mask].any()


def test_a_masked_score_may_be_infinite_or_nan():
    scores = gaussian(3, 4)
    mask = random_mask(3, 4)
    mask[:, 0], mask[:, 1] = False, True
    clean = masked_softmax(scores, mask)
    for poison in (math.nan, math.inf, -math.inf):
        scores[:, 0] = poison
        assert torch.equal(masked_softmax(scores, mask), clean)
