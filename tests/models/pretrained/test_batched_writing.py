"""Many texts at once: as one by one; and what was written down is found again in small."""

import runpy
from pathlib import Path

import pytest
import torch

from attncourse import SmolLM, beam_search, kv_cache_generate
from attncourse.course.writers import next_logits
from attncourse.measure.experiment import measured
from attncourse.mechanisms.serving.cache import KVCache
from attncourse.models.past import Past
from attncourse.models.writing import ENDS, beams, read, written

STUDY = runpy.run_path(str(Path(__file__).parents[3] / "bench" / "generation.py"))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return SmolLM.load()


@pytest.fixture(scope="module")
def given(model):
    lines = ("The trophy does not fit", "A fox and a dog were")
    return torch.tensor([model.encode(line)[:5] for line in lines])


def test_a_batch_is_written_as_its_rows(model, given):
    both = written(model, given, 5, STUDY["greedy"])

    def step(tokens, past):
        past = past or Past(model.sizes.layers)
        logits = model.logits(tokens, past=past)
        logits[..., :ENDS] = -torch.inf
        return logits, past

    for row, ids in zip(both.ids, given, strict=True):
        assert torch.equal(row, kv_cache_generate(step, ids, 5))


def test_what_is_read_has_the_surprise_with_which_it_was_written(model, given):
    texts = written(model, given, 5, STUDY["at"](1.0))
    again = read(model, texts.ids, given.shape[1], rows=1)
    torch.testing.assert_close(again.surprise, texts.surprise, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(again.entropy, texts.entropy, atol=1e-3, rtol=1e-3)
    assert (texts.ids[:, given.shape[1] :] >= ENDS).all()


@pytest.mark.by_turns
def test_beams_are_those_of_the_search(model, given):
    found = beams(model, given, 4, 3)
    following = next_logits(model)

    def step(tokens):
        logits = following(tokens)
        logits[:ENDS] = -torch.inf
        return logits

    for row, ids in zip(found, given, strict=True):
        assert torch.equal(row, beam_search(step, ids, 3, 4)[0])
    assert torch.equal(beams(model, given, 4, 1), written(model, given, 4, STUDY["greedy"]).ids)


def test_a_cache_follows_its_rows():
    cache, keys = KVCache(capacity=2), torch.arange(6.0).view(3, 2, 1)
    cache.reorder(torch.tensor([0]))  # nothing there yet
    cache.append(keys, -keys)
    cache.reorder(torch.tensor([2, 0, 0, 1]))
    assert torch.equal(cache.keys, keys[[2, 0, 0, 1]])
    assert torch.equal(cache.values, -keys[[2, 0, 0, 1]])
    cache.append(keys[[0, 0, 0, 0]], keys[[0, 0, 0, 0]])
    assert len(cache) == 4


@pytest.mark.by_turns
def test_the_texts_are_found_again(model):
    told = measured("generation").results["texts"]
    found = dict(STUDY["texts"](count=6, new=16, ways={k: STUDY["WAYS"][k] for k in SMALL}))
    assert set(found) == {"a person", *SMALL}
    for few in found.values():
        assert few["surprise"] > 0
    order = ("a person", "temperature 1", "greedy")
    assert sorted(order, key=lambda name: -found[name]["surprise"]) == list(order)
    assert sorted(order, key=lambda name: -told[name]["surprise"]) == list(order)


SMALL = ("greedy", "temperature 1")


def test_what_is_drawn_surprises_as_expected_and_the_maximum_less():
    told = measured("generation").results["texts"]
    drawn, greedy = told["temperature 1"], told["greedy"]
    assert drawn["surprise"] == pytest.approx(drawn["entropy"], rel=0.05)
    assert greedy["surprise"] < 0.7 * greedy["entropy"]
    assert greedy["repeated"][-1] > 5 * told["a person"]["repeated"][-1]


def test_copies_are_found_again():
    told, few = measured("generation").results["copies"], dict(STUDY["copies"](count=5))
    for name in ("seen", "hidden"):
        assert len(few[name]) == len(told[name]) == 4
    assert few["seen"][1] < 0.5 * few["seen"][0]
    assert few["hidden"][3] > 3 * few["seen"][3]


@pytest.mark.by_turns
def test_dates_are_found_again():
    told = measured("generation").results["dates"]
    found = STUDY["dates_right"](0, 100, count=40)
    for name, share in found.items():
        assert share == pytest.approx(told["100"][name][0], abs=0.2)
