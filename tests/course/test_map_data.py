"""What the map browser ships is what the models compute, to the hundredth."""

import gzip
import json

import pytest
import torch

from attncourse.course.map_data import ALPHABET, PATH, SENTENCES, read, written
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM
from pages import ROOT

MODELS = {"MiniLM": MiniLM, "SmolLM2": SmolLM}


@pytest.fixture(scope="module")
def shipped():
    text = (ROOT / PATH).read_text(encoding="utf-8")
    return json.loads(text.partition("maps = ")[2].rstrip(";\n"))


def test_the_alphabet_has_a_sign_for_each_hundredth_and_the_file_is_ascii(shipped):
    assert len(set(ALPHABET)) == len(ALPHABET) == 101
    assert (ROOT / PATH).read_bytes().isascii()
    assert shipped["alphabet"] == ALPHABET


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_the_models(shipped, name):
    (kept,) = (model for model in shipped["models"] if model["name"] == name)
    model = MODELS[name].load()
    assert tuple(text["text"] for text in kept["texts"]) == SENTENCES[name]
    for text in kept["texts"]:
        maps = model.maps(text["text"])
        layers, h, n, _ = maps.shape
        assert (kept["layers"], kept["heads"], len(text["words"])) == (layers, h, n)
        assert text["words"] == model.words(text["text"])
        stored = read(text["weights"], layers, h, n, causal=kept["causal"])
        assert (stored - maps).abs().max() < 0.0051


def test_maps_can_be_read_as_written():
    maps = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    for causal in (False, True):
        own = maps.tril() if causal else maps
        found = read(written(own, causal=causal), 2, 3, 5, causal=causal)
        assert (found - own).abs().max() < 0.0051


def test_the_file_is_small():
    data = (ROOT / PATH).read_bytes()
    assert len(gzip.compress(data)) < 100_000
