"""Logits before a choice: typical tokens, a penalty for what was said; and a softer target."""

import math
import re

import pytest
import torch
from torch.nn import functional

from attncourse.models.choosing import repetition_penalty, typical_filter
from attncourse.models.pretraining import label_smoothing_loss
from attncourse.testing import gaussian

P = torch.tensor([0.1, 0.6, 0.05, 0.25], dtype=torch.float64)


@pytest.mark.parametrize(
    ("mass", "kept"), [(0.2, [3]), (0.5, [1, 3]), (0.9, [0, 1, 3]), (1.0, [0, 1, 2, 3])]
)
def test_typical_tokens_by_hand(mass, kept):
    found = typical_filter(P.log(), mass=mass)
    assert found.isfinite().nonzero().flatten().tolist() == kept
    assert torch.equal(found[kept], P.log()[kept])


def test_the_typical_is_not_the_likeliest():
    found = typical_filter(P.log(), mass=0.2)
    assert found.argmax() != P.argmax()


def test_typical_tokens_are_those_of_transformers():
    processors = pytest.importorskip("transformers.generation.logits_process")
    logits = gaussian(6, 50, seed=3)
    for mass in (0.2, 0.5, 0.9):
        theirs = processors.TypicalLogitsWarper(mass=mass)(torch.zeros(6, 1), logits)
        torch.testing.assert_close(typical_filter(logits, mass=mass), theirs)


def test_the_penalty_is_that_of_transformers():
    processors = pytest.importorskip("transformers.generation.logits_process")
    logits, tokens = gaussian(4, 30, seed=4), torch.arange(24).view(4, 6) % 11
    theirs = processors.RepetitionPenaltyLogitsProcessor(penalty=1.3)(tokens, logits.clone())
    torch.testing.assert_close(repetition_penalty(logits, tokens, penalty=1.3), theirs)


def test_half_precision_is_compared_in_float32():
    logits = gaussian(3, 40, seed=5).half()
    found = typical_filter(logits, mass=0.7)
    assert found.dtype == torch.float16
    assert torch.equal(found.isfinite(), typical_filter(logits.float(), mass=0.7).isfinite())


def test_hidden_tokens_stay_hidden():
    logits = gaussian(2, 9, seed=6)
    logits[:, 3] = -math.inf
    assert (typical_filter(logits, mass=1.0)[:, 3] == -math.inf).all()
    told = repetition_penalty(logits, torch.tensor([[3], [3]]), penalty=1.2)
    assert torch.equal(told, logits)


def test_the_penalty_knows_where_zero_is_and_a_softmax_does_not():
    logits, said = torch.tensor([2.0, 1.0]), torch.tensor([0])
    p = [repetition_penalty(logits + c, said, penalty=1.2).softmax(-1)[0] for c in (0.0, 9.0)]
    assert p[0] > p[1] + 0.1


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_softer_target_is_that_of_pytorch_in_value_and_gradient(smoothing):
    logits, targets = gaussian(5, 7, seed=7).requires_grad_(), torch.tensor([0, 6, 2, 2, 4])
    q = torch.full((5, 7), smoothing / 7, dtype=torch.float64)
    q[torch.arange(5), targets] += 1 - smoothing
    ours = label_smoothing_loss(logits, targets, smoothing=smoothing)
    theirs = functional.cross_entropy(logits, q)
    torch.testing.assert_close(ours, theirs)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: typical_filter(x, mass=0.0), "mass must be above 0 and at most 1: got 0.0"),
        (lambda x: typical_filter(x, mass=1.5), "mass must be above 0 and at most 1: got 1.5"),
        (
            lambda x: repetition_penalty(x, torch.tensor([0]), penalty=-1.0),
            "penalty must be positive: got -1.0",
        ),
        (
            lambda x: label_smoothing_loss(x, torch.tensor(0), smoothing=1.1),
            "smoothing must be from 0 to 1: got 1.1",
        ),
    ],
)
def test_what_is_no_share_is_refused(call, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        call(torch.zeros(4))
