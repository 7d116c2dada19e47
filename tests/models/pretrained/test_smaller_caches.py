"""Smaller caches in SmolLM2, and a real ring: what was written down is found again, in small."""

from functools import partial
from pathlib import Path

import pytest
import torch

from attncourse import (
    attention,
    causal_mask,
    dequantize,
    flops,
    largest_tensor,
    quantize_channels,
    quantize_int8,
    rotary,
    sliding_window_mask,
)
from attncourse.course.exercise import get
from attncourse.measure.bench.files import pick, read_report
from attncourse.measure.experiment import measured
from attncourse.measure.protocol import (
    error_against_exact,
    exact,
    inputs_of_the_model,
    perplexity_when_replaced,
)
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

DATA = Path(__file__).parents[3] / "book" / "data"


def in_bits(x, bits, dim=-1):
    largest = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dim=dim, keepdim=True) / largest
    return (x / scale).round() * scale


def by_rows(bits, q, k, v):
    return exact(q, in_bits(k, bits), in_bits(v, bits))


def by_channels(bits, q, k, v):
    groups = [in_bits(part, bits, dim=-2) for part in torch.split(k, 32, dim=-2)]
    return exact(q, torch.cat(groups, dim=-2), in_bits(v, bits))


@pytest.mark.by_turns
def test_four_bits_are_guessed_as_was_written_down():
    found = measured("serving").results
    again = perplexity_when_replaced(partial(by_channels, 4), tokens=found["tokens"])
    assert found["bits"]["4"]["channels"] == pytest.approx(again, rel=2e-3)


def test_what_was_written_down_says_what_the_chapter_says():
    found = measured("serving").results
    bits = found["bits"]
    for one, fewer in (("6", "4"), ("4", "3"), ("3", "2")):
        assert bits[fewer]["rows"] > bits[one]["rows"]
    assert (
        bits["8"]["rows"]
        == found["mechanisms"]["cache in 8 bits, a scale a row"]["perplexity"]["all"]
    )
    for fewer in ("4", "3", "2"):
        assert bits[fewer]["channels"] < bits[fewer]["rows"]
    assert found["positions"]["counted on"] < 0.3 * found["positions"]["number of tokens held"]


@pytest.mark.by_turns
def test_the_errors_of_a_layer_are_found_again():
    found = measured("serving").results
    place = found["layers of errors"].index(10)
    inputs = inputs_of_the_model(10, tokens=found["tokens"])
    for name, way in (("a scale a row", by_rows), ("keys by channel", by_channels)):
        written = found["mechanisms"][f"cache in 4 bits, {name}"]["errors"][place]
        assert error_against_exact(partial(way, 4), *inputs) == pytest.approx(written, abs=2e-3)


def test_eight_bits_by_the_library_are_eight_bits_here():
    x = torch.randn(3, 40, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dequantize(*quantize_int8(x)), in_bits(x, 8))
    torch.testing.assert_close(dequantize(*quantize_channels(x)), in_bits(x, 8, dim=-2))


def test_a_number_that_turns_round_ruins_a_short_text_too():
    broken = get("fix_quantize_int8").stub
    model = SmolLM.load(storage=lambda x: dequantize(*broken(x)))
    assert model.perplexity(prose(), tokens=48) > 5_000


def test_positions_that_stop_at_the_window_ruin_a_short_text_too():
    def mask(n, m):
        seen = sliding_window_mask(m, 24, causal=True)
        seen[:, 0] = True
        return (seen & causal_mask(m, m))[m - n :]

    def stopped(x, positions, *, base):
        return rotary(x, positions.clamp(max=24), base=base)

    right, wrong = (
        SmolLM.load(mask=mask, rotary=turn).perplexity(prose(), tokens=160)
        for turn in (rotary, stopped)
    )
    assert wrong > 1.5 * right


def test_the_ring_of_processes_shared_work_and_scores():
    found = measured("serving").results["ring"]
    whole = inputs_of_the_model(20, tokens=found["tokens"])
    assert found["flops"][0] == flops(attention, *whole)
    assert found["largest"][0] == largest_tensor(attention, *whole)
    assert found["flops"][1:] == [found["flops"][0] // 2] * 2
    sent = 4 * sum(x.numel() for x in whole[1:]) // found["processes"]
    assert found["bytes sent by each"] == sent * (found["processes"] - 1)


def test_clocks_and_ceilings_are_those_of_the_committed_measurement():
    report, found = read_report(DATA / "cpu-decode.json"), measured("serving").results
    assert found["ceilings"]["flops"] == pytest.approx(report.ceilings["float32"].flops, rel=5e-3)
    for name, ratios in found["clock"].items():
        rows = pick(report.rows, implementation="attncourse", mechanism=name)
        assert ratios == {str(row.n): round(row.ratio.median, 3) for row in rows}
