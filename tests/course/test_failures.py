"""An exception of the learner's code in words."""

import numpy as np
import pytest
import torch

from attncourse.course.execution import Failure, execute
from attncourse.course.failures import in_words
from attncourse.testing import gaussian

TENSORS = "was given a PyTorch tensor: use PyTorch's own function"
GRADIENTS = "NumPy computes no gradients: use torch's function of the same name"


def said(function, probe=None):
    return in_words(execute(function, probe, (gaussian(3, 4),), {}).failure)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sum(x, axis=-1, keepdims=True),
        lambda x: np.max(x, axis=-1, keepdims=True),
        lambda x: np.exp(x.bfloat16()),
    ],
)
def test_numpy_called_on_tensors_is_told_as_that(function):
    assert TENSORS in said(function)


def test_numpy_is_told_to_give_no_gradients():
    assert GRADIENTS in said(lambda x: np.exp(x), "gradients")


@pytest.mark.parametrize("function", [lambda x: x @ x, lambda x: 1 / 0, lambda x: torch.ones(x)])
def test_where_numpy_is_not_the_reason_it_is_not_told(function):
    assert "NumPy" not in said(function)


def test_a_place_and_a_message_are_told_where_there_are_any():
    assert in_words(Failure("KeyError", "")) == "your function raised KeyError"
    assert in_words(Failure("TimeoutError", "it hung.", fatal=True)) == "it hung."
