"""Block-term attention: the tensor by loops, what its blocks add, and what it costs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.low_rank.block_term import (
    block_term_attention,
    block_term_attention_by_definition,
    block_term_parameters,
    block_term_tensor,
)
from attncourse.testing import assert_same, gaussian, gradients

N, M, D, E, H = 4, 3, 5, 2, 2
every_form = pytest.mark.parametrize("form", forms_of(block_term_attention))


def factors(*lead, n=N, m=M, d=D, h=H):
    q, k, v = (gaussian(*lead, rows, d, seed=i) for i, rows in enumerate((n, m, m)))
    return q, k, v, gaussian(h, d, seed=3)


def with_output(*lead, n=N, m=M, d=D, h=H, e=E):
    return *factors(*lead, n=n, m=m, d=d, h=h), gaussian(m, m, e, seed=4)


def test_the_tensor_is_the_sum_over_blocks_and_widths_for_every_triple():
    q, k, v, cores = factors()
    triples = block_term_tensor(q, k, v, cores)
    for i, j, x in torch.cartesian_prod(*map(torch.arange, (N, M, M))).tolist():
        blocks = [(core * q[i] * k[j] * v[x]).sum() for core in cores]
        assert_same(triples[i, j, x], sum(blocks) / H)


def test_the_tensor_summed_over_keys_is_unnormalised_attention_without_softmax():
    q, k, v, _ = factors(2)
    ones = torch.ones(1, D, dtype=q.dtype)
    triples = block_term_tensor(q, k, torch.ones_like(v), ones)
    assert_same(triples[..., 0], q @ k.mT)


@every_form
def test_blocks_with_shared_factors_are_one_block_with_the_mean_core(form):
    q, k, v, cores, w_o = with_output(2, h=7)
    mean = cores.mean(dim=0, keepdim=True)
    assert_same(form(q, k, v, mean, w_o), form(q, k, v, cores, w_o))


@every_form
def test_it_is_linear_in_every_argument(form):
    inputs = with_output(2)
    whole = form(*inputs)
    for place in range(5):
        scaled = [3 * x if i == place else x for i, x in enumerate(inputs)]
        assert_same(form(*scaled), 3 * whole)


@every_form
def test_queries_may_be_permuted_and_so_may_the_width(form):
    q, k, v, cores, w_o = with_output(2)
    whole = form(q, k, v, cores, w_o)
    assert_same(form(q.flip(-2), k, v, cores, w_o), whole.flip(-2))
    assert_same(form(*(x.flip(-1) for x in (q, k, v, cores)), w_o), whole)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(*[st.integers(1, 4)] * 5)
def test_any_sizes_agree(n, m, d, h, e):
    inputs = with_output(2, n=n, m=m, d=d, h=h, e=e)
    assert_same(block_term_attention(*inputs), block_term_attention_by_definition(*inputs))
    assert_same(
        gradients(block_term_attention, *inputs),
        gradients(block_term_attention_by_definition, *inputs),
    )


def of_queries(n):
    return with_output(n=n, m=6)


def test_work_and_memory_are_linear_in_the_queries_and_no_triple_is_formed():
    work = [flops(block_term_attention, *of_queries(n)) for n in (256, 512, 1024)]
    assert work[2] - work[1] == 2 * (work[1] - work[0])
    assert scaling_exponent(largest_tensor, block_term_attention, of_queries, 256) == 1
    assert largest_tensor(block_term_attention, *of_queries(256)) == 256 * D


def test_the_parameters_are_those_of_the_tensors():
    d, r, h, m = 12, 5, 2, 3
    projections = [gaussian(d, r) for _ in "qkv"]
    tensors = [*projections, gaussian(h, r), gaussian(m, m, d)]
    assert block_term_parameters(d, r=r, h=h, m=m) == sum(x.numel() for x in tensors)


@pytest.mark.parametrize("name", ["d", "r", "h", "m"])
def test_numbers_must_be_positive(name):
    numbers = {"d": 4, "r": 3, "h": 2, "m": 5, name: 0}
    with pytest.raises(ValueError, match=f"^{name} must be at least 1: got {name}=0$"):
        block_term_parameters(**numbers)
