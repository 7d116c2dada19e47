"""Positions: the formulas of the papers, and the properties they are chosen for."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from attncourse.core.positions import alibi_bias, learned_positions, rotary, sinusoidal_positions
from attncourse.testing import assert_same, gaussian, gradients


def test_sinusoids_are_those_of_the_paper():
    table = sinusoidal_positions(11, 6)
    assert table.shape == (11, 6)
    assert table.dtype == torch.float32
    for p in range(11):
        for a in range(3):
            angle = p / 10000 ** (2 * a / 6)
            assert table[p, 2 * a].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * a + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_far_positions_are_still_exact():
    last = sinusoidal_positions(100_001, 2)[-1]
    assert last.tolist() == pytest.approx([math.sin(100_000), math.cos(100_000)], abs=1e-6)


def test_a_shift_is_the_same_rotation_everywhere():
    table = sinusoidal_positions(40, 8).double()
    products = table @ table.mT
    for shift in (1, 7):
        along = products.diagonal(shift)
        assert (along - along[0]).abs().max() < 1e-5


def rotate_half_form(x, positions, base=10000.0):
    """As Llama's code has it: x cos + rotate_half(x) sin, with the angles repeated."""
    d = x.shape[-1]
    inverse = 1.0 / base ** (torch.arange(0, d, 2).double() / d)
    angles = torch.outer(positions.double(), inverse).repeat(1, 2)
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


@pytest.mark.parametrize("base", [10000.0, 500000.0, 10])
def test_rotary_equals_the_form_with_rotate_half(base):
    x, positions = gaussian(2, 3, 5, 8), torch.tensor([0, 1, 5, 100, 4096])
    assert_same(rotary(x, positions, base=base), rotate_half_form(x, positions, base))
    ours = gradients(rotary, x, positions, base=base)
    assert_same(ours, gradients(rotate_half_form, x, positions, base))


def test_rotary_equals_llamas():
    """Llama's angles are float32, so the comparison is in float32, at moderate positions."""
    h, n, d = 3, 9, 8
    q, k = (gaussian(2, h, n, d, seed=seed).float() for seed in (0, 1))
    config = LlamaConfig(hidden_size=h * d, num_attention_heads=h, max_position_embeddings=64)
    at = torch.arange(n) + 20
    theirs = apply_rotary_pos_emb(q, k, *LlamaRotaryEmbedding(config)(q, at[None]))
    base = config.rope_parameters["rope_theta"]
    assert_same((rotary(q, at, base=base), rotary(k, at, base=base)), theirs)


def test_learned_positions_are_rows_of_the_table_and_of_its_gradient():
    table = gaussian(7, 4)
    assert torch.equal(learned_positions(table, 3), table[:3])
    assert torch.equal(learned_positions(table, 7), table)
    assert torch.equal(learned_positions(table, 2, start=5), table[5:])
    (found,) = gradients(learned_positions, table, 2, start=4)
    assert (found != 0).all(dim=-1).tolist() == [False] * 4 + [True] * 2 + [False]


def test_rotary_equals_a_product_of_complex_numbers():
    x, positions = gaussian(5, 8), torch.arange(5) + 3
    pairs = torch.complex(x[:, :4], x[:, 4:])
    angles = positions[:, None] * 10000.0 ** (-torch.arange(4).double() / 4)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    assert_same(rotary(x, positions), torch.cat([turned.real, turned.imag], dim=-1))


def test_scores_depend_on_the_distance_only_and_lengths_stay():
    q, k, at = gaussian(5, 8), gaussian(5, 8, seed=1), torch.arange(5)
    assert_same(rotary(q, at) @ rotary(k, at).mT, rotary(q, at + 90) @ rotary(k, at + 90).mT)
    assert_same(rotary(q, at).norm(dim=-1), q.norm(dim=-1))
    assert torch.equal(rotary(q, torch.zeros(5, dtype=torch.long)), q)


def test_rotary_keeps_dtype_and_runs_on_meta():
    x = gaussian(5, 8).bfloat16()
    turned = rotary(x, torch.arange(5))
    assert turned.dtype == torch.bfloat16
    exact = rotary(x.double(), torch.arange(5))
    assert (turned - exact).abs().max() <= (exact.bfloat16() - exact).abs().max() * 1.01
    assert rotary(x.to("meta"), torch.arange(5, device="meta")).shape == (5, 8)


@pytest.mark.parametrize("h", [1, 2, 8, 12])
def test_alibi_is_minus_slope_times_distance(h):
    bias = alibi_bias(h, 3, 5)
    assert bias.shape == (h, 3, 5)
    for i in range(h):
        slope = 2 ** (-8 * (i + 1) / h)
        for query in range(3):
            for key in range(5):
                expected = -slope * abs(query + 2 - key)
                assert bias[i, query, key].item() == pytest.approx(expected, rel=1e-6)


def test_alibi_of_eight_heads_has_the_papers_slopes():
    assert alibi_bias(8, 1, 2)[:, 0, 0].tolist() == [-(2.0**-i) for i in range(1, 9)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinusoidal_positions(0, 4), "n must be at least 1: got n=0"),
        (lambda: sinusoidal_positions(4, 5), "d must be even and at least 2: got d=5"),
        (lambda: sinusoidal_positions(4, 0), "d must be even and at least 2: got d=0"),
        (
            lambda: rotary(gaussian(3, 5), torch.arange(3)),
            "d, the last axis of x, must be even: got d=5 for x (3, 5)",
        ),
        (
            lambda: rotary(gaussian(3, 4), torch.arange(3), base=0.0),
            "base must be positive: got 0.0",
        ),
        (
            lambda: rotary(gaussian(3, 4), torch.arange(2)),
            "x and positions must share n, the second-to-last axis of x and the last axis of"
            " positions: got n=3 for x (3, 4) and n=2 for positions (2,)",
        ),
        (lambda: learned_positions(gaussian(7, 4), 0), "n must be at least 1: got n=0"),
        (
            lambda: learned_positions(gaussian(7, 4), 2, start=-1),
            "start must be at least 0: got start=-1",
        ),
        (
            lambda: learned_positions(gaussian(7, 4), 5, start=3),
            "start + n must be at most p, the number of learned positions"
            ": got start=3, n=5 and p=7",
        ),
        (lambda: alibi_bias(0, 2, 2), "h, n and m must be at least 1: got h=0, n=2 and m=2"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        call()
    assert str(caught.value) == message
