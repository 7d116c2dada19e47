"""bench/sharing.py in small: what it says of SmolLM2 comes out again, on shorter texts."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from attncourse.measure.experiment import measured
from attncourse.measure.protocol import error_against_exact, inputs_of_the_model, random_inputs
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.testing import assert_same

pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
    try:
        import sharing
    finally:
        sys.path.pop(0)
    return sharing


def test_the_file_has_what_a_comparison_reads():
    mechanisms = measured("sharing-and-fusion").results["mechanisms"]
    for row in mechanisms.values():
        assert {"size", "cache", "flops", "largest", "exponents", "cheaper_from"} <= row.keys()
        assert row["errors"] or row["why"]
        assert list(row["perplexity"]) == ["all", "upper half", "every second"]
        assert row["exponents"]["flops"] in (1.02, 2.0)


def test_gates_of_logsumexp_are_exact_and_others_are_not(study):
    inputs = [x[None].double() for x in random_inputs(40, 8)]
    assert error_against_exact(partial(study.halves, gate="logsumexp"), *inputs) < 1e-9
    assert error_against_exact(partial(study.halves, gate="even"), *inputs) > 0.05


def test_segments_are_attention_under_their_mask(study):
    inputs = [x[None].double() for x in random_inputs(40, 8)]
    for memory in (0, 5, 16):
        mask = study.segments_mask(40, 16, memory)
        found = study.in_segments(*inputs, segment=16, memory=memory)
        assert_same(found, study.under(mask, *inputs))


def test_what_heals_has_not_read_what_is_asked(study):
    asked, read = prose(), study.other_prose()
    assert len(read) > 40_000
    assert not any(asked[i : i + 25] in read for i in range(0, len(asked) - 24))


def test_a_layer_comes_nearer_to_what_it_said(study):
    model = SmolLM.load()
    ids = model.encode(study.other_prose())[: 4 * 64]
    x = model.states(ids)[10].unflatten(0, (4, 64))
    matrices = [model.tensors[f"10.{name}"] for name in "qkvo"]
    base = model.sizes.base
    x = x / x.square().mean(-1, keepdim=True).sqrt() * model.tensors["10.norm_1"]
    target = study.attended(x, matrices, 3, base)
    w_q, w_k, w_v, w_o = matrices
    merged = [w_q, *(torch.unflatten(w, 0, (3, -1)).mean(dim=0) for w in (w_k, w_v)), w_o]
    fits = study.fitted(x, target, merged, base=base, steps=15)
    errors = [(study.attended(x, w, 1, base) - target).norm() for w in (merged, fits)]
    assert errors[1] < 0.85 * errors[0]


def test_one_head_for_three_ruins_a_layer(study):
    inputs = inputs_of_the_model(10, tokens=48)
    merged = partial(study.alone, grouped=study.one_head())
    assert error_against_exact(merged, *inputs) > 0.3


@pytest.mark.by_turns
def test_the_counts_are_those_of_the_file(study, monkeypatch):
    monkeypatch.setattr(study, "LAYERS_OF_ERRORS", (0,))
    monkeypatch.setattr(study, "cost_exponent", lambda *a, **k: 2.0)
    monkeypatch.setattr(study, "cheaper_from", lambda *a: None)
    told = measured("sharing-and-fusion").results["mechanisms"]
    for name, found in study.costs().items():
        assert found["flops"] == told[name]["flops"]
        assert found["largest"] == told[name]["largest"]
