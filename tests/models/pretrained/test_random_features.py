"""Random features in SmolLM2: what was written down of the Performer is found again, in small."""

from functools import partial
from pathlib import Path

import pytest
import torch

from attncourse.measure.experiment import measured
from attncourse.measure.protocol import (
    LAYERS,
    cheaper_from,
    cost_exponent,
    error_against_exact,
    inputs_of_the_model,
    perplexity_when_replaced,
)
from attncourse.mechanisms.linear.performer import causal_performer_attention, orthogonal_features

DATA = Path(__file__).parents[3] / "book" / "data"


def performer(r, seed=0):
    w = orthogonal_features(r, 64, generator=torch.Generator().manual_seed(seed))
    return partial(causal_performer_attention, w=w, chunk=64)


def plain_mean(q, k, v):
    return v.cumsum(dim=-2) / torch.arange(1, v.shape[-2] + 1)[:, None]


def rows():
    return measured("random-features").results["mechanisms"]


def features():
    """The rows of the Performer, by the number of features."""
    return {row["size"]: row for row in rows().values() if "size" in row}


def test_the_costs_that_were_written_down_are_counted_again():
    written = features()
    assert sorted(written) == [64, 256, 1024]
    for r, row in written.items():
        assert cheaper_from(performer(r)) == row["cheaper_from"]
    assert cost_exponent(performer(64), 2048) == written[64]["exponents"]["flops"] == 1.0


def test_the_errors_of_a_layer_are_found_again_at_a_third_of_the_length():
    """Which directions are drawn hardly matters: all are wrong, as a plain mean is."""
    at = measured("random-features").results["layers of errors"].index(20)
    inputs = inputs_of_the_model(20, tokens=256)
    for r in (64, 256):
        found = error_against_exact(performer(r), *inputs)
        assert found == pytest.approx(features()[r]["errors"][at], abs=0.15)
    mean = error_against_exact(plain_mean, *inputs)
    assert mean == pytest.approx(rows()["plain mean"]["errors"][at], abs=0.15)


def test_more_features_bring_next_to_nothing():
    written = features()
    for few, many in zip(written[64]["errors"], written[1024]["errors"], strict=True):
        assert 0.8 * few < many < 1.05 * few
    for where in LAYERS:
        assert written[1024]["perplexity"][where] > 5 * 54


def test_a_performer_ruins_the_model_on_a_shorter_text_too():
    guessed = perplexity_when_replaced(performer(64), LAYERS["upper half"], tokens=128)
    assert 200 < guessed < 900
