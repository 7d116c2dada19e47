"""Every int, float and bool parameter of the library takes the numbers that people have."""

import inspect
from fractions import Fraction

import numpy as np
import pytest
import torch
from test_bad_input import FUNCTIONS, OPTIONS, PUBLIC, right

from attncourse.core.numbers import holds_numbers, plain_number
from attncourse.testing import same_value

SIZES = {
    "n": 9,
    "m": 7,
    "h": 4,
    "g": 2,
    "d": 8,
    "e": 3,
    "r": 3,
    "window": 2,
    "block": 2,
    "stride": 3,
}
SIZES |= {"summary": 1, "blocks": 8, "buckets": 32, "furthest": 128, "layers": 2, "d_head": 5}
SIZES |= {"bytes_per_element": 2}
SIZES |= dict.fromkeys(("flops", "bytes_moved", "peak_flops", "peak_bandwidth"), 3)


def numbers_of(function, kind):
    """The parameters of a function that are annotated so."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.annotation is kind]


def arguments_of(function):
    """Arguments that are right; None where a function needs a state, a cache or a table."""
    if function in FUNCTIONS:
        return right(function) | OPTIONS.get(function, {})
    generator = torch.Generator().manual_seed(0)
    needed = SIZES | {"global_tokens": (0, 2), "generator": generator}
    parameters = inspect.signature(function).parameters.values()
    if any(p.default is p.empty and p.name not in needed for p in parameters):
        return None
    return {p.name: needed[p.name] for p in parameters if p.name in needed}


COUNTED = {f: numbers_of(f, int) for f in PUBLIC if numbers_of(f, int)}
CALLED = {f: names for f, names in COUNTED.items() if arguments_of(f) is not None}


def again(arguments):
    """The arguments, and a generator from its beginning."""
    if "generator" in arguments:
        arguments["generator"].manual_seed(0)
    return arguments


@pytest.mark.parametrize("kind", [np.int64, np.int32, torch.tensor], ids=["64", "32", "tensor"])
@pytest.mark.parametrize("function", CALLED, ids=lambda function: function.__name__)
def test_an_integer_may_be_numpys_or_a_tensor(function, kind):
    arguments = arguments_of(function)
    names = [name for name in CALLED[function] if name in arguments]
    expected = function(**again(arguments))
    found = function(**again(arguments) | {name: kind(arguments[name]) for name in names})
    assert callable(expected) or same_value(found, expected)


def test_nearly_every_function_with_an_integer_is_called_above():
    """The others need a state, a cache or a table; `checked` reads their integers all the same."""
    rest = {f.__name__ for f in COUNTED if f not in CALLED}
    assert {name for name in rest if not name.endswith("_segment")} == {
        "bigbird_attention",
        "bigbird_attention_by_definition",
        "paged_attention",
        "paged_attention_by_definition",
        "padding_mask",
    }


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (int, np.int8(3), 3),
        (int, torch.tensor([3]), 3),
        (float, 3, 3),
        (float, np.float32(0.5), 0.5),
        (float, np.int64(3), 3.0),
        (float, Fraction(1, 4), 0.25),
        (bool, True, True),
        (bool, np.False_, False),
    ],
)
def test_what_counts_as_a_number_becomes_one_of_python(kind, value, expected):
    found = plain_number("x", kind, value)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (int, 3.0, "x must be an integer: got a float"),
        (int, True, "x must be an integer: got a bool"),
        (int, torch.tensor(True), "x must be an integer: got a Tensor"),
        (int, torch.tensor(3.0), "x must be an integer: got a Tensor"),
        (int, torch.tensor([3, 4]), "x must be an integer: got a Tensor"),
        (int, torch.tensor(3, device="meta"), "x must be an integer: got a Tensor"),
        (int, np.float64(3), "x must be an integer: got a float64"),
        (int, np.True_, "x must be an integer: got a bool"),
        (int, None, "x must be an integer: got None"),
        (float, "3", "x must be a number: got a str"),
        (float, 3j, "x must be a number: got a complex"),
        (float, torch.tensor(0.5), "x must be a number: got a Tensor"),
        (float, np.True_, "x must be a number: got a bool"),
        (bool, 1, "x must be True or False: got an int"),
        (bool, torch.tensor(True), "x must be True or False: got a Tensor"),
    ],
)
def test_what_is_no_number_is_told_in_a_sentence(kind, value, sentence):
    with pytest.raises(TypeError) as caught:
        plain_number("x", kind, value)
    assert str(caught.value) == sentence


def test_the_entries_of_a_tensor_can_be_looked_at_where_it_holds_some():
    assert holds_numbers(torch.ones(2))
    assert not holds_numbers(torch.ones(2, device="meta"))
