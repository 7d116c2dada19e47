"""A hundred runs learn to look at the word before; with five fast steps none does."""

import math

import pytest
import torch

from attncourse.mechanisms.exact.backward import attention_backward, with_backward
from attncourse.models.looking_back import SENTENCE, WORDS, learn_to_look_back

BEFORE = torch.arange(1, len(SENTENCE))


@pytest.fixture(scope="module")
def alive():
    return learn_to_look_back(runs=20)


@pytest.fixture(scope="module")
def dead():
    return learn_to_look_back(runs=20, fast_start=True)


def test_all_runs_learn_and_look_at_the_word_before(alive):
    assert alive.losses.shape == (200, 20)
    assert alive.losses[-1].max() < 0.1
    assert alive.maps()[:, BEFORE, BEFORE - 1].mean() > 0.9


def test_after_five_fast_steps_no_run_learns_more_than_the_frequencies(dead):
    assert dead.losses[-20:].mean(dim=0).min() > math.log(len(WORDS)) - 0.3
    assert dead.maps()[:, BEFORE, BEFORE - 1].mean() < 0.2
    assert dead.maps().amax(dim=-1).mean() > 0.9


def test_the_length_of_the_gradient_hides_that_most_words_have_none(alive, dead):
    fresh, stuck = alive.at_weights["w_q"][0].median(), dead.at_weights["w_q"][-1].median()
    assert 0.2 * fresh < stuck < 5 * fresh
    assert alive.at_scores[0].median() > 0.1
    assert dead.at_scores[-1].median() < 1e-7


def test_the_gradients_at_the_scores_are_those_of_each_words_own_loss():
    kept = []

    def attend(q, k, v):
        scores = q @ k.mT / 32**0.5
        scores.retain_grad()
        kept.append(scores)
        return scores.softmax(dim=-1) @ v

    runs = learn_to_look_back(runs=2, steps=1, attend=attend)
    rows = kept[0].grad[..., 1:, :] * 96  # the loss is a mean over 96 words
    torch.testing.assert_close(runs.at_scores[0], rows.norm(dim=-1).flatten(1))


def test_a_backward_pass_of_ones_own_trains_the_same():
    usual = learn_to_look_back(runs=2, steps=20)
    own = learn_to_look_back(runs=2, steps=20, attend=with_backward(attention_backward))
    torch.testing.assert_close(own.losses, usual.losses, rtol=1e-3, atol=1e-4)


def test_shrinking_the_queries_revives_and_shrinking_the_values_does_not():
    given = {"runs": 10, "fast_start": True, "shrink_at": 100, "steps": 220}
    revived = learn_to_look_back(**given).losses[-1]
    assert revived.median() < 0.5
    assert learn_to_look_back(**given, shrink="w_v").losses[-20:].mean(dim=0).min() > 2.2


def test_the_same_call_gives_the_same_runs():
    first, second = (learn_to_look_back(runs=3, steps=5) for _ in range(2))
    assert torch.equal(first.losses, second.losses)
    assert first.runs == 3


def test_the_running_sentence_has_a_map_for_every_run():
    runs = learn_to_look_back(runs=4, steps=1)
    assert all(x.shape == (4, 13, 32) for x in runs.parts())
    torch.testing.assert_close(runs.maps().sum(dim=-1), torch.ones(4, 13))
