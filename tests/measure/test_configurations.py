"""Sizes of real models: their formulas are what is counted."""

from pathlib import Path

import pytest
import torch

from attncourse.measure.analytic import attention_flops, crossover_length
from attncourse.measure.configurations import CONFIGURATIONS
from attncourse.measure.cost import flops
from attncourse.mechanisms.dense.heads import multi_head_attention
from attncourse.models.encoder import Encoder, EncoderConfig
from attncourse.models.pretrained.smollm import SmolLM

SMOL, BERT, GPT3 = (CONFIGURATIONS[name] for name in ("SmolLM2-135M", "BERT-base", "GPT-3"))
every = pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=list(CONFIGURATIONS))


@pytest.mark.parametrize("n", [7, 20])
def test_a_forward_pass_of_smollm_costs_what_the_formula_says(n):
    assert flops(SmolLM.load().logits, torch.arange(n)) == SMOL.model_flops(n)


def test_the_sizes_of_smollm_are_those_of_its_file():
    sizes = SmolLM.load().sizes
    assert (SMOL.layers, SMOL.h, SMOL.g) == (sizes.layers, sizes.h, sizes.g)
    assert SmolLM.load().tensors["table"].shape == (SMOL.vocabulary, SMOL.d)
    assert SmolLM.load().tensors["0.gate"].shape == (SMOL.d_ff, SMOL.d)


def test_a_layer_of_bert_costs_what_the_formula_says_and_has_its_parameters():
    sizes = {"d": BERT.d, "h": BERT.h, "d_ff": BERT.d_ff, "layers": BERT.layers}
    with torch.device("meta"):
        model = Encoder(EncoderConfig(vocabulary=BERT.vocabulary, length=BERT.length, **sizes))
        assert flops(model.blocks[0], torch.empty(9, BERT.d)) == sum(BERT.layer_flops(9).values())
    assert sum(p.numel() for p in model.parameters()) == 109_482_240
    matrices = [p.numel() for p in model.blocks[0].parameters() if p.ndim == 2]
    assert sum(BERT.layer_parameters().values()) == sum(matrices)


def test_the_attention_of_gpt_3_costs_what_the_formula_says():
    x, w = torch.empty(64, GPT3.d, device="meta"), torch.empty(GPT3.d, GPT3.d, device="meta")
    counted = flops(multi_head_attention, x, x, w, w, w, w, h=GPT3.h)
    ours = GPT3.layer_flops(64)
    assert ours["projections"] + ours["pairs"] == counted == attention_flops(64, GPT3.d)


@every
@pytest.mark.parametrize("parts", [("projections",), ("projections", "network")])
def test_pairs_overtake_at_the_length_that_is_told(config, parts):
    n = config.overtakes(*parts)
    before, at = config.layer_flops(n - 1), config.layer_flops(n)
    assert before["pairs"] < sum(before[part] for part in parts)
    assert at["pairs"] >= sum(at[part] for part in parts)


@every
def test_with_as_many_groups_as_heads_they_overtake_the_projections_at_2_d(config):
    plain = config.g == config.h and config.h * config.d_head == config.d
    assert (config.overtakes("projections") == crossover_length(config.d)) == plain


@every
def test_its_source_is_among_the_references(config):
    text = (Path(__file__).parents[2] / "book" / "references.bib").read_text(encoding="utf-8")
    assert f"{{{config.source}," in text


@every
def test_heads_fill_the_width_and_share_keys_evenly(config):
    assert config.h * config.d_head == config.d
    assert config.h % config.g == 0


def test_the_caches_that_are_known_by_heart():
    assert CONFIGURATIONS["Llama-2-7B"].cache_bytes(4096) == 2 * 2**30
    assert CONFIGURATIONS["Llama-2-70B"].cache_bytes(4096) == 1.25 * 2**30
    assert CONFIGURATIONS["Mistral-7B"].cache_bytes(1) == 128 * 1024
    assert CONFIGURATIONS["GPT-3"].cache_bytes(2048, bytes_per_element=4) == 18 * 2**30


def test_the_parameters_of_the_layers_are_nearly_all_of_the_model():
    billions = {"GPT-3": 175, "Llama-2-7B": 6.7, "Llama-2-70B": 69, "Mistral-7B": 7.2}
    for name, about in billions.items():
        config = CONFIGURATIONS[name]
        counted = config.layers * sum(config.layer_parameters().values())
        assert counted / 1e9 == pytest.approx(about, rel=0.06)
