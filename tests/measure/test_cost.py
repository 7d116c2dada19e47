"""Cost is counted: exact, and the same for every value of the inputs."""

from functools import partial

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor, moved_bytes, operators, scaling_exponent
from attncourse.mechanisms.dense.additive import additive_scores
from attncourse.mechanisms.dense.bilinear import bilinear_scores
from attncourse.mechanisms.dense.cosine import cosine_scores
from attncourse.mechanisms.dense.softmax import attention, attention_by_definition
from attncourse.testing import attention_inputs, gaussian, gradients, random_mask

MEASURES = [flops, largest_tensor, moved_bytes, operators]
every_measure = pytest.mark.parametrize("measure", MEASURES)


def square(n):
    """Queries, keys and values of length n."""
    return gaussian(n, 8), gaussian(n, 8), gaussian(n, 6)


def nothing(*args):
    """A function without a single operator."""


@pytest.mark.parametrize(("n", "m", "d", "e"), [(5, 37, 8, 6), (1, 1, 2, 3), (64, 16, 8, 2)])
@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_the_flops_of_attention_are_two_n_m_times_d_plus_e(lead, n, m, d, e):
    q, k, v = gaussian(*lead, n, d), gaussian(*lead, m, d), gaussian(*lead, m, e)
    expected = 2 * n * m * (d + e) * torch.Size(lead).numel()
    assert flops(attention, q, k, v) == expected
    assert flops(attention, q, k, v, mask=random_mask(n, m)) == expected


def test_weighted_sums_of_chosen_rows_count_and_plain_ones_do_not():
    chosen, table, weights = torch.tensor([[0, 2, 2], [1, 1, 0]]), gaussian(4, 5), gaussian(2, 3)
    plain = partial(torch.nn.functional.embedding_bag, chosen, mode="sum")
    assert flops(plain, table) == 0
    assert flops(plain, table, per_sample_weights=weights) == 2 * 6 * 5


def test_the_flops_of_the_score_functions_are_those_of_their_docstrings():
    q, k = gaussian(5, 8), gaussian(37, 7)
    assert flops(bilinear_scores, q, k, gaussian(8, 7)) == 2 * (5 * 8 * 7 + 5 * 37 * 7)
    assert flops(cosine_scores, q, gaussian(37, 8)) == 2 * 5 * 37 * 8
    weights = gaussian(8, 3), gaussian(7, 3), gaussian(3)
    expected = 2 * (5 * 8 * 3 + 37 * 7 * 3 + 5 * 37 * 3)
    assert flops(additive_scores, q, k, *weights) == expected


PRODUCTS = {
    "matrices": (torch.matmul, ((5, 3), (3, 7)), 2 * 5 * 3 * 7),
    "batch": (torch.matmul, ((2, 5, 3), (2, 3, 7)), 2 * 2 * 5 * 3 * 7),
    "vector": (torch.matmul, ((5, 3), (3,)), 2 * 5 * 3),
    "batch and vector": (torch.matmul, ((2, 5, 3), (3,)), 2 * 2 * 5 * 3),
    "mv": (torch.mv, ((5, 3), (3,)), 2 * 5 * 3),
    "dot": (torch.dot, ((3,), (3,)), 2 * 3),
    "added in place": (lambda a, b: torch.zeros(5, 7).double().addmm_(a, b), ((5, 3), (3, 7)), 210),
    "batch added in place": (
        lambda a, b: torch.zeros(2, 5, 7).double().baddbmm_(a, b),
        ((2, 5, 3), (2, 3, 7)),
        420,
    ),
    "vector added in place": (
        lambda a, b: torch.zeros(5).double().addmv_(a, b),
        ((5, 3), (3,)),
        30,
    ),
    "einsum": (lambda a, b: torch.einsum("nd,md->nm", a, b), ((5, 3), (7, 3)), 2 * 5 * 3 * 7),
    "einsum and vector": (lambda a, b: torch.einsum("nd,d->n", a, b), ((5, 3), (3,)), 2 * 5 * 3),
}


@pytest.mark.parametrize(("product", "shapes", "expected"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_counts_the_same_however_it_is_written(product, shapes, expected):
    assert flops(product, *(gaussian(*shape) for shape in shapes)) == expected


def test_pytorchs_fused_attention_counts_like_its_parts():
    q, k, v = (gaussian(1, 2, *shape) for shape in ((5, 8), (37, 8), (37, 8)))
    assert flops(scaled_dot_product_attention, q, k, v) == 2 * 2 * 5 * 37 * (8 + 8)
    mask = random_mask(5, 37)[None, None]
    masked = flops(scaled_dot_product_attention, q, k, v, attn_mask=mask)
    assert masked == flops(scaled_dot_product_attention, q, k, v)
    grad = flops(gradients, scaled_dot_product_attention, q, k, v)
    assert grad == 2 * 2 * 5 * 37 * (8 + 8) + 2 * 2 * 5 * 37 * (3 * 8 + 2 * 8)


def test_pairs_that_is_causal_hides_do_not_count():
    q = gaussian(1, 2, 5, 8)
    causal = flops(lambda x: scaled_dot_product_attention(x, x, x, is_causal=True), q)
    assert causal == 2 * 2 * (1 + 2 + 3 + 4 + 5) * (8 + 8)


@every_measure
def test_cost_is_the_same_for_flat_and_peaked_weights(measure):
    flat, peaked = attention_inputs(std=1e-6), attention_inputs(std=100.0)
    assert measure(attention, *flat) == measure(attention, *peaked) > 0


@every_measure
def test_cost_is_the_same_the_second_time_and_the_arguments_are_untouched(measure):
    q, k, v = attention_inputs()
    copies = [x.clone() for x in (q, k, v)]
    assert measure(attention, q, k, v) == measure(attention, q, k, v)
    assert all(torch.equal(x, copy) for x, copy in zip((q, k, v), copies, strict=True))


@every_measure
def test_cost_is_counted_without_data_on_the_meta_device(measure):
    here = attention_inputs(2, 3)
    there = [x.to("meta") for x in here]
    assert measure(attention, *there) == measure(attention, *here)


def test_a_million_tokens_cost_no_memory_to_count():
    n = 10**6
    q, k, v = (torch.empty(n, d, device="meta") for d in (8, 8, 6))
    assert flops(attention, q, k, v) == 2 * n * n * (8 + 6)
    assert largest_tensor(attention, q, k, v) == n * n


@every_measure
def test_keywords_reach_the_function(measure):
    q, k, v = attention_inputs()
    assert measure(attention, q=q, k=k, v=v) == measure(attention, q, k, v)
    assert operators(attention, q, k, v, mask=causal_mask(5, 37)) > operators(attention, q, k, v)


@every_measure
def test_a_function_that_computes_nothing_costs_nothing(measure):
    assert measure(nothing, *attention_inputs()) == 0


@every_measure
def test_an_error_of_the_function_comes_through(measure):
    with pytest.raises(ValueError, match="q and k must share d"):
        measure(attention, gaussian(5, 8), gaussian(7, 3), gaussian(7, 2))


def test_counting_stops_when_the_call_ends():
    first = operators(torch.add, gaussian(3), gaussian(3))
    torch.add(gaussian(3), gaussian(3))
    assert operators(torch.add, gaussian(3), gaussian(3)) == first == 1


def test_the_largest_tensor_of_attention_is_the_score_matrix():
    assert largest_tensor(attention, *attention_inputs(2, 3)) == 2 * 3 * 37 * max(5, 8)
    assert largest_tensor(attention, gaussian(50, 8), gaussian(37, 8), gaussian(37, 6)) == 50 * 37


def test_the_largest_tensor_of_additive_scores_has_an_entry_for_every_pair_and_unit():
    sizes = gaussian(5, 8), gaussian(37, 7), gaussian(8, 3), gaussian(7, 3), gaussian(3)
    assert largest_tensor(additive_scores, *sizes) == 5 * 37 * 3


def pairs_by_vmap(q, k):
    """The scores of all pairs, from a function of one pair."""
    of_one_query = torch.vmap(torch.dot, in_dims=(None, 0))
    return torch.vmap(of_one_query, in_dims=(0, None))(q, k)


# a function of (q, k) of 20 and 30 vectors of width 8, and the elements of its largest tensor
HELD = {
    "expanded": (lambda q, k: q[:, None].expand(-1, 30, -1)[0, 0], 20 * 8),
    "expanded, then used": (lambda q, k: q[:, None].expand(-1, 30, -1) + 1, 20 * 30 * 8),
    "expanded, then copied": (lambda q, k: q[:, None].expand(-1, 30, -1).contiguous(), 4800),
    "broadcast": (lambda q, k: (q[:, None] * k).sum(dim=-1), 20 * 30 * 8),
    "vmap": (pairs_by_vmap, 20 * 30),
    "windows": (lambda q, k: k.unfold(0, 5, 1)[0], 30 * 8),
    "part of an argument": (lambda q, k: k[:3], 3 * 8),
    "part of what was made": (lambda q, k: torch.zeros(900)[:3], 900),
    "filled in place": (lambda q, k: q.new_empty(20, 30).copy_(q @ k.mT), 20 * 30),
    "arguments": (lambda q, k: k.sum(), 1),
    "several": (lambda q, k: k.max(dim=0), 8),
    "grown in place": (lambda q, k: torch.zeros(1).resize_(700).resize_(1), 700),
}


@pytest.mark.parametrize("meta", [False, True], ids=["here", "meta"])
@pytest.mark.parametrize(("fn", "expected"), HELD.values(), ids=HELD)
def test_an_element_counts_once_however_often_a_view_repeats_it(fn, expected, meta):
    vectors = gaussian(20, 8), gaussian(30, 8)
    assert largest_tensor(fn, *(x.to("meta") if meta else x for x in vectors)) == expected


def test_a_sparse_tensor_counts_as_if_it_were_dense():
    assert largest_tensor(lambda x: x.to_sparse(), torch.eye(7)) == 49


def test_tensors_inside_a_returned_tuple_count():
    assert largest_tensor(lambda x: x.split([2, 7]), gaussian(9)) == 7


@pytest.mark.parametrize("n", [4, 16, 64])
def test_attention_takes_as_many_operators_at_any_length(n):
    assert operators(attention, *square(n)) == operators(attention, *square(2 * n))


def test_a_loop_shows_as_operators_that_grow():
    counts = [operators(attention_by_definition, *square(n)) for n in (4, 8, 16)]
    assert counts[0] < counts[1] / 2 < counts[2] / 4


def test_the_loop_of_a_running_sum_is_linear_in_its_length():
    def loop(x):
        total = x[0]
        for row in x[1:]:
            total = total + row
        return total

    exponent = scaling_exponent(operators, loop, lambda n: (gaussian(n, 3),), 64)
    assert exponent == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("measure", "exponent"), [(flops, 2.0), (largest_tensor, 2.0), (operators, 0.0)]
)
def test_attention_is_quadratic_in_length_in_a_constant_number_of_operators(measure, exponent):
    assert scaling_exponent(measure, attention, square, 32) == exponent


def test_attention_is_linear_in_width():
    def inputs(d):
        return gaussian(5, d), gaussian(37, d), gaussian(37, d)

    assert scaling_exponent(flops, attention, inputs, 16) == 1.0


def test_a_cost_that_shrinks_has_a_negative_exponent():
    assert scaling_exponent(lambda fn, x: 8 / x, abs, lambda n: (n,), 4) == -1.0


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ((0, 0), "a cost must be positive to have an exponent: got 0 and 0"),
        ((0, 7), "a cost must be positive to have an exponent: got 0 and 7"),
        ((7, 0), "a cost must be positive to have an exponent: got 7 and 0"),
    ],
)
def test_a_cost_of_zero_has_no_exponent(costs, message):
    with pytest.raises(ValueError, match="exponent") as caught:
        scaling_exponent(lambda fn, n: costs[n - 1], nothing, lambda n: (n,), 1)
    assert str(caught.value) == message


def test_elementwise_work_counts_no_flops_and_so_has_no_exponent():
    assert flops(torch.tanh, gaussian(5, 7)) == 0
    with pytest.raises(ValueError, match="got 0 and 0"):
        scaling_exponent(flops, torch.tanh, lambda n: (gaussian(n),), 8)


def test_bytes_are_those_that_operators_read_and_write():
    x = torch.ones(3, 4)  # 48 bytes
    assert moved_bytes(torch.add, x, x) == 3 * 48
    assert moved_bytes(torch.sum, x) == 48 + 4
    assert moved_bytes(torch.matmul, x, torch.ones(4, 5)) == 4 * (12 + 20 + 15)
    assert moved_bytes(lambda x: x.mT, x) == moved_bytes(lambda x: x.expand(9, 3, 4), x) == 0
    assert moved_bytes(lambda x: x.expand(9, 3, 4).sum(), x) == 48 + 4


def test_bytes_of_attention_grow_with_the_pairs_and_those_of_a_fused_one_do_not():
    def bytes_of(fn, n):
        return moved_bytes(fn, *(x[None, None] for x in square(n)))

    assert bytes_of(attention, 512) / bytes_of(attention, 256) > 3.8
    fused = [bytes_of(lambda q, k, v: scaled_dot_product_attention(q, k, q), n) for n in (256, 512)]
    assert fused[1] / fused[0] < 2.2
