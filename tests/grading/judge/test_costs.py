"""Costs by record and repetition: the same counts as inline, and no record is believed."""

from pathlib import Path

import pytest
import torch

from attncourse.grading.judge import counting
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.costs import changed
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.submission import Cell, Submission
from attncourse.grading.judge.worker import Worker
from attncourse.measure.cost import flops, operators
from attncourse.testing import attention_inputs


def test_inputs_are_changed_a_little_and_never_the_same_way():
    x = torch.ones(100, dtype=torch.float64)
    mask = torch.tensor([True, False])
    (a, kept), (b, _) = changed((x, mask)), changed((x, mask))
    assert kept is mask
    assert 0.001 < (a - x).abs().mean() < 0.1
    assert not torch.equal(a, b)


HONEST = "import torch\ndef weights(q, k):\n    return (q @ k.mT).softmax(-1)\n"


@pytest.fixture
def costs(zygote):
    """The outcome of a cost of a function that a submission holds."""

    def counted(source, probe="flops", *args):
        submission = Submission(Path("a.py"), (Cell("a.py", source, script=True),))
        with Worker(submission, Limits(seconds=10.0), zygote) as worker:
            return RemoteAnswer(worker, "weights").run(probe, args or attention_inputs()[:2], {})

    return counted


@pytest.mark.parametrize(("probe", "measure"), [("flops", flops), ("operators", operators)])
def test_a_cost_is_the_same_there_as_here(costs, probe, measure):
    q, k, _ = attention_inputs()
    assert costs(HONEST, probe).value == measure(lambda q, k: (q @ k.mT).softmax(-1), q, k)


def test_what_has_no_values_is_counted_with_some(costs):
    q, k = torch.empty(50, 8, device="meta"), torch.empty(60, 8, device="meta")
    assert costs(HONEST, "flops", q, k).value == 2 * 50 * 60 * 8


def test_an_exception_is_told_as_it_is(costs):
    failure = costs("def weights(q, k):\n    raise ValueError('no')\n").failure
    assert (failure.kind, failure.message) == ("ValueError", "no")


def test_the_costs_of_a_submission_are_counted_in_one_process(zygote, monkeypatch):
    submission = Submission(Path("a.py"), (Cell("a.py", HONEST, script=True),))
    with Worker(submission, Limits(seconds=10.0), zygote) as worker:

        def counts():
            worker.begin()
            counted = RemoteAnswer(worker, "weights").run("flops", attention_inputs()[:2], {})
            assert counted.value == flops(lambda q, k: q @ k.mT, *attention_inputs()[:2])
            return worker._counter._process

        first = counts()
        assert counts() is first
        monkeypatch.setattr(counting, "LITTLE", 0.0)  # one that has computed for long is ended
        assert counts() is not first


def test_what_does_not_follow_by_operators_has_no_cost(costs):
    body = "return torch.from_numpy(q.numpy() @ k.numpy().T)"
    source = f"import torch\ndef weights(q, k):\n    {body}\n"
    assert costs(source).failure.kind == "CostError"
