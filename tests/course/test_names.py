"""A diagnosis is a claim: over attempts that nobody prepared for, none is false.

The attempts are in `attempts`, each with what may be said of it. To these come all known mistakes
with a second slip, of which none may be told but that very mistake, or what is shown of one check.
"""

import re

import pytest
import torch
from attempts import masks, means, models, scores, softmaxes, trial

from attncourse.course import report
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import all_exercises
from attncourse.testing import secret_inputs

SECRETS = (b"", b"the secret of a run", b"that of another")
ATTEMPTS = [
    (name, function, may)
    for module in (softmaxes, masks, scores, means, models, trial)
    for name, tried in module.ATTEMPTS.items()
    for function, may in tried
]
# right on every input that a check asks for: the inputs must tell them apart, not the words
PASSING = {
    "median_subtracted",
    "finite_minimum_subtracted",
    "squeezed",
    "masked_scores_removed",
    "exponential_formula",
    "nan_to_zero",
    "best_below_one",
}


def grade(name, function, secret=b""):
    with secret_inputs(secret):
        return run(all_exercises()[name], LocalAnswer(function))


def failed(result):
    return [check for check in result.checks if check.state == "failed"]


def named(result):
    return {check.misconception.name for check in failed(result) if check.misconception}


@pytest.mark.parametrize(
    ("name", "function", "may"), ATTEMPTS, ids=[f"{n}-{f.__name__}" for n, f, _ in ATTEMPTS]
)
def test_no_attempt_is_told_a_mistake_that_it_did_not_make(name, function, may):
    secret = SECRETS[len(function.__name__) % 3]  # bench: all of them, each under every secret
    result = grade(name, function, secret)
    assert named(result) <= may
    assert failed(result) or function.__name__ in PASSING
    assert_said(result)


def test_enough_is_named():
    found = [named(grade(name, function)) for name, function, may in ATTEMPTS if may]
    assert sum(map(bool, found)) >= 12


def test_there_are_enough_attempts():
    assert len(ATTEMPTS) >= 150
    assert len({(name, function) for name, function, _ in ATTEMPTS}) == len(ATTEMPTS)


def assert_said(result):
    """Every cross has a sentence, and no number contradicts the one that it stands in."""
    for check in failed(result):
        assert check.message.strip()
        assert not re.search(r"sums to 1(\.0+)?\.( |$)|times 1 |plus -?0,", check.message)
        pair = re.search(r"[Yy]ours is (\S+), expected (\S+?)\.(?= |$)", check.message)
        assert pair is None or pair[1] != pair[2], check.message
    lines = list(report.lines(result))
    crosses = [i for i, line in enumerate(lines) if line.level == 1 and line.state == "failed"]
    for i in crosses:
        told = lines[i + 1].level > 1 if i + 1 < len(lines) else False
        told |= lines[i].text.endswith(report.AGAIN)
        assert told or any(line.diagnosis for line in lines)


# A second slip


def larger(value, *args):
    return 1.5 * value


def moved(value, *args):
    return value + 0.25


def swapped(value, *args):
    return value.flip(-1)


def odd_sizes_only(value, right):
    """Right for an even number of entries."""
    return value if value.numel() % 2 else right


def negative_entries_only(value, right):
    if value.shape != right.shape or value.dtype != right.dtype:
        return value
    return torch.where(right < right.mean(), value, right)


SLIPS = (larger, moved, swapped, odd_sizes_only, negative_entries_only)
SECOND = [
    (name, wrong, SLIPS[i % len(SLIPS)])
    for name, exercise in all_exercises().items()
    for i, wrong in enumerate(exercise.wrong)
    if i % 3 == 0
]


@pytest.mark.by_turns
@pytest.mark.parametrize(
    ("name", "wrong", "slip"), SECOND, ids=[f"{n}-{w}-{s.__name__}" for n, w, s in SECOND]
)
def test_of_two_slips_only_what_is_true_is_told(name, wrong, slip):
    exercise = all_exercises()[name]

    def answer(*args, **kwargs):
        value = exercise.wrong[wrong](*args, **kwargs)
        if not value.is_floating_point():
            return value.flip(-1)
        right = exercise.solution(*args, **kwargs)
        return slip(value, right)

    result = grade(name, answer)
    told = named(result)
    assert all(cannot_be_told_from(exercise, exercise.wrong[known], answer) for known in told), told
    assert_said(result)


def cannot_be_told_from(exercise, wrong, answer):
    """Do all checks end alike for both, and say the same numbers (of another line, perhaps)?"""
    ours, theirs = (grade(exercise.name, f) for f in (answer, wrong))
    said = [
        [(c.state, re.sub(r" \([^()]*?line .*", "", c.message)) for c in result.checks]
        for result in (ours, theirs)
    ]
    return [(s, m.rstrip(".")) for s, m in said[0]] == [(s, m.rstrip(".")) for s, m in said[1]]
