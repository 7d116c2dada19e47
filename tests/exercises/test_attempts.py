"""Answers beside the known ones: the wrong ones fail and the right ones pass, under any secret."""

import inspect
import math
import textwrap

import pytest
import torch
from survivors import fails
from tried import RIGHT, WRONG

from attncourse.course.exercise import get
from attncourse.course.rules import parameters
from attncourse.testing import secret_inputs

SECRETS = [b"", b"one", b"another"]


def cases(attempts):
    """Parametrise over (exercise, body) pairs."""
    pairs = [(name, body) for name, bodies in attempts.items() for body in bodies.values()]
    ids = [f"{name}-{label}" for name, bodies in attempts.items() for label in bodies]
    return pytest.mark.parametrize(("name", "body"), pairs, ids=ids)


def weights_of(scores, mask):
    """Right weights, so that an attempt need show its own step only."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1).masked_fill(~mask, 0.0)


def answer(name, body):
    """The function of the exercise's signature with that body."""
    head = f"def {name}{parameters(get(name).solution)}:\n"
    namespace = {"torch": torch, "math": math, "weights_of": weights_of}
    exec(head + textwrap.indent(inspect.cleandoc(body), "    "), namespace)
    return namespace[name]


@cases(WRONG)
def test_a_wrong_attempt_fails_under_any_secret(name, body):
    for secret in SECRETS:
        with secret_inputs(secret):
            assert fails(get(name), answer(name, body)), secret


@cases(RIGHT)
def test_a_right_attempt_passes_under_any_secret(name, body):
    for secret in SECRETS:
        with secret_inputs(secret):
            assert not fails(get(name), answer(name, body)), secret
