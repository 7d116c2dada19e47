"""Costs by record and repetition: the same counts as inline, and no record is believed."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.submission import Cell, Submission
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire import replay
from attncourse.measure.cost import flops, largest_tensor, operators
from attncourse.testing import assert_same, attention_inputs


def loop(q, k, v):
    rows = [((row @ k.mT).softmax(-1) @ v) for row in q]
    return torch.stack(rows)


def in_place(q, k, v):
    scores = torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)
    scores += q @ k.mT
    scores[:, 3:].fill_(-1.0)
    return scores.softmax(-1) @ v, [scores]


FUNCTIONS = {
    "attention": lambda q, k, v: (q @ k.mT).softmax(-1) @ v,
    "a loop": loop,
    "in place": in_place,
    "fused": lambda q, k, v: F.scaled_dot_product_attention(q[None], k[None], v[None]),
    "constants": lambda q, k, v: q @ torch.ones(8, 3, dtype=q.dtype) + torch.arange(3),
    "a mask": lambda q, k, v: (q @ k.mT).masked_fill(torch.ones(5, 37).tril() == 0, -torch.inf),
    "other kinds": lambda q, k, v: q.float().to(torch.bfloat16).double().sum(-1, keepdim=True),
    "einsum": lambda q, k, v: torch.einsum("nd,md,me->ne", q, k, v),
    "views": lambda q, k, v: q.unfold(0, 2, 1).transpose(0, 1).reshape(-1)[::2].unsqueeze(0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_record_repeats_the_call_at_the_same_cost(name):
    function, inputs = FUNCTIONS[name], attention_inputs()
    again = replay.repeat(*replay.record(function, inputs, {}))
    assert_same(again(*inputs), function(*inputs))
    for measure in (flops, largest_tensor, operators):
        assert measure(again, *inputs) == measure(function, *inputs)
    others = replay.changed(inputs)
    assert_same(again(*others), function(*others))


def test_keyword_arguments_are_inputs_too():
    q, k, _ = attention_inputs()
    again = replay.repeat(*replay.record(lambda a, *, b: a @ b.mT, (q,), {"b": k}))
    assert_same(again(2 * q, b=k), 2 * q @ k.mT)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"steps": 3, "result": null}',
        '{"steps": [["os.system.default", [], []]], "result": null}',
        '{"steps": [["aten.from_file.default", ["/etc/passwd"], []]], "result": null}',
        '{"steps": [["aten.__class__.mro", [], []]], "result": null}',
        '{"steps": [["aten.no_such.default", [], []]], "result": null}',
        '{"steps": [["aten.mm", [], []]], "result": null}',
        '{"steps": [[3, [], []]], "result": null}',
        "[" * 100_000,
    ],
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises(replay.Unrepeatable):
        replay.repeat(record, [])


@pytest.mark.parametrize(
    "word", [["k", "load"], ["k", "Tensor"], ["t", 99], ["c", 0], ["x", 1], [1], {"a": 1}]
)
def test_an_argument_that_is_none_is_an_error(word):
    text = json.dumps({"steps": [["aten.neg.default", [word], []]], "result": ["t", 1]})
    with pytest.raises((replay.Unrepeatable, LookupError, TypeError, ValueError, RuntimeError)):
        replay.repeat(text, [])(torch.ones(2))


def test_inputs_are_changed_a_little_and_never_the_same_way():
    x = torch.ones(100, dtype=torch.float64)
    mask = torch.tensor([True, False])
    (a, kept), (b, _) = replay.changed((x, mask)), replay.changed((x, mask))
    assert kept is mask
    assert 0.001 < (a - x).abs().mean() < 0.1
    assert not torch.equal(a, b)


HONEST = "import torch\ndef weights(q, k):\n    return (q @ k.mT).softmax(-1)\n"


@pytest.fixture
def costs(zygote):
    """The outcome of a cost of a function that a submission holds."""

    def counted(source, probe="flops", *args):
        keep = tuple(range(len(compile(source, "", "exec", 1024).body)))
        submission = Submission(Path("a.py"), (Cell("a.py", source, keep),))
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


def test_what_does_not_follow_by_operators_has_no_cost(costs):
    body = "return torch.from_numpy(q.numpy() @ k.numpy().T)"
    source = f"import torch\ndef weights(q, k):\n    {body}\n"
    assert costs(source).failure.kind == "CostError"
