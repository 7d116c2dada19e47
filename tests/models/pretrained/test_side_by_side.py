"""Every mechanism under one protocol: what was written down is found again, in part."""

import importlib
from pathlib import Path

import pytest
import torch

from attncourse.course.contents import CHAPTERS
from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.experiment import measured
from attncourse.measure.protocol import (
    LAYERS,
    inputs_of_the_model,
    perplexity_when_replaced,
    random_inputs,
)

BENCH = Path(__file__).parents[3] / "bench"
WRITTEN = measured("side-by-side").results
NAMES = list(WRITTEN["mechanisms"])


@pytest.fixture(scope="module")
def bench():
    """The script that wrote it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield importlib.import_module("side_by_side")


def test_all_are_written_down_with_the_chapter_that_treats_them(bench):
    entries = bench.entries()
    assert list(entries) == NAMES
    for name, entry in entries.items():
        assert entry.chapter in CHAPTERS
        assert WRITTEN["mechanisms"][name]["chapter"] == entry.chapter
        assert (entry.acts is None) == bool(entry.why) == WRITTEN["mechanisms"][name]["both ways"]


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_counted_again(bench, name):
    entry, inputs = bench.entries()[name], random_inputs(WRITTEN["tokens"], 64)
    assert WRITTEN["mechanisms"][name]["flops"] == flops(entry.counted, *inputs)
    assert WRITTEN["mechanisms"][name]["largest"] == largest_tensor(entry.counted, *inputs)
    assert WRITTEN["mechanisms"][name]["faster from"] == bench.faster_from(entry.clock)


@pytest.mark.parametrize("name", [n for n in NAMES if not WRITTEN["mechanisms"][n]["both ways"]])
def test_what_stands_in_for_attention_sees_no_future(bench, name):
    entry = bench.entries(320)[name]
    q, k, v = torch.randn(3, 2, 320, 64, generator=torch.Generator().manual_seed(0)).unbind()
    before = entry.acts(q, k, v)
    k[:, -1], v[:, -1] = 3.0, 5.0
    torch.testing.assert_close(entry.acts(q, k, v)[:, :-1], before[:, :-1], atol=1e-5, rtol=1e-5)


@pytest.mark.by_turns
@pytest.mark.parametrize("name", ["window of 128", "top 32", "4 blocks of 32", "linear"])
def test_errors_are_found_again(bench, name):
    layer = WRITTEN["layers of errors"].index(10)
    again = bench.error(bench.entries()[name], inputs_of_the_model(10, tokens=WRITTEN["tokens"]))
    assert WRITTEN["mechanisms"][name]["errors"][layer] == pytest.approx(again, abs=2e-3)


@pytest.mark.by_turns
def test_a_perplexity_is_found_again(bench):
    acts = bench.entries()["blocks of 256"].acts
    again = perplexity_when_replaced(acts, LAYERS["upper half"], tokens=WRITTEN["tokens"])
    written = WRITTEN["mechanisms"]["blocks of 256"]["perplexity"]["upper half"]
    assert written == pytest.approx(again, rel=1e-3)
