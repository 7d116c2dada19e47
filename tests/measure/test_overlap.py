"""BLEU and ROUGE-L beside the packages that everyone reports, whose numbers were written down."""

import json
from pathlib import Path

import pytest

from attncourse import bleu, rouge_l
from attncourse.course.exercise import get

PINS = json.loads(Path(__file__).with_name("overlap.json").read_text(encoding="utf-8"))["texts"]


@pytest.mark.parametrize("pin", PINS, ids=[pin["candidate"][:30] for pin in PINS])
def test_they_equal_sacrebleu_and_rouge_score(pin):
    candidate, references = (
        pin["candidate"].split(),
        [reference.split() for reference in pin["references"]],
    )
    assert bleu(candidate, references) == pytest.approx(pin["bleu"], abs=1e-9)
    assert rouge_l(candidate, references[0]) == pytest.approx(pin["rouge_l"], abs=1e-9)


def test_the_pins_are_not_all_of_one_kind():
    assert sum(pin["bleu"] > 0 for pin in PINS) > 20
    assert any(pin["bleu"] == 0 for pin in PINS)
    assert any(len(pin["references"]) > 1 for pin in PINS)


@pytest.mark.parametrize("name", ["bleu", "rouge_l"])
def test_right_answers_of_the_exercise_equal_them_too(name):
    for answer in get(name).right.values():
        for pin in PINS:
            candidate, references = (
                pin["candidate"].split(),
                [reference.split() for reference in pin["references"]],
            )
            found = answer(candidate, references if name == "bleu" else references[0])
            assert found == pytest.approx(pin[name], abs=1e-9)


def test_a_text_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="bleu needs at least one reference: got none"):
        bleu(["a"], [])
