"""What was written down of copying heads, needles, windows and twins is found again, in small."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from attncourse import MiniLM, SmolLM, ablate_heads
from attncourse.measure.experiment import measured
from attncourse.measure.needle import DIGITS, codes, haystack, recalled
from attncourse.measure.twins import TWINS, both_right, by_head, by_likelihood

SCRIPT = spec_from_file_location(
    "evaluation", Path(__file__).parents[2] / "bench" / "evaluation.py"
)
evaluation = module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(evaluation)


@pytest.fixture(scope="module")
def found():
    return measured("evaluation-and-interpretability").results


@pytest.fixture(scope="module")
def model():
    return SmolLM.load()


def test_twins_differ_in_one_word_and_name_both_nouns():
    for twins in TWINS:
        one, other = (text.split() for text in twins.texts())
        assert sum(a != b for a, b in zip(one, other, strict=True)) == 1
        assert one.count("it") == 1
        assert all(noun in one for noun in twins.nouns)


def test_what_the_head_says_of_twins_is_found_again(found):
    assert [list(x) for x in both_right(by_head(MiniLM.load(), 3, 1))] == found["twins"]["head"]


def test_what_is_likelier_is_found_again_for_the_first_pair(found, model):
    first = by_likelihood(model)
    one, other = (first(TWINS[0], text) for text in TWINS[0].texts())
    assert [one, not other] == found["twins"]["likelihood"][0]


def test_the_scores_of_heads_are_near_those_of_one_text(found, model):
    written = torch.tensor(found["induction"]["scores"])
    again = evaluation.scores(model, draws=1)
    assert (again - written).abs().max() < 0.25
    best = [tuple(pair) for pair in found["induction"]["best"]]
    assert all(written[pair] >= written.flatten().sort().values[-len(best)] for pair in best)
    assert min(again[pair] for pair in best) > 5 * again.mean()


def test_without_the_copying_heads_a_second_copy_is_not_guessed(found):
    best = [tuple(pair) for pair in found["induction"]["best"]]
    whole, without = evaluation.copying([], draws=1), evaluation.copying(best, draws=1)
    assert whole["second"] + 2 < without["second"]
    assert without["prose"] == pytest.approx(
        found["induction"]["without the best"]["prose"], abs=2e-3
    )


def test_a_needle_stands_where_it_is_said_to(model):
    hay = list(range(1000, 1040))
    ids = haystack(model, hay, "4719", back=12)
    question = model.encode(" The code of the suitcase is")
    fact = model.encode(" The code of the suitcase is 4719.")
    assert ids[28 : 28 + len(fact)] == fact
    assert ids[28 + len(fact) : 28 + len(fact) + 12] == hay[28:]
    assert ids[-len(question) - DIGITS - 1 :][: len(question)] == question
    assert model.decode(ids[-DIGITS:]) == "4719"


def test_codes_are_four_different_digits():
    assert all(len(set(code)) == DIGITS for code in codes(20))
    assert codes(3, seed=1) != codes(3)


def test_a_needle_is_found_in_a_short_text_and_not_behind_a_window(found, model):
    hay = model.encode("The baker opens his shop before the sun is up. " * 6)[:48]
    texts = [haystack(model, hay, code, back=40) for code in codes(2)]
    assert recalled(model, texts) > 0.9

    def short(n, m):
        apart = torch.arange(m - n, m)[:, None] - torch.arange(m)
        return (apart >= 0) & ((apart < 16) | (torch.arange(m) < 4))

    assert recalled(SmolLM.load(mask=short), texts) < 0.5


def test_what_is_left_of_the_perplexity_is_what_other_chapters_say(found):
    rows = found["needle"]
    assert rows["as it is"]["perplexity"] == pytest.approx(54.03, abs=0.05)
    assert rows["window 128"]["perplexity"] == pytest.approx(103.1, abs=0.5)
    assert rows["window 128 and first 4"]["perplexity"] == pytest.approx(60.0, abs=0.3)
    assert rows["8 best keys"]["perplexity"] == pytest.approx(76.2, abs=0.2)


def test_the_window_has_the_better_perplexity_and_loses_the_needle(found):
    window, best = found["needle"]["window 128 and first 4"], found["needle"]["8 best keys"]
    assert window["perplexity"] < best["perplexity"]
    assert max(window["recalled"][back] for back in ("192", "320")) == 0
    assert min(best["recalled"].values()) > 0.8
    copying, others = found["needle"]["10 copying heads out"], found["needle"]["10 others out"]
    assert copying["perplexity"] < others["perplexity"]
    assert max(copying["recalled"].values()) == 0 < min(others["recalled"].values())


def test_windows_are_read_as_was_written_down(found, model):
    read = found["windows"]["read"]
    ids = torch.tensor(model.encode(evaluation.prose())[:read])
    again = -evaluation.losses(model, ids)
    written = torch.tensor(found["windows"]["log_p"][0][1:])
    assert (again - written).abs().max() < 2e-2
    assert written.mean().item() == pytest.approx(again.mean().item(), abs=1e-3)


def test_the_masks_of_the_windows():
    plain, kept = evaluation.windowed(2, 300), evaluation.windowed(2, 300, kept=4)
    assert plain.sum(dim=-1).tolist() == [128, 128]
    assert (kept & ~plain).sum(dim=-1).tolist() == [4, 4]


def test_heads_are_counted_from_zero():
    with pytest.raises(ValueError, match="heads are counted from 0 to h - 1: got 3 for h=3"):
        ablate_heads(torch.zeros(3, 1, 2), [0, 3])
    with pytest.raises(ValueError, match="heads are counted from 0 to h - 1: got -1 for h=3"):
        ablate_heads(torch.zeros(3, 1, 2), [-1])


def test_agreement_and_meaning_are_found_again_for_three_sentences(found):
    for name, numbers in evaluation.agreement(3).items():
        assert numbers == pytest.approx(found["agreement"][name][:3], abs=0.03)
    for again, written in zip(evaluation.meaning(3), found["meaning"], strict=True):
        assert again == pytest.approx(written[:3], abs=0.03)


def test_a_table_of_words_agrees_as_well_as_weights(found):
    weights, table = (found["agreement"][name] for name in ("weights", "no layer"))
    assert len(weights) == len(table) == 100
    assert sum(a >= b for a, b in zip(table, weights, strict=True)) > 45


def test_the_freedom_of_a_layer_is_found_again(found):
    again = evaluation.freedom(range(3, 4))
    for one, written in zip(again, found["freedom"][36:48], strict=True):
        assert one[:2] == pytest.approx(written[:2], rel=0.02, abs=0.02)
    assert found["freedom"][37][2] == 0  # the head that looks at the trophy
