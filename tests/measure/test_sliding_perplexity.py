"""The perplexity of a text read in windows."""

import math

import pytest
import torch

from attncourse import SmolLM, sliding_perplexity
from attncourse.models.pretrained.prose import prose


def test_a_text_of_known_probabilities():
    log_p = torch.full((4, 6), math.log(0.25), dtype=torch.float64)
    for stride in (1, 3, 6):
        assert sliding_perplexity(log_p, stride=stride).item() == pytest.approx(4.0)


def test_one_window_is_the_models_own_perplexity():
    model = SmolLM.load()
    ids = torch.tensor(model.encode(prose())[:48])
    log_p = model.logits(ids)[:-1].log_softmax(dim=-1).gather(-1, ids[1:, None])[:, 0]
    row = torch.cat([torch.tensor([math.nan]), log_p])[None]
    assert sliding_perplexity(row, stride=8).item() == pytest.approx(
        model.perplexity(ids.tolist()), rel=1e-4
    )


@pytest.mark.parametrize("stride", [0, 7])
def test_a_stride_must_fit_the_window(stride):
    rule = f"stride must be from 1 to n=6, the window: got stride={stride}"
    with pytest.raises(ValueError, match=rule):
        sliding_perplexity(torch.zeros(2, 6), stride=stride)


def test_half_precision_is_summed_in_float32():
    log_p = torch.full((1, 4001), -0.125)
    found = sliding_perplexity(log_p.bfloat16(), stride=1)
    assert found.dtype == torch.bfloat16
    assert found.item() == pytest.approx(math.exp(0.125), rel=1e-2)
