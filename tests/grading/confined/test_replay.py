"""Records of calls: repeated, they give the same values at the same cost, or are refused."""

import json

import pytest
import torch
import torch.nn.functional as F

from attncourse.grading.confined import replay
from attncourse.grading.judge.costs import changed
from attncourse.grading.wire.protocol import Unrepeatable
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
    others = changed(inputs)
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
    with pytest.raises(Unrepeatable):
        replay.repeat(record, [])


@pytest.mark.parametrize(
    "word", [["k", "load"], ["k", "Tensor"], ["t", 99], ["c", 0], ["x", 1], [1], {"a": 1}]
)
def test_an_argument_that_is_none_is_an_error(word):
    text = json.dumps({"steps": [["aten.neg.default", [word], []]], "result": ["t", 1]})
    with pytest.raises((Unrepeatable, LookupError, TypeError, ValueError, RuntimeError)):
        replay.repeat(text, [])(torch.ones(2))
