"""SmolLM2 under a machine's ceilings: its work is that of the model, its floors one's own."""

import pytest
import torch

from attncourse import SmolLM, flops, median_seconds, roofline_seconds
from attncourse.measure import placing
from attncourse.measure.placing import place, smollm_work, timed_smollm
from attncourse.models.past import Past
from attncourse.models.pretrained.prose import prose

pytest.importorskip("gguf")


def test_the_work_is_what_the_model_does():
    model = SmolLM.load()
    ids = model.encode(prose())
    assert smollm_work(9).flops == flops(model.logits, ids[:9])
    past = Past(30)
    model.logits(ids[:9], past=past)
    assert smollm_work(2, 9).flops == flops(model.logits, ids[9:11], past=past)


def test_every_weight_moves_once_and_every_cached_number():
    weights = sum(x.numel() for name, x in SmolLM.load().tensors.items() if "norm" not in name)
    counted = smollm_work(1, 99, bytes_per_element=2).moved_bytes
    assert counted == pytest.approx(2 * weights + 2 * 2 * 30 * 3 * 64 * 100, rel=1e-3)


def test_a_step_is_timed_as_often_as_asked_for():
    assert len(timed_smollm(3, rounds=2)) == 2
    assert all(seconds > 0 for seconds in timed_smollm(1, 3, rounds=3))


def test_ones_own_functions_say_how_many_floors_a_step_takes(capsys, monkeypatch):
    monkeypatch.setattr(placing, "timed_smollm", lambda *args, rounds: [2.0] * rounds)
    place(roofline_seconds, median_seconds, steps={"writes": (1, 4)}, rounds=2)
    said = capsys.readouterr().out
    assert said.startswith("writes                 0.5 FLOPs a byte, ")
    assert said.endswith(" times its floor\n")
    place(lambda *work: 5.0, median_seconds, steps={"writes": (1, 4)}, rounds=2)
    assert "below its floor: impossible. Look at your functions." in capsys.readouterr().out


def test_four_calls_are_placed_on_the_cpu(monkeypatch):
    monkeypatch.setattr(placing, "measured_ceilings", lambda **_: placing.Ceilings(1e12, 1e11))
    torch.set_num_threads(1)
    _, points = placing.live_points(rounds=1)
    assert list(points) == ["matrix product", "matrix times vector", "attention", "one query"]
    intensity = {name: work / moved for name, (work, moved, _) in points.items()}
    assert intensity["matrix product"] > 100 > 1 > intensity["one query"]
    assert intensity["matrix times vector"] == pytest.approx(0.5, rel=1e-3)
    assert all(seconds > 0 for *_, seconds in points.values())
