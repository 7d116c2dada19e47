"""The clinic's patients in SmolLM2: what was written down is found again, in small."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from attncourse.course.exercise import get
from attncourse.measure.experiment import measured
from attncourse.models.pretrained.generation import NoNumbersError
from attncourse.models.pretrained.smollm import SmolLM

SCRIPT = spec_from_file_location("clinic", Path(__file__).parents[3] / "bench" / "clinic.py")
clinic = module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(clinic)


def found(name):
    return measured("clinic").results["patients"][name]


@pytest.mark.parametrize("name", ["healthy", "fix_local_mask", "fix_linear_formula"])
def test_a_patient_begins_as_was_written_down(name):
    model = SmolLM.load(attention=clinic.PATIENTS[name])
    began = model.generate(clinic.PROMPT, 3, cached=False)
    assert found(name)["words"].startswith(began)


@pytest.mark.parametrize("name", ["fix_joined_heads", "fix_weight_formula"])
def test_a_patient_repeats_itself(name):
    words = found(name)["words"]
    assert max(words.count(word) for word in (" converse", "opedic")) > 10


def test_the_dice_leave_no_words():
    model = SmolLM.load(attention=clinic.PATIENTS["fix_random_sparse"])
    assert found("fix_random_sparse")["words"] is None
    with pytest.raises(NoNumbersError):
        model.generate(clinic.PROMPT, 1, cached=False)


def test_the_window_in_the_model_is_the_stub_of_the_exercise():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(9, 12, 64, generator=generator) for _ in range(3))
    mask = torch.ones(12, 12, dtype=torch.bool).tril()
    ours = clinic.PATIENTS["fix_local_mask"](q, k, v, mask=mask)
    expected = get("fix_local_mask").stub(q, k, v, window=clinic.WINDOW, causal=True)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["fix_batch_axis", "fix_weight_formula", "fix_linear_formula"])
def test_a_patient_in_the_model_is_the_stub_where_nothing_is_hidden(name):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 7, 8, generator=generator) for _ in range(3))
    ours = clinic.PATIENTS[name](q, k, v, mask=torch.ones(7, 7, dtype=torch.bool))
    torch.testing.assert_close(ours, get(name).stub(q, k, v))


def test_the_healthy_model_guesses_best():
    patients = measured("clinic").results["patients"]
    guesses = {name: told["perplexity"] for name, told in patients.items() if told["perplexity"]}
    assert min(guesses, key=guesses.get) == "healthy"
    assert guesses["fix_local_mask"] > 2 * guesses["healthy"]


def test_the_share_of_empty_rows_is_what_the_formula_says():
    for kept, share in measured("clinic").results["empty rows"].items():
        assert share == clinic.empty_rows(float(kept), clinic.KEYS, clinic.DRAWS)
        assert share == pytest.approx((1 - float(kept)) ** clinic.KEYS, abs=0.02)
