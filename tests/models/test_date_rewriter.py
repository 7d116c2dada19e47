"""The small translator of dates: what it reads, what it looks up, and that it learns."""

import pytest
import torch
from torch.testing import assert_close

from attncourse.core.masks import padding_mask
from attncourse.models.date_rewriter import (
    DateRewriter,
    FixedVectorRewriter,
    dates,
    encoded,
    train,
)
from attncourse.testing import gaussian

KINDS = [DateRewriter, FixedVectorRewriter]
SAID, WRITTEN = ["3 march 1994", "28 september 2012"], ["1994-03-03", "2012-09-28"]


def built(kind, seed=0):
    torch.manual_seed(seed)
    return kind(width=8)


def right(model, *, each=1):
    """How many of 100 new lines it writes without a fault."""
    said, written = dates(100, each=each, generator=torch.Generator().manual_seed(99))
    found, _ = model.rewrite(said, length=len(written[0]))
    return sum(a == b for a, b in zip(found, written, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_rows(kind):
    model = built(kind)
    logits, weights = model(SAID, WRITTEN)
    for row, (said, written) in enumerate(zip(SAID, WRITTEN, strict=True)):
        one, looked = model([said], [written])
        assert_close(logits[row], one[0])
        assert_close(weights[row, :, : len(said)], looked[0])
        assert not weights[row, :, len(said) :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_sum_to_one(kind):
    weights = built(kind)(SAID, WRITTEN)[1]
    assert weights.shape == (2, 10, 17)
    assert_close(weights.sum(dim=-1), torch.ones(2, 10))


def test_the_context_is_the_weighted_mean_of_the_states():
    model, memory, state = built(DateRewriter), gaussian(2, 5, 16).float(), gaussian(2, 16).float()
    context, weights = model.look_up(state, memory, padding_mask(torch.tensor([5, 3]), 5))
    hidden = (state @ model.w_q)[:, None] + memory @ model.w_k
    scores = hidden.tanh() @ model.u
    scores[1, 3:] = -torch.inf
    assert_close(weights, scores.softmax(dim=-1))
    assert_close(context, (weights[..., None] * memory).sum(dim=1))


def test_a_fixed_vector_is_the_two_last_states_whatever_is_asked():
    model, memory = built(FixedVectorRewriter), gaussian(2, 5, 16).float()
    mask = padding_mask(torch.tensor([5, 3]), 5)
    contexts = [model.look_up(gaussian(2, 16, seed=s).float(), memory, mask)[0] for s in (1, 2)]
    assert torch.equal(*contexts)
    for row, last in ((0, 4), (1, 2)):
        assert torch.equal(contexts[0][row, :8], memory[row, last, :8])
        assert torch.equal(contexts[0][row, 8:], memory[row, 0, 8:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_does_not_see_itself_or_what_follows(kind):
    model = built(kind)
    before, after = (model(SAID[:1], [target])[0] for target in ("1994-03-03", "1994-12-31"))
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


def test_dates_are_dates():
    said, written = dates(200, generator=torch.Generator().manual_seed(0))
    assert {len(line) for line in written} == {10}
    assert len({line[5:7] for line in written}) == 12
    for line, date in zip(said, written, strict=True):
        day, _, year = line.split()
        assert (int(day), year) == (int(date[8:]), date[:4])


def test_a_strange_letter_is_named():
    with pytest.raises(ValueError, match="a line is made of .*: got '!' in it"):
        encoded(["3 march!"])


def test_it_learns_and_its_alignment_comes_to_the_year():
    torch.manual_seed(0)
    model = DateRewriter()
    assert right(model) == 0
    train(model, 150, generator=torch.Generator().manual_seed(0))
    assert right(model) >= 90
    weights = model.rewrite(["3 march 1994"])[1][0]
    assert weights[:4, 8:].sum(dim=-1).min() > 0.5  # the year's four digits, from the year
    assert weights[8:, :2].sum(dim=-1).mean() > 0.5  # the day's, from the day
