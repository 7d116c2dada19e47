"""What is written in low-rank.json is found again, in the part that takes seconds."""

import runpy
from pathlib import Path

import pytest
import torch

from attncourse.measure.experiment import measured
from attncourse.measure.protocol import inputs_of_the_model
from attncourse.mechanisms.low_rank.nystrom import segment_means

ROOT = Path(__file__).parents[2]
STUDY = runpy.run_path(str(ROOT / "bench" / "low_rank.py"))
FOUND = measured("low-rank").results


@pytest.mark.by_turns
def test_costs_and_errors_are_found_again():
    layers = FOUND["layers of errors"]
    inputs = [inputs_of_the_model(layer, tokens=FOUND["tokens"]) for layer in layers]
    for name, way in (("Nyström 16", "by_landmarks"), ("Linformer 16, segments", "pooled")):
        told, now = (
            FOUND["mechanisms"][name],
            STUDY["row"](lambda q, k, v, way=way: STUDY[way](q, k, v, r=16), 16, inputs),
        )
        assert now.pop("errors") == pytest.approx(told.pop("errors"), rel=0.02)
        assert now == told


def test_thin_projections_do_what_is_written():
    names, _ = STUDY["THIN"]["queries and keys"]
    found = STUDY["thin"](names, 128).perplexity(
        STUDY["prose"](), tokens=FOUND["thin weights tokens"]
    )
    assert found == pytest.approx(FOUND["thin weights"]["queries and keys"]["128"], rel=0.02)


def test_the_projection_of_segments_gives_their_means():
    x = torch.randn(2, 37, 8, generator=torch.Generator().manual_seed(0))
    one = torch.zeros(2, 5, 8)
    mixed = STUDY["pooled"](one, x, x, r=4)  # equal scores: the mean of the means
    expected = segment_means(x, 4).mean(dim=-2, keepdim=True)
    torch.testing.assert_close(mixed, expected.expand(2, 5, 8))


def test_the_best_map_is_the_map_at_full_rank_and_cut_it_is_causal():
    q, k, v = (torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    exact = STUDY["attention"](q, k, v, mask=STUDY["causal_mask"](12, 12))
    torch.testing.assert_close(STUDY["best"](q, k, v, r=12, causal=True), exact)
    later = v.clone()
    later[:, 7:] += 1
    for cut in (False, True):
        outs = [STUDY["best"](q, k, x, r=3, causal=True, cut=cut)[:, :7] for x in (v, later)]
        assert torch.allclose(*outs, atol=1e-6) == cut
