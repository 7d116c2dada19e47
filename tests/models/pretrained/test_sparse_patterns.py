"""Sparse patterns in SmolLM2: what was written down of windows, sinks and blocks is found again."""

from pathlib import Path

import pytest
import torch

from attncourse import attention, block_mask, causal_mask, masked_softmax, sliding_window_mask
from attncourse.measure.experiment import measured
from attncourse.measure.protocol import LAYERS, perplexity_when_replaced, words_when_replaced
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

DATA = Path(__file__).parents[3] / "book" / "data"


def window(n, size, *, first=0):
    mask = sliding_window_mask(n, size, causal=True)
    mask[:, :first] = True
    return mask & causal_mask(n, n)


def under(mask):
    return lambda q, k, v: attention(q, k, v, mask=mask[: q.shape[-2], : q.shape[-2]])


@pytest.mark.by_turns
def test_a_window_and_the_first_token_are_guessed_as_was_written_down():
    found = measured("patterns").results
    mended = under(window(768, 128, first=1))
    again = perplexity_when_replaced(mended, tokens=found["tokens"])
    assert found["sinks"]["first 1"] == pytest.approx(again, rel=1e-3)
    written = found["patterns"]["window 128 + the first token"]["perplexity"]["all"]
    assert written == found["sinks"]["first 1"]


def test_what_was_written_down_says_what_the_chapter_says():
    found = measured("patterns").results
    sinks, patterns = found["sinks"], found["patterns"]
    assert sinks["all keys"] < sinks["first 1"] < sinks["128 keys more"] < sinks["first 0"]
    blocks, alone = patterns["blocks of 256"]["perplexity"], patterns["window 128"]["perplexity"]
    assert blocks["all"] < blocks["every second"] < blocks["upper half"] < alone["all"]
    with_first, without = found["windows, first 1"], found["windows, first 0"]
    assert all(a < b for a, b in zip(with_first, without, strict=True))


def test_the_first_token_mends_a_shorter_window_on_a_shorter_text():
    text = SmolLM.load().encode(prose())[:160]
    guessed = [
        perplexity_when_replaced(under(window(160, 32, first=first)), text=text) for first in (0, 1)
    ]
    assert guessed[1] < 0.85 * guessed[0]


@pytest.mark.parametrize(("layers", "low", "high"), [("all", 0.2, 1.0), ("upper half", 0.0, 0.02)])
def test_blocks_make_sinks_of_their_own_where_all_layers_have_them(layers, low, high):
    past = causal_mask(96, 96)
    blocks, seen = block_mask(96, 48) & past, []

    def counting(scores, mask, *, layer):
        weights = masked_softmax(scores, blocks if layer in LAYERS[layers] else past)
        seen.append(weights[:, 60:, 48].mean().item())
        return weights

    model = SmolLM.load(masked_softmax=counting)
    model.hidden(model.encode(prose())[:96])
    assert low < sum(seen[15:]) / 15 < high


def test_the_first_key_and_value_are_the_same_in_every_text_from_layer_12_on():
    heard = {}

    def listening(q, k, v, *, mask, layer):
        heard.setdefault(layer, []).append(torch.cat([k[:, 0], v[:, 0]], dim=-1))
        return attention(q, k, v, mask=mask)

    model = SmolLM.load(attention=listening)
    for text in ("Fox", " trophy", "1"):
        model.hidden(model.encode(text)[:1])
    for layer in range(12, 30):
        one, *others = heard[layer]
        for other in others:
            assert torch.cosine_similarity(one, other, dim=-1).mean() > 0.97


@pytest.mark.parametrize("first", [0, 1])
def test_the_words_that_were_written_down_begin_again(first):
    written = measured("patterns").results["words"][f"window 8, first {first}"]
    again = words_when_replaced(under(window(128, 8, first=first)), tokens=2)
    assert again
    assert written.startswith(again)
