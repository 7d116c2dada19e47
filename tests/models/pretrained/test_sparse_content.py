"""Attention by content in SmolLM2: what was written down of it is found again, in small."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from attncourse import (
    causal_mask,
    entmax15_attention,
    masked_softmax,
    sparsemax_attention,
    topk_attention,
)
from attncourse.measure.experiment import measured
from attncourse.measure.protocol import (
    cost_exponent,
    error_against_exact,
    inputs_of_the_model,
    perplexity_when_replaced,
    words_when_replaced,
)
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

DATA = Path(__file__).parents[3] / "book" / "data"


def best(q, k, v, *, top=8, rest="shared out"):
    """The best keys of each query, and what becomes of the weight of the others."""
    mask = causal_mask(q.shape[-2], k.shape[-2])
    weights = masked_softmax(q @ k.mT / math.sqrt(q.shape[-1]), mask)
    places = weights.topk(min(top, k.shape[-2]), dim=-1).indices
    few = torch.zeros_like(weights).scatter(-1, places, weights.gather(-1, places))
    left = 1 - few.sum(dim=-1, keepdim=True)
    if rest == "shared out":
        return few @ v / (1 - left)
    mean = v.cumsum(dim=-2) / torch.arange(1, v.shape[-2] + 1)[:, None]
    return few @ v + (left * mean if rest == "to the mean" else 0)


@pytest.mark.by_turns
def test_the_best_eight_are_guessed_as_was_written_down():
    found = measured("content").results
    again = perplexity_when_replaced(best, tokens=found["tokens"])
    assert found["autopsy"]["shared out"] == pytest.approx(again, rel=1e-3)
    assert found["tops"]["8"] == found["autopsy"]["shared out"]
    assert found["mechanisms"]["top 8"]["perplexity"]["all"] == found["tops"]["8"]


def test_the_weight_of_the_others_matters_on_a_shorter_text():
    ways = ("to the mean", "shared out", "missing")
    guessed = [perplexity_when_replaced(partial(best, top=4, rest=way), tokens=128) for way in ways]
    assert guessed == sorted(guessed)
    assert guessed[2] > 2 * guessed[1]


def test_broad_heads_lose_what_is_lost_on_a_shorter_text():
    kept = torch.tensor(measured("content").results["kept"])
    broad = kept < kept.flatten().median()

    def cut(scores, mask, *, layer, part):
        weights = masked_softmax(scores, mask)
        places = weights.topk(min(8, len(mask)), dim=-1).indices
        few = torch.zeros_like(weights).scatter(-1, places, weights.gather(-1, places))
        few = few / few.sum(dim=-1, keepdim=True)
        return torch.where(part[layer][:, None, None], few, weights)

    text = SmolLM.load().encode(prose())[:192]
    of_broad, of_sharp = (
        SmolLM.load(masked_softmax=partial(cut, part=part)).perplexity(text)
        for part in (broad, ~broad)
    )
    whole = SmolLM.load().perplexity(text)
    assert of_broad - whole > 3 * (of_sharp - whole)


@pytest.mark.by_turns
@pytest.mark.parametrize(
    ("name", "attend"), [("sparsemax", sparsemax_attention), ("entmax 1.5", entmax15_attention)]
)
def test_errors_are_those_of_the_library(name, attend):
    def causal(q, k, v):
        return attend(q, k, v, mask=causal_mask(q.shape[-2], k.shape[-2]))

    found = measured("content").results
    inputs = inputs_of_the_model(10, tokens=found["tokens"])
    written = found["mechanisms"][name]["errors"][found["layers of errors"].index(10)]
    assert written == pytest.approx(error_against_exact(causal, *inputs), abs=2e-3)


def test_all_scores_are_computed_first():
    found = measured("content").results["mechanisms"]
    assert found["top 32"]["flops exponent"] == pytest.approx(2, abs=0.05)
    assert cost_exponent(partial(topk_attention, top=32), 1024) == pytest.approx(2, abs=0.05)


def test_what_cannot_be_put_into_the_model_says_why():
    for name, row in measured("content").results["mechanisms"].items():
        assert (row["perplexity"] is None) == ("why" in row), name


def test_the_words_that_were_written_down_begin_again():
    written = measured("content").results["words"]["8 best"]
    again = words_when_replaced(best, tokens=2)
    assert again
    assert written.startswith(again)
