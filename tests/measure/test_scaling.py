"""What measured times say: exponents, prices, crossings, a choice; and the study that uses them."""

import doctest
import importlib
import math
import re
from pathlib import Path

import pytest
import torch

from attncourse.measure import scaling, study
from attncourse.measure.bench.files import read_report
from attncourse.measure.bench.session import measure
from attncourse.measure.experiment import measured
from attncourse.measure.scaling import (
    choose_mechanism,
    fit_cost,
    growth_exponent,
    predict_crossover,
)
from attncourse.models.pretrained.prose import prose
from attncourse.testing import gaussian

BENCH = Path(__file__).parents[2] / "bench"
WRITTEN = measured("scaling-study").results
REPORT = read_report(study.data_folder() / "cpu-scaling.json")


def test_the_examples_hold():
    failed, tried = doctest.testmod(scaling, extraglobs={"torch": torch})
    assert failed == 0
    assert tried >= 8


def test_a_factor_counts_the_same_at_every_length():
    lengths = torch.tensor([100.0, 200.0, 400.0], dtype=torch.float64)
    seconds = lengths**2 * torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64)
    assert growth_exponent(lengths, seconds).item() == pytest.approx(2.0)


def test_a_fixed_cost_lowers_the_exponent():
    lengths = torch.tensor([100.0, 200.0, 400.0], dtype=torch.float64)
    assert growth_exponent(lengths, lengths**2).item() == pytest.approx(2.0)
    assert growth_exponent(lengths, lengths**2 + 40_000).item() < 1.5


@pytest.mark.parametrize("lengths", [[512.0], [512.0, 512.0], [0.0, 1.0]])
def test_lengths_that_give_no_slope_are_refused(lengths):
    given = torch.tensor(lengths)
    says = f"lengths must be at least 2, all different and above 0: got {lengths}"
    with pytest.raises(ValueError, match=re.escape(says)):
        growth_exponent(given, torch.ones(len(lengths)))


def test_prices_make_relative_errors_small_and_not_absolute_ones():
    counts = torch.tensor([[1.0], [1.0], [1000.0]], dtype=torch.float64)
    seconds = torch.tensor([1.0, 1.0, 4000.0], dtype=torch.float64)
    price = fit_cost(counts, seconds).item()
    assert price == pytest.approx((1 + 1 + 0.25) / (1 + 1 + 0.25**2))

    def harm(price):
        return ((counts.squeeze() * price / seconds - 1) ** 2).sum().item()

    assert harm(price) < min(harm(price * 1.01), harm(price * 0.99))


def test_fewer_calls_than_kinds_are_refused():
    with pytest.raises(ValueError, match="a call for each kind of work: got 2 for 3"):
        fit_cost(torch.ones(2, 3), torch.ones(2))


def test_a_crossing_is_the_least_length():
    for fixed in (0.0, 1e-5, 1e-3):
        n = predict_crossover(2048, 131_072, 9e10, 3e10, fixed=fixed)

        def later(n, fixed=fixed):
            return fixed + 131_072 / 3e10 * n > 2048 / 9e10 * n**2

        assert not later(n)
        assert later(n - 1)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_numbers_that_cross_nothing_are_refused(place, value):
    given = [1.0, 1.0, 1.0, 1.0, 0.0]
    given[place] = value
    name = ("pair_flops", "token_flops", "pair_rate", "token_rate", "fixed")[place]
    rule = "at least 0" if place == 4 else "above 0"
    says = f"{name} must be {rule} and finite: got {name}={value}"
    with pytest.raises(ValueError, match=re.escape(says)):
        predict_crossover(*given[:4], fixed=given[4])


def at_length(cost, n):
    return cost[0] + cost[1] * n + cost[2] * n**2


def test_what_is_chosen_fits_and_is_the_fastest():
    rows = gaussian(6, 6, std=1.0).exp().tolist()
    offers = [(tuple(row[:3]), tuple(row[3:])) for row in rows]
    for n in (1, 5, 40):
        for memory in (1.0, 50.0, 1e4):
            fit = [i for i, (_, room) in enumerate(offers) if at_length(room, n) <= memory]
            chosen = choose_mechanism(n, memory, offers)
            least = min((at_length(offers[i][0], n) for i in fit), default=None)
            assert chosen == -1 if least is None else at_length(offers[chosen][0], n) == least


# The study


@pytest.fixture(scope="module")
def bench():
    """The script that counted and measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield importlib.import_module("scaling")


def test_times_are_ratios_within_a_round_times_one_clock():
    calls = study.calls_of(REPORT)
    for call in calls:
        base = next(c for c in calls if c.n == call.n and c.name == "all pairs")
        assert call.seconds / base.seconds == pytest.approx(call.ratio / base.ratio)
    assert base.ratio == 1


def test_every_forward_call_of_the_file_is_counted():
    counted = study.calls_of(REPORT, WRITTEN["counts"])
    assert len(counted) > 100 - 1
    for call in counted:
        operators, flops, moved = call.work
        assert min(operators, flops, moved) > 0
    with pytest.raises(ValueError, match="operators and bytes must be counted: got none for all"):
        _ = study.calls_of(REPORT)[0].work


@pytest.mark.parametrize("name", ["full", "linear", "block selection, 4 of 64", "delta rule"])
def test_counts_are_counted_again(bench, name):
    case = next(
        c for c in bench.scaling().cases if (c.mechanism, c.implementation) == (name, "attncourse")
    )
    operators, moved = bench.counted(case, 512)
    written = WRITTEN["counts"][case.name]["512"]
    assert [operators, moved] == pytest.approx(written, rel=0.02)  # what is chosen may differ


@pytest.mark.parametrize("name", ["blocks of 256", "window of 256", "linear"])
def test_what_reads_in_the_model_is_causal(bench, name):
    q, k, v = (
        torch.randn(2, 300, 64, generator=torch.Generator().manual_seed(i)) for i in range(3)
    )
    before = bench.READERS[name](q, k, v)
    k[:, -1], v[:, -1] = 3.0, 5.0
    after = bench.READERS[name](q, k, v)
    torch.testing.assert_close(after[:, :-1], before[:, :-1], atol=1e-5, rtol=1e-5)


def test_a_block_as_long_as_the_text_is_all_pairs(bench):
    q, k, v = (
        torch.randn(2, 200, 64, generator=torch.Generator().manual_seed(i)) for i in range(3)
    )
    torch.testing.assert_close(bench.blocks(q, k, v), bench.all_pairs(q, k, v))


def test_a_perplexity_is_found_again(bench):
    text = bench.TEXT.read_text(encoding="utf-8")
    model = bench.SmolLM.load(**bench.replaced(bench.READERS["blocks of 256"], bench.LAYERS))
    again = model.perplexity(model.encode(text)[:512])
    written = WRITTEN["prefill"]["512"]["blocks of 256"]["perplexity"]
    assert written == pytest.approx(again, rel=2e-3)
    assert prose() not in text  # the model is not judged on the text of the other chapters


def test_three_prices_foretell_most_unseen_lengths():
    calls = study.calls_of(REPORT, WRITTEN["counts"])
    lengths = sorted({call.n for call in calls})
    prices = fit_cost(*study.tables(c for c in calls if c.n in lengths[::2]))
    counts, seconds = study.tables(c for c in calls if c.n in lengths[1::2])
    factors = (counts @ prices / seconds).log().abs().exp()
    assert (prices > 0).all()
    assert (factors < 2).double().mean() > 0.75


# With a graphics card, or one that a CPU stands in for


def test_without_a_card_nothing_is_measured_again(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert study.measured_again(["linear"]) == []


def test_with_a_card_the_wanted_mechanisms_are_measured(monkeypatch):
    given = []

    def on_the_cpu(suites, command, *, device, quick):
        given.append((device, quick, suites[0].shapes[0].dtype))
        slow = [study.Suite(**(vars(s) | {"shapes": (study.Shape(h=2, d=8),)})) for s in suites]
        return measure(slow, command, device="cpu", quick=quick)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        study,
        "scaling",
        lambda device: importlib.import_module("attncourse.measure.bench.suites").scaling("cpu"),
    )
    monkeypatch.setattr(study, "measure", on_the_cpu)
    live = study.measured_again(["linear", "window 256"], lengths=[64, 128])
    assert given == [("cuda", True, torch.float16)]
    assert {call.name for call in live} == {"all pairs", "linear", "window 256"}
    assert {call.n for call in live} == {64, 128}
    assert all(call.seconds > 0 for call in live)


def test_the_page_draws_what_was_measured_again(monkeypatch):
    """The cell of the growth figure, with two live points more than without."""
    import matplotlib.pyplot as plt
    import nbformat

    page = nbformat.read(BENCH.parent / "book" / "scaling-study.ipynb", as_version=4)
    code = [cell.source for cell in page.cells if cell.cell_type == "code"]
    setup = next(source for source in code if "study = measured" in source)
    figure = next(source for source in code if "again = measured_again" in source)
    drawn = {}
    for card in (False, True):
        names = {}
        monkeypatch.setattr(plt, "show", lambda: None)
        exec(setup, names)
        calls = names["calls"]
        names["measured_again"] = lambda wanted, card=card, calls=calls: (
            [c for c in calls if c.name in wanted] if card else []
        )
        names["operator"] = 1e-5
        exec(figure, names)
        drawn[card] = [line.get_marker() for line in names["ax"].lines].count("*")
        plt.close("all")
    lengths = len({call.n for call in calls})
    assert drawn == {False: 0, True: 2 * lengths}
