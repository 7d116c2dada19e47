"""Outcomes of the course's own functions are remembered by their inputs, and by nothing less."""

import pytest
import torch

from attncourse.course.calls import Call
from attncourse.course.execution import Outcome
from attncourse.grading.judge.memory import outcomes
from attncourse.grading.judge.memory.outcomes import Outcomes
from attncourse.testing import same_value

X = torch.arange(6.0).reshape(2, 3)


@pytest.fixture
def counted():
    """A function, and how often it ran."""
    calls = []

    def function(*args, **kwargs):
        calls.append(args)
        return args[0] * 2 if isinstance(args[0], torch.Tensor) else args[0]

    return function, calls


@pytest.fixture
def repeat():
    """The outcome of a function on inputs, each in a call of its own, with one memory."""
    memory = Outcomes()

    def repeat(function, *args, probe=None, **kwargs):
        known = memory.on(probe, outcomes.key(args, kwargs))
        return Call(probe, args, kwargs, Outcome(), known).repeat(function)

    return repeat


def test_equal_inputs_are_computed_once(counted, repeat):
    function, calls = counted
    first, second = repeat(function, X), repeat(function, X.clone())
    assert len(calls) == 1
    assert torch.equal(first.value, second.value)


OTHERS = {
    "another value": X + 1e-6,
    "another sign of zero": X * -1.0 * 0,
    "another dtype": X.double(),
    "another shape": X.reshape(3, 2),
    "another layout": X.mT.contiguous().mT,
    "on meta": X.to("meta"),
    "with a gradient": X.clone().requires_grad_(),
    "a tuple": (X,),
    "a list": [X],
    "a number": 2,
    "the same number as a float": 2.0,
    "a truth": True,
    "none": None,
}


def test_other_inputs_are_computed_anew(counted, repeat):
    function, calls = counted
    for other in (X, X * 0, *OTHERS.values()):
        repeat(function, other)
    assert len(calls) == len(OTHERS) + 2
    repeat(function, X, plus=1)
    repeat(function, X, X)
    assert len(calls) == len(OTHERS) + 4


def test_what_is_large_or_unusual_is_not_remembered(counted, repeat, monkeypatch):
    function, calls = counted
    monkeypatch.setattr(outcomes, "LARGEST", 100)
    for value in (torch.zeros(100), X.to_sparse(), object()):
        assert outcomes.key([value], {}) is None
    for _ in range(2):
        repeat(function, torch.zeros(100))
    assert len(calls) == 2


def test_what_is_old_is_forgotten(counted, repeat, monkeypatch):
    function, calls = counted
    monkeypatch.setattr(outcomes, "MOST", 300)
    for n in (1, 2, 3, 4, 1):
        repeat(function, torch.full((5,), float(n)))
    assert len(calls) == 5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.int64])
def test_two_values_are_the_same_where_assert_close_says_so(dtype):
    values = torch.tensor([0.0, 1.0, -3.0, 1e3]).to(dtype)
    for step in (0, 1e-8, 0.9e-7, 1.1e-7, 1e-6, 1.2e-6, 1e-5, 1e-3, 2):
        other = (values.double() * (1 + step)).to(dtype)
        try:
            torch.testing.assert_close(values, other, equal_nan=True)
            same = True
        except AssertionError:
            same = False
        assert same_value(values, other) is same, step
