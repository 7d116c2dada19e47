"""Cards that are not at hand: what their file must have, and times predicted, by hand."""

import doctest
import json
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse import attention, devices, predicted, work_of
from attncourse.measure import devices as cards
from attncourse.measure import prediction
from attncourse.measure.bench.files import device_files
from attncourse.measure.prediction import STYLE, Prediction, Work

ASKED = ("T4", "L4", "A100 40 GB", "A100 80 GB", "H100", "H200", "MI300X", "RTX 4090")


def test_the_cards_that_readers_have_are_there():
    assert set(ASKED) == set(devices())


@pytest.mark.parametrize("name", ASKED)
def test_a_card_is_whole_and_of_a_plausible_size(name):
    card = devices()[name]
    assert set(card.flops) == {"fp32", "tf32", "fp16", "bf16"}
    assert all(peak is None or 1e12 < peak < 1e16 for peak in card.flops.values())
    assert 1e11 < card.bandwidth < 1e13
    assert 1e9 < card.memory < 1e12
    assert 2**20 < card.l2 < 2**30
    assert 2**15 < card.shared < 2**19
    assert card.names
    assert card.processors > 1
    assert all(source.startswith("https://") for source in card.sources)
    vendors = {"NVIDIA": "nvidia.com/", "AMD": "amd.com/"}
    assert all(vendors[card.vendor] in source for source in card.sources)


@pytest.mark.parametrize("name", ASKED)
def test_half_precision_is_not_the_number_with_sparsity(name):
    """A dense tensor core is at most 8 times as fast as a card's own fp32, or twice tf32."""
    flops = devices()[name].flops
    assert flops["bf16"] in (None, flops["fp16"])
    if flops["tf32"] is not None:
        assert flops["fp16"] / flops["tf32"] == pytest.approx(2, rel=0.02)


def test_a_t4_has_neither_bfloat16_nor_tf32():
    card = devices()["T4"]
    assert card.half == torch.float16
    assert devices()["L4"].half == torch.bfloat16
    with pytest.raises(ValueError, match="one of fp32, fp16 on T4: got bf16") as caught:
        predicted(Work(1, 1), card, torch.bfloat16)
    assert str(caught.value) == "dtype must be one of fp32, fp16 on T4: got bf16"


def test_arithmetic_bounds_attention_over_all_pairs_by_hand():
    """8 heads of 64, n = 4096, fp16: 4 * 8 * 4096^2 * 64 = 3.436e10 FLOPs in 16 MiB moved."""
    x = torch.empty(8, 4096, 64, dtype=torch.float16, device="meta")
    work = work_of(attention, x, x, x)
    assert work == Work(34359738368, 4 * 8 * 4096 * 64 * 2)
    found = predicted(work, "T4", torch.float16)
    assert found.seconds == pytest.approx(34359738368 / 65e12)  # 529 us; the bytes take 52 us
    assert found.bound == "arithmetic"
    assert work.intensity == 2048  # n / 2


def test_bandwidth_bounds_one_query_by_hand():
    """One query, 8192 cached keys of 64 in bf16: keys and values are 2 * 8192 * 128 bytes."""
    q = torch.empty(1, 64, dtype=torch.bfloat16, device="meta")
    k = torch.empty(8192, 64, dtype=torch.bfloat16, device="meta")
    work = work_of(attention, q, k, k)
    assert work == Work(4 * 8192 * 64, 2 * 8192 * 128 + 2 * 128)
    found = predicted(work, "A100 80 GB", "bf16")
    assert found.seconds == pytest.approx((2 * 8192 * 128 + 256) / 2039e9)
    assert found.bound == "bandwidth"


def test_tf32_and_fp32_have_rates_of_their_own():
    work = Work(10**15, 1)
    rates = [predicted(work, "A100 40 GB", dtype).seconds for dtype in ("fp32", "tf32", "fp16")]
    assert rates == pytest.approx([1e15 / 19.5e12, 1e15 / 156e12, 1e15 / 312e12])
    assert predicted(work, "A100 40 GB", torch.float32) == predicted(work, "A100 40 GB", "fp32")


def test_where_both_take_as_long_the_transfer_is_named():
    assert predicted(Work(65 * 10**9, 32 * 10**7), "T4", "fp16").bound == "bandwidth"


def test_a_fused_form_and_a_plain_one_must_move_the_same():
    x = torch.ones(2, 4, 33, 8)
    assert work_of(scaled_dot_product_attention, x, x, x) == work_of(attention, x, x, x)


def test_layers_add_up():
    assert Work(3, 5) * 30 == Work(90, 150)


def test_a_prediction_is_no_number_and_says_what_it_is():
    found = predicted(Work(10**12, 10**9), "H100", "bf16")
    assert found.label == "H100, predicted"
    assert str(found) == "predicted for H100, bf16: 0.00101 s, by arithmetic"
    assert STYLE["marker"] == "D"
    assert STYLE["markerfacecolor"] == "none"
    with pytest.raises(TypeError):
        float(found)
    with pytest.raises(TypeError):
        found < 1.0  # noqa: B015
    with pytest.raises(TypeError):
        found + 1.0
    with pytest.raises(TypeError):
        json.dumps(found)
    assert isinstance(found, Prediction)


@pytest.mark.parametrize(
    ("said", "is_called"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("nvidia h100 80gb hbm3", "H100"),
        ("AMD Instinct MI300X", "MI300X"),
        ("H200", "H200"),
    ],
)
def test_a_card_is_known_by_what_pytorch_calls_it(said, is_called):
    assert cards.named(said) == devices()[is_called]


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("NVIDIA A100-PCIE-40GB", "; the nearest, A100 40 GB, is another card"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "; the nearest, RTX 4090, is another card"),
        ("Apple M3", ""),
    ],
)
def test_a_card_that_is_merely_alike_is_not_taken_for_it(said, near):
    with pytest.raises(ValueError, match="must be in data") as caught:
        cards.named(said)
    assert str(caught.value) == (
        f"a card must be in data/devices.yml for its ceilings to be known: got {said}{near}; "
        "`attncourse bench --suite roofline` measures them"
    )


def test_a_format_that_no_card_has_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of") as caught:
        predicted(Work(1, 1), "T4", torch.float64)
    assert str(caught.value) == (
        "dtype must be one of fp32, tf32, fp16, bf16, float32, float16, bfloat16: got float64"
    )


def test_without_the_file_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(cards, "FILE", "nowhere.yml")
    cards.devices.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"there is no file data/nowhere\.yml"):
        cards.devices()
    cards.devices.cache_clear()


def test_a_card_of_ones_own_is_predicted_for_as_well():
    mine = replace(devices()["T4"], name="mine", bandwidth=1e9)
    assert predicted(Work(0, 10**9), mine, "fp16").seconds == 1.0


@pytest.mark.parametrize("module", [cards, prediction])
def test_the_examples_hold(module):
    known = {"attention": attention, "torch": torch, **vars(module)}
    assert doctest.testmod(module, extraglobs=known).failed == 0


def test_device_files_come_by_kind_and_name(tmp_path):
    for name in ("cpu-a.json", "cuda-t4-a.json", "cuda-a.json", "heads.json", "mps-a.json"):
        (tmp_path / name).touch()
    found = [path.name for path in device_files(tmp_path)]
    assert found == ["cuda-a.json", "cuda-t4-a.json", "mps-a.json", "cpu-a.json"]
