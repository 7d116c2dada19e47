"""The protocol of chapters 11 to 17: exact has no error, counts are counts, layers are told."""

import doctest
import math
from functools import partial

import pytest
import torch

import attncourse
from attncourse import block_attention, largest_tensor, sliding_window_attention
from attncourse.measure import protocol
from attncourse.measure.protocol import (
    LAYERS,
    cheaper_from,
    cost_exponent,
    error_against_exact,
    error_cost_curve,
    exact,
    inputs_of_the_model,
    perplexity_when_replaced,
    random_inputs,
    replaced,
    words_when_replaced,
)
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM


def window(size):
    return partial(sliding_window_attention, window=size, causal=True)


def test_the_examples_hold():
    known = {name: getattr(attncourse, name) for name in attncourse.__all__}
    failed, tried = doctest.testmod(protocol, extraglobs=known | {"torch": torch})
    assert (failed, tried) == (0, 8)


def test_a_window_over_everything_is_exact_and_no_output_is_wholly_wrong():
    q, k, v = (x.expand(3, 50, 8) for x in random_inputs(50, 8))
    assert error_against_exact(window(50), q, k, v) < 1e-6
    assert error_against_exact(lambda q, k, v: torch.zeros_like(v), q, k, v) == 1.0


def test_the_error_falls_as_the_cost_rises():
    points = error_cost_curve(window, (4, 16, 64, 128), random_inputs(200, 8))
    assert [point.size for point in points] == [4, 16, 64, 128]
    errors, costs = [p.error for p in points], [p.flops for p in points]
    assert errors == sorted(errors, reverse=True)
    assert costs == sorted(costs)
    assert points[0].largest == largest_tensor(window(4), *random_inputs(200, 8))


def test_the_exponent_is_that_of_the_counts():
    assert cost_exponent(exact, 64) == 2.0
    blocks = partial(block_attention, block=32)
    assert cost_exponent(blocks, 64) == cost_exponent(blocks, 64, measure=largest_tensor) == 1.0
    assert cost_exponent(window(16), 1024) == pytest.approx(1.0, abs=0.05)


def test_the_length_from_which_on_it_is_cheaper_is_where_the_counts_cross():
    for block in (1, 6, 40):
        blocks = partial(block_attention, block=block)
        found = cheaper_from(blocks, d=4)
        assert found == block + 1
    assert cheaper_from(exact, d=4, longest=64) is None


def test_only_the_chosen_layers_attend_by_the_mechanism():
    called = []

    def counting(q, k, v):
        called.append(q.shape)
        return exact(q, k, v)

    ids = SmolLM.load().encode(prose())[:12]
    for name, layers in (("all", 30), ("upper half", 15), ("every second", 15)):
        called.clear()
        model = SmolLM.load(**replaced(counting, LAYERS[name]))
        torch.testing.assert_close(model.logits(ids), SmolLM.load().logits(ids), rtol=0, atol=1e-3)
        assert called == [(9, 12, 64)] * layers


def test_the_exact_mechanism_changes_neither_perplexity_nor_words():
    usual = SmolLM.load()
    guessed = perplexity_when_replaced(exact, tokens=40)
    assert guessed == pytest.approx(usual.perplexity(prose(), tokens=40), rel=1e-4)
    text = "The trophy does not fit in the suitcase."
    told = perplexity_when_replaced(exact, LAYERS["upper half"], text=text)
    assert told == pytest.approx(usual.perplexity(text), rel=1e-4)
    asked = "What is the capital of France?"
    assert words_when_replaced(exact, prompt=asked, tokens=3) == usual.generate(asked, 3)


def test_the_inputs_of_a_layer_give_its_outputs():
    q, k, v = inputs_of_the_model(3, tokens=20)
    assert (q.shape, k.shape, v.shape) == ((9, 20, 64),) * 3
    scores = (q @ k.mT / math.sqrt(64)).masked_fill(torch.ones(20, 20).triu(1) == 1, -math.inf)
    torch.testing.assert_close(exact(q, k, v), scores.softmax(-1) @ v)
    torch.testing.assert_close(k[0], k[2])  # three heads share a key head
