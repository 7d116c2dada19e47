"""Masks are Boolean, and True means may attend."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.core.masks import causal_mask, padding_mask
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, attention_inputs

LENGTHS = (1, 2, 5, 9)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("m", LENGTHS)
def test_the_causal_mask_is_its_formula(n, m):
    formula = [[j <= i + m - n for j in range(m)] for i in range(n)]
    assert torch.equal(causal_mask(n, m), torch.tensor(formula))


@pytest.mark.parametrize(("n", "m"), [(5, 9), (9, 5), (1, 1)])
def test_the_last_query_sees_every_key_and_the_first_surplus_queries_none(n, m):
    mask = causal_mask(n, m)
    assert mask[-1].all()
    assert not mask[: max(n - m, 0)].any()
    assert mask[max(n - m, 0) :].any(dim=-1).all()


def test_decoding_one_token_at_a_time_sees_the_rows_of_the_whole_mask():
    whole = causal_mask(7, 7)
    steps = [causal_mask(1, m + 1) for m in range(7)]
    for row, step in zip(whole, steps, strict=True):
        assert torch.equal(row[: step.shape[1]], step[0])
        assert not row[step.shape[1] :].any()


@given(
    lengths=st.lists(st.integers(0, 9), max_size=6),
    surplus=st.integers(0, 4),
)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_the_padding_mask_is_its_formula(lengths, surplus):
    m = max([1, *lengths]) + surplus
    mask = padding_mask(torch.tensor(lengths, dtype=torch.int64), m)
    assert mask.shape == (len(lengths), 1, m)
    assert mask.dtype == torch.bool
    assert mask[:, 0].tolist() == [[j < length for j in range(m)] for length in lengths]


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_the_padding_mask_takes_any_leading_axes_and_signed_integers(lead, dtype):
    lengths = torch.arange(6, dtype=dtype)[: torch.Size(lead).numel()].reshape(lead)
    mask = padding_mask(lengths, 5)
    assert mask.shape == (*lead, 1, 5)
    assert torch.equal(mask.sum(dim=-1).squeeze(-1), lengths.to(torch.int64))


def test_a_padded_key_has_no_influence_even_where_batch_and_queries_have_one_size():
    q, k, v = attention_inputs(5, seed=3)
    lengths = torch.tensor([1, 37, 20, 0, 5])
    out = attention(q, k, v, mask=padding_mask(lengths, 37))
    for b, length in enumerate(lengths.tolist()):
        alone = (
            attention(q[b], k[b, :length], v[b, :length]) if length else torch.zeros_like(out[b])
        )
        assert_same(out[b], alone)


def test_lengths_on_the_meta_device_give_a_mask_there():
    mask = padding_mask(torch.tensor([1, 2], device="meta"), 5)
    assert mask.is_meta
    assert mask.shape == (2, 1, 5)


def test_lengths_are_left_alone():
    lengths = torch.tensor([1, 2])
    padding_mask(lengths, 5)
    assert lengths.tolist() == [1, 2]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (-1, 3), (0, 0)])
def test_a_causal_mask_needs_queries_and_keys(n, m):
    with pytest.raises(ValueError, match=f"^n and m must be at least 1: got n={n} and m={m}$"):
        causal_mask(n, m)


@pytest.mark.parametrize(
    ("n", "m", "message"),
    [
        (2.0, 3, "n must be an integer: got a float"),
        (2, "3", "m must be an integer: got a str"),
        (True, 3, "n must be an integer: got a bool"),
        (None, 3, "n must be an integer: got None"),
        (torch.tensor(2.0), 3, "n must be an integer: got a Tensor"),
    ],
)
def test_a_causal_mask_takes_integers_only(n, m, message):
    for call in (lambda: causal_mask(n, m), lambda: causal_mask(m=m, n=n)):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("lengths", "m", "message"),
    [
        ([1, 6], 5, "lengths must lie between 0 and m=5: got lengths from 1 to 6"),
        ([-1, 2], 5, "lengths must lie between 0 and m=5: got lengths from -1 to 2"),
        ([[7]], 5, "lengths must lie between 0 and m=5: got lengths from 7 to 7"),
        ([1], 0, "m must be at least 1: got m=0"),
        ([1], -2, "m must be at least 1: got m=-2"),
    ],
)
def test_lengths_lie_between_zero_and_m(lengths, m, message):
    with pytest.raises(ValueError, match="must") as caught:
        padding_mask(torch.tensor(lengths), m)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("lengths", "m", "message"),
    [
        (torch.tensor([1.0]), 5, "lengths must hold integers: got torch.float32"),
        (torch.tensor([True]), 5, "lengths must hold integers: got torch.bool"),
        (torch.tensor([1j]), 5, "lengths must hold integers: got torch.complex64"),
        ([1, 2], 5, "lengths must be a torch.Tensor: got a list"),
        (3, 5, "lengths must be a torch.Tensor: got an int"),
        (torch.tensor([1]), 5.0, "m must be an integer: got a float"),
    ],
    ids=str,
)
def test_lengths_are_a_tensor_of_integers(lengths, m, message):
    for call in (lambda: padding_mask(lengths, m), lambda: padding_mask(m=m, lengths=lengths)):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == message
