"""MiniLM wired from the library is Hugging Face's BertModel."""

import pytest
import torch
from transformers import BertModel

from attncourse.core.masks import padding_mask
from attncourse.mechanisms.dense.heads import multi_head_attention
from attncourse.models.pretrained import packages
from attncourse.models.pretrained.minilm import MiniLM

BIG = "The trophy does not fit in the suitcase because it is too big."
SMALL = BIG.replace("big", "small")


@pytest.fixture(scope="module")
def model():
    return MiniLM.load()


@pytest.fixture(scope="module")
def bert():
    path = packages.weights_file(packages.MINILM, ".safetensors").parent
    return BertModel.from_pretrained(path, attn_implementation="eager").eval()


@torch.no_grad()
def test_hidden_states_and_weights_are_those_of_bert(model, bert):
    ids = model.encode(BIG)
    theirs = bert(torch.tensor([ids]), output_attentions=True)
    hidden = model.hidden(ids)
    torch.testing.assert_close(hidden, theirs.last_hidden_state[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(model.maps(BIG), torch.cat(theirs.attentions), rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_is_hidden_as_by_bert(model, bert):
    rows = [model.encode("It is big."), model.encode(BIG)]
    lengths, m = torch.tensor([len(row) for row in rows]), len(rows[1])
    ids = torch.tensor([row + [0] * (m - len(row)) for row in rows])
    keep = (torch.arange(m) < lengths[:, None]).long()
    theirs = bert(ids, attention_mask=keep).last_hidden_state
    ours = model.hidden(ids, mask=padding_mask(lengths, m))
    torch.testing.assert_close(ours[keep.bool()], theirs[keep.bool()], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("sentence", "weight"), [(BIG, 0.61), (SMALL, 0.66)])
def test_the_head_that_looks_at_the_trophy_whatever_is_too_big(model, sentence, weight):
    words = model.words(sentence)
    assert (words[0], words[-1]) == ("[CLS]", "[SEP]")
    row = model.maps(sentence)[3, 1, words.index("it")]
    assert row[words.index("trophy")].item() == pytest.approx(weight, abs=0.005)


def test_a_function_for_all_heads_at_once_gets_the_biases(model):
    once = MiniLM.load(multi_head_attention=multi_head_attention)
    ids = model.encode(BIG)
    torch.testing.assert_close(once.hidden(ids), model.hidden(ids), rtol=0, atol=1e-5)


def test_sentences_of_the_same_meaning_lie_together(model):
    dog, puppy, rates = map(
        model.vector, ("A dog runs.", "A puppy is running.", "Interest rates have risen.")
    )
    assert dog.norm().item() == pytest.approx(1.0)
    assert (dog @ puppy).item() > 0.7
    assert abs((dog @ rates).item()) < 0.2


def test_a_long_text_is_not_cut(model):
    assert len(model.encode("word " * 200)) == 202
