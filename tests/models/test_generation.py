"""Writing: greedy and with a cache alike, probabilities that are drawn, and beams."""

import itertools
import math

import pytest
import torch

from attncourse import (
    Decoder,
    DecoderConfig,
    attention,
    attention_with_weights,
    beam_search,
    generate,
    kept_probabilities,
    kv_cache_generate,
    multi_head_from_slices,
    sample,
)
from attncourse.exercises.interview_coding._inputs import drawn_prompt, recurrent
from attncourse.measure.small_models import refusal_with_model, tokens_read, with_model
from attncourse.testing import attention_inputs, gaussian

FIVE = torch.tensor([0.1, 0.4, 0.25, 0.2, 0.05]).log()


@pytest.mark.parametrize("seed", range(5))
def test_with_a_cache_the_same_is_written_and_each_token_read_once(seed):
    start = drawn_prompt(3, seed=seed)
    whole, steps = (recurrent(kind, seed=seed) for kind in ("whole", "steps"))
    text = with_model(generate, whole, start, 7)
    assert with_model(kv_cache_generate, steps, start, 7).equal(text)
    assert sum(tokens_read(kv_cache_generate, steps, start, 7)) == 3 + 7 - 1
    assert tokens_read(generate, whole, start, 7) == [3, 4, 5, 6, 7, 8, 9]


def test_it_writes_with_a_model_of_the_library():
    config = DecoderConfig(vocabulary=11, length=12, d=8, h=2, d_ff=16, layers=2)
    torch.manual_seed(0)
    model = Decoder(config).eval()
    with torch.no_grad():
        text = generate(lambda tokens: model(tokens), torch.tensor([1, 2]), 6)
        assert text[2] == model(torch.tensor([1, 2]))[-1].argmax()
    assert text.shape == (8,)


@pytest.mark.parametrize("function", [generate, kv_cache_generate])
@pytest.mark.parametrize(
    ("bad", "new", "said"),
    [
        (torch.tensor([1.0]), 1, "prompt must hold integers: got torch.float32"),
        (torch.tensor([1], dtype=torch.int32), 1, "tokens must be int64: got torch.int32"),
        (torch.tensor([[1]]), 1, "prompt must have exactly 1 axis"),
        (torch.tensor([], dtype=torch.int64), 1, "p must be at least 1"),
        (torch.tensor([1]), -1, "the number of new tokens must not be negative: got -1"),
    ],
)
def test_what_cannot_be_continued_is_refused(function, bad, new, said):
    with pytest.raises((TypeError, ValueError), match=said.replace("(", r"\(")):
        function(lambda *args: None, bad, new)


def test_the_model_of_tables_says_what_it_reads():
    tables = recurrent("whole", seed=0)
    refused = {
        "TypeError": lambda model, *args: model([1]),
        "ValueError": lambda model, *args: model(torch.zeros(1, 1, dtype=torch.int64)),
        "IndexError": lambda model, *args: model(torch.tensor([99])),
        "": lambda model, *args: model(torch.tensor([1])),
    }
    for kind, function in refused.items():
        assert refusal_with_model(function, tables) == kind


# The sampler


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [1, 2]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 0.41}, [1, 2]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"top_k": 2, "top_p": 0.6}, [1]),
        ({"temperature": 4.0, "top_p": 0.41}, [1, 2]),
        ({"temperature": 1e-30}, [1]),
    ],
)
def test_what_is_kept_keeps_its_proportions(options, kept):
    found = kept_probabilities(FIVE, **options)
    assert found.nonzero().flatten().tolist() == kept
    powers = (FIVE[kept] - FIVE.max()).div(options.get("temperature", 1.0)).exp()
    torch.testing.assert_close(found[kept], powers / powers.sum())


def test_draws_have_these_probabilities_and_follow_the_generator():
    rows = FIVE.expand(20_000, 5)
    one, again = (
        sample(rows, top_p=0.8, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert one.equal(again)
    assert one.dtype == torch.int64
    frequencies = one.bincount(minlength=5) / 20_000
    expected = kept_probabilities(FIVE, top_p=0.8)
    assert (
        (frequencies - expected).abs() < 6 * (expected * (1 - expected) / 20_000).sqrt()
    ).all() or (
        frequencies[expected == 0].sum() == 0 and (frequencies - expected).abs().max() < 0.02
    )


def test_low_precision_is_sampled_in_float32():
    assert kept_probabilities(FIVE.bfloat16(), top_p=0.5).dtype == torch.float32
    assert sample(FIVE.half()[None].expand(3, 2, 5)).shape == (3, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": 0.0}, "temperature must be positive: got 0.0"),
        ({"top_k": 0}, "top_k must be at least 1: got 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1: got 0.0"),
        ({"top_p": math.nan}, "top_p must be above 0 and at most 1: got nan"),
    ],
)
def test_filters_that_keep_nothing_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        sample(FIVE, **options)


# Beams


def best_of_all(step, start, length):
    """Every text of that length, one after the other."""
    size = len(step(start))
    found = []
    for more in itertools.product(range(size), repeat=length):
        text, score = start, torch.zeros((), dtype=torch.float64)
        for token in more:
            score = score + step(text).log_softmax(-1)[token]
            text = torch.cat([text, torch.tensor([token])])
        found.append((text, score))
    return max(found, key=lambda one: one[1].item())


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_is_exact_and_a_beam_of_one_is_greedy(seed):
    table = gaussian(5, 5, seed=seed)
    step, start = lambda tokens: table[tokens[-1]], torch.tensor([seed])
    text, score = beam_search(step, start, 125, 3)
    expected = best_of_all(step, start, 3)
    assert text.equal(expected[0])
    torch.testing.assert_close(score, expected[1])
    greedy, _ = beam_search(step, start, 1, 3)
    assert greedy.equal(generate(lambda tokens: table[tokens], start, 3))


def test_wider_beams_are_no_worse_on_the_whole():
    better = 0
    for seed in range(100):
        tables = recurrent("next", seed=seed)
        start = drawn_prompt(2, seed=seed)
        one, four = (with_model(beam_search, tables, start, w, 5)[1] for w in (1, 4))
        better += bool(four >= one - 1e-9)
    assert better >= 98  # not always: a beam may drop what would have won


@pytest.mark.parametrize(("width", "length"), [(0, 1), (1, 0)])
def test_a_beam_without_place_or_length_is_refused(width, length):
    with pytest.raises(ValueError, match="must be at least 1: got 0"):
        beam_search(lambda tokens: FIVE, torch.tensor([0]), width, length)


# Attention as interviewers ask for it


def test_the_weights_are_those_of_attention():
    q, k, v = attention_inputs(2, sizes=(5, 37, 8, 6))
    mask = torch.rand(5, 37, generator=torch.Generator().manual_seed(0)) < 0.5
    out, weights = attention_with_weights(q, k, v, mask)
    torch.testing.assert_close(out, attention(q, k, v, mask=mask))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 5, dtype=torch.float64))
    assert not weights[..., ~mask].any()


def test_an_empty_row_is_refused():
    q, k, v = attention_inputs(sizes=(5, 7, 8, 6))
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[3] = False
    with pytest.raises(
        ValueError, match=r"every row of mask must have a True, .* got an empty row"
    ):
        attention_with_weights(q, k, v, mask)


@pytest.mark.parametrize("h", [1, 2, 4])
def test_slices_are_heads(h):
    q, k, v = attention_inputs(2, sizes=(5, 7, 8, 12))
    heads = [
        attention(
            *(x[..., i * w : (i + 1) * w] for x, w in ((q, 8 // h), (k, 8 // h), (v, 12 // h)))
        )
        for i in range(h)
    ]
    torch.testing.assert_close(multi_head_from_slices(q, k, v, h), torch.cat(heads, dim=-1))
    w_o = gaussian(12, 5)
    mixed = multi_head_from_slices(q, k, v, h, w_o)
    torch.testing.assert_close(mixed, torch.cat(heads, dim=-1) @ w_o)


def test_three_columns_make_no_two_heads():
    q, k, v = attention_inputs(sizes=(2, 5, 3, 6))
    with pytest.raises(ValueError, match="divide d: got num_heads=2 and d=3"):
        multi_head_from_slices(q, k, v, 2)
