"""The formulas of cost equal what is counted."""

import pytest
import torch

from attncourse.measure.analytic import (
    attention_flops,
    attention_parameters,
    crossover_length,
    kv_cache_bytes,
    plain_attention_bytes,
    tiled_attention_bytes,
)
from attncourse.measure.cost import flops, moved_bytes
from attncourse.measure.roofline import sdpa_floor_bytes
from attncourse.mechanisms.dense.heads import multi_head_attention
from attncourse.testing import gaussian


@pytest.mark.parametrize("h", [1, 4])
@pytest.mark.parametrize("n", [3, 16, 50])
def test_flops_are_those_counted(n, h):
    d = 12
    inputs = gaussian(n, d), gaussian(n, d), *(gaussian(d, d) for _ in range(4))
    counted = flops(multi_head_attention, *inputs, h=h)
    assert attention_flops(n, d) == counted
    assert type(attention_flops(n, d)) is int


def test_at_the_crossover_both_parts_are_equal():
    for d in (1, 7, 64):
        n = crossover_length(d)
        assert 8 * n * d**2 == 4 * n**2 * d == attention_flops(n, d) // 2


@pytest.mark.parametrize("h", [1, 2, 4, 8])
def test_parameters_are_those_of_pytorchs_module(h):
    module = torch.nn.MultiheadAttention(512, h, bias=False)
    assert attention_parameters(512, h=h, g=h) == sum(p.numel() for p in module.parameters())


def test_fewer_key_value_heads_have_fewer_parameters():
    found = [attention_parameters(512, h=8, g=g) for g in (8, 2, 1)]
    assert found == [1_048_576, 655_360, 589_824]


@pytest.mark.parametrize("n", [0, 1, 2048])
def test_the_cache_of_keys_and_values(n):
    keys = torch.zeros(12, n, 8, 64, dtype=torch.float16)
    assert kv_cache_bytes(12, n, 8, 64, 2) == 2 * keys.numel() * keys.element_size()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_flops(0, 4), "n must be at least 1: got n=0"),
        (lambda: crossover_length(-1), "d must be at least 1: got d=-1"),
        (lambda: attention_parameters(10, h=4, g=1), "h must divide d: got h=4 and d=10"),
        (lambda: attention_parameters(12, h=4, g=3), "g must divide h: got g=3 and h=4"),
        (lambda: kv_cache_bytes(1, 1, 0, 1, 2), "g must be at least 1: got g=0"),
        (lambda: kv_cache_bytes(1, -1, 1, 1, 2), "n must be at least 0: got n=-1"),
    ],
)
def test_bad_numbers_get_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        call()
    assert str(caught.value) == message


def test_numbers_must_be_whole():
    with pytest.raises(TypeError, match="^n must be an integer: got a float$"):
        attention_flops(2.5, 4)


def test_plain_attention_moves_what_its_four_steps_read_and_write():
    n, m, d, e = 5, 7, 4, 3
    q, k, v = (gaussian(*size) for size in ((n, d), (m, d), (m, e)))
    scores = q @ k.mT
    weights = scores.softmax(dim=-1)
    counted = moved_bytes(torch.matmul, q, k.mT) + moved_bytes(torch.softmax, scores, -1)
    counted += moved_bytes(torch.matmul, weights, v)
    assert plain_attention_bytes(n, m, d, e, 8) == counted


@pytest.mark.parametrize("block", [1, 2, 3, 5, 9])
def test_tiles_move_what_a_loop_over_them_loads_and_stores(block):
    n, m, d, e = 5, 7, 4, 3
    moved = 0
    for start in range(0, n, block):
        rows = min(block, n - start)
        moved += rows * d + m * d + m * e + rows * e
    assert tiled_attention_bytes(n, m, d, e, 2, block=block) == 2 * moved


def test_one_tile_of_all_queries_moves_the_least_there_can_be():
    sizes = (5, 7, 4, 3, 2)
    assert tiled_attention_bytes(*sizes, block=5) == sdpa_floor_bytes(*sizes)
    assert tiled_attention_bytes(*sizes, block=4) > sdpa_floor_bytes(*sizes)


@pytest.mark.parametrize("moved", [plain_attention_bytes, tiled_attention_bytes])
def test_bytes_need_positive_sizes(moved):
    options = {"block": 2} if moved is tiled_attention_bytes else {}
    with pytest.raises(ValueError, match=r"^m must be at least 1: got m=0$"):
        moved(5, 0, 4, 3, 2, **options)
