"""The kernels compile for cards that are not here: the interpreter alone would not tell.

A T4 (7.5), an A100 (8.0), an RTX 30 (8.6), an L4 or RTX 40 (8.9) and an H100 (9.0), each in its
half precision; float32 takes longer to compile, and `offline.py fp32` tells of it. What a program
may have of shared memory is in `launch.SHARED`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attncourse.kernels import launch
from attncourse.kernels.launch import SHARED, precision, tile_sizes
from attncourse.kernels.linear import chunk_length
from attncourse.measure.devices import devices

KERNELS = {"forward", "backward_queries", "backward_keys", "write", "read", "read, backwards"}
EVERY_TIME = [(75, "fp16", 64), (89, "bf16", 128), (90, "bf16", 64), (90, "bf16", 128)]
IN_TURN = [(75, "fp16", 128), (80, "bf16", 64), (80, "bf16", 128), (86, "bf16", 128)]
IN_TURN += [(86, "bf16", 64), (89, "bf16", 64)]
SPILLED = 512, 204  # bytes of a thread, before and from 8.0 on
CARDS = [*EVERY_TIME, *(pytest.param(each, marks=pytest.mark.by_turns) for each in IN_TURN)]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What offline.py prints for a card, from a process in which Triton does not interpret."""
    cache = tmp_path_factory.mktemp("triton")

    def lines(capability, dtype, width):
        environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
        environment["TRITON_CACHE_DIR"] = str(cache)
        script = Path(__file__).with_name("offline.py")
        done = subprocess.run(
            [sys.executable, str(script), str(capability), dtype, str(width), "--json"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return lines


@pytest.mark.parametrize("card", CARDS, ids=str)
def test_every_kernel_compiles_and_fits_into_the_card(compiled, card):
    capability = card[0]
    found = compiled(*card)
    assert {line["kernel"] for line in found} == KERNELS
    assert {(line["capability"], line["dtype"], line["width"]) for line in found} == {card}
    over = {line["kernel"]: line["shared"] for line in found if line["shared"] > SHARED[capability]}
    assert over == {}, "more shared memory than there is"
    most = SPILLED[capability >= 80]
    spilled = {line["kernel"]: line["spilled"] for line in found if line["spilled"] > most}
    assert spilled == {}, "too many registers are kept in memory"
    on_tensor_cores = {line["kernel"] for line in found if line["tensor_cores"]}
    assert on_tensor_cores == (KERNELS if capability >= 80 else set())


def test_the_limits_are_those_of_the_cards_less_what_the_system_keeps():
    """From 8.0 on the system keeps 1 KiB of a processor's shared memory for each program."""
    for card in devices().values():
        if card.vendor == "NVIDIA":
            capability = int(card.capability.replace(".", ""))
            kept = 1024 if capability >= 80 else 0
            assert SHARED[capability] == card.shared - kept, card.name


def sizes(monkeypatch, dtype, width, capability, **options):
    monkeypatch.setattr(launch, "interpreting", lambda: False)
    x = torch.empty(1, 1, width, dtype=dtype, device="meta")
    return tile_sizes(x, x, capability, **options)


def test_tiles_are_chosen_by_the_card(monkeypatch):
    wide = {c: sizes(monkeypatch, torch.bfloat16, 128, c) for c in (75, 80, 89, 90)}
    assert {c: each.stages for c, each in wide.items()} == {75: 1, 80: 3, 89: 2, 90: 3}
    assert (wide[75].rows, wide[75].keys) == (32, 32)
    assert sizes(monkeypatch, torch.bfloat16, 64, 89).stages == 3
    assert sizes(monkeypatch, torch.float32, 128, 86).stages == 1


def test_a_card_that_nobody_has_listed_gets_tiles_that_fit_everywhere(monkeypatch):
    listed, unlisted = (sizes(monkeypatch, torch.float16, 128, c) for c in (89, 121))
    assert listed == unlisted


def test_float32_is_multiplied_exactly_where_there_is_no_tf32():
    x = torch.empty(1)
    assert [precision(x, c) for c in (75, 80, 90)] == ["ieee", "tf32x3", "tf32x3"]


def test_chunks_are_shorter_where_registers_would_spill(monkeypatch):
    monkeypatch.setattr("attncourse.kernels.linear.interpreting", lambda: False)
    half, exact = (torch.empty(1, 1, 128, dtype=d) for d in (torch.float16, torch.float32))
    assert [chunk_length(half, c) for c in (75, 80, 90)] == [16, 128, 128]
    assert [chunk_length(exact, c) for c in (75, 80, 90)] == [16, 32, 64]
