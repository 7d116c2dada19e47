"""Each part's commonest mistake fits its socket and does harm; what was measured is found again."""

import math
from pathlib import Path

import pytest
import torch

from attncourse.core.masks import causal_mask
from attncourse.measure.experiment import measured
from attncourse.models.pretrained import smollm
from attncourse.models.pretrained.gguf_file import halves_from_pairs
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.mistakes import MISTAKES
from attncourse.models.pretrained.prose import prose, sentences
from attncourse.models.pretrained.removal import without_heads
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.pretrained.smollm_parts import Parts

ROOT = Path(__file__).parents[3]
TEXT = "The trophy does not fit in the suitcase because it is too big."


@pytest.mark.by_turns
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_fits_and_changes_what_the_model_says(name):
    ids = SmolLM.load().encode(TEXT)
    model, right = SmolLM.load(**MISTAKES[name]), SmolLM.load()
    logits = model.logits(ids)
    assert logits.shape == (len(ids), 49_152)
    assert logits.isfinite().all() == (name != "norm: left out")
    assert (name == "right") == logits.equal(right.logits(ids))


def test_a_model_whose_weights_were_not_converted_is_the_one_with_the_mistake():
    right = SmolLM.load()
    tensors = dict(right.tensors)
    for layer in range(right.sizes.layers):
        for name, h in (("q", right.sizes.h), ("k", right.sizes.g)):
            w = tensors[f"{layer}.{name}"]
            pairs = w.unflatten(0, (h, 2, -1)).transpose(1, 2).flatten(0, 2)
            assert torch.equal(halves_from_pairs(pairs, h), w)
            tensors[f"{layer}.{name}"] = pairs
    broken = SmolLM(Parts(tensors, right.sizes, right.tokenizer), right.sockets)
    ids = right.encode(TEXT)
    same = SmolLM.load(**MISTAKES["positions: weights not converted"]).logits(ids)
    torch.testing.assert_close(broken.logits(ids), same, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["right", "network: ReLU for SiLU", "residual: left out"])
def test_the_words_that_were_written_down_are_written_again(name):
    found = measured("swaps").results
    model, prompt = SmolLM.load(**MISTAKES[name]), found["prompts"][0]
    assert model.generate(prompt, 4, cached=False) in found[name]["words"][0]


def test_every_mistake_was_measured_with_its_socket():
    found = measured("swaps").results
    for name, sockets in MISTAKES.items():
        assert found[name]["socket"] == "".join(sockets)
    guessed = SmolLM.load().perplexity(prose(), tokens=found["tokens"])
    assert found["right"]["perplexity"] == pytest.approx(guessed, rel=1e-3)


def test_a_head_that_was_removed_is_missed_as_was_written_down():
    found = measured("heads").results
    ids = SmolLM.load().encode(prose())[: found["tokens"]]
    for layer, head in ((0, 8), (29, 2)):
        model = SmolLM.load(**without_heads([(layer, head)]))
        gained = math.log(model.perplexity(ids)) - found["whole"]["loss"]
        assert gained == pytest.approx(found["heads"][layer][head], abs=2e-3)


def test_the_beginning_of_the_long_text_is_read_as_was_written_down():
    found = measured("long-context").results
    model = SmolLM.load()
    ids = model.encode((ROOT / "book/data/long-prose.txt").read_text(encoding="utf-8"))
    assert len(ids) == found["tokens"] > found["trained"]
    guessed = math.log(model.perplexity(ids[: found["part"] + 1]))
    assert found["plain"][0] == pytest.approx(guessed, abs=1e-3)


def test_removed_heads_give_zeros_and_others_what_they_gave():
    given = {}

    def spy(x, *, layer):
        given[layer] = x.abs().amax(dim=(-1, -2)) == 0
        return smollm.merge_heads(x)

    merged = without_heads([(0, 3), (0, 5), (29, 8)])["merge_heads"]
    x = torch.randn(9, 4, 64)
    gone = merged(x.clone(), layer=0).unflatten(-1, (9, 64)).transpose(-3, -2)
    assert [head for head in range(9) if not gone[head].any()] == [3, 5]
    assert torch.equal(gone[4], x[4])
    SmolLM.load(merge_heads=spy).logits([1, 2, 3])
    assert sorted(given) == list(range(30))


def test_one_layer_after_the_other_is_the_model():
    model = SmolLM.load()
    ids = torch.tensor(model.encode(TEXT))
    states, mask = model.states(TEXT), causal_mask(len(ids), len(ids))
    assert torch.equal(model.layer(states[4], 4, mask), states[5])
    last = smollm.rms_norm(states[-1], model.tensors["norm"], eps=model.sizes.eps)
    torch.testing.assert_close(last @ model.tensors["table"].mT, model.logits(ids))


def test_what_a_causal_model_knows_at_a_word_does_not_depend_on_what_follows():
    other = TEXT.replace("big", "small")
    for model, equal in ((SmolLM.load(), True), (MiniLM.load(), False)):
        it = model.words(TEXT).index("it")
        assert model.states(TEXT)[:, it].equal(model.states(other)[:, it]) == equal


def test_without_positions_the_encoder_gives_every_order_of_words_the_same():
    def zeros(table, n):
        return torch.zeros_like(table[:n])

    ids = torch.tensor(MiniLM.load().encode(TEXT))
    order = torch.cat(
        [torch.tensor([0]), torch.arange(1, len(ids) - 1).flip(0), ids.new_tensor([15])]
    )
    for model, same in ((MiniLM.load(positions=zeros), True), (MiniLM.load(), False)):
        x, y = model.hidden(ids), model.hidden(ids[order])
        assert ((y - x[order]).norm() / x.norm() < 1e-4) == same


def test_the_hundred_sentences_are_the_books_and_differ():
    assert len(set(sentences())) == 100
    assert (ROOT / "book/data/sentences.txt").read_text().splitlines() == sentences()
