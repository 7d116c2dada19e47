"""Mutated notebooks: each gets a verdict, whatever it holds; thousands by bench/fuzz_grading.py."""

import sys
from pathlib import Path

import pytest

from attncourse.course import exercise as contract
from attncourse.grading.judge import judging, reading
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.submission import UnreadableError
from attncourse.grading.judge.worker import Worker

sys.path.append(str(Path(__file__).parent / "classroom"))

from mutants import BYTES, STRUCTURES, mutant

STATES = {"passed", "failed", "not attempted"}
LIMITS = Limits(seconds=1.0, memory=2 * 2**30, budget=3.0)


def verdict(number, folder, zygote):
    """The states of the exercises of a mutated notebook, or why it cannot be read."""
    path = folder / f"mutant-{number}.ipynb"
    path.write_bytes(mutant(number))
    try:
        submission = reading.read(path, zygote)
    except UnreadableError as error:
        return str(error)
    with Worker(submission, LIMITS, zygote) as worker:
        found = [judging.grade(submission, worker, contract.get(n)) for n in submission.exercises]
    return [result.state for result in found]


@pytest.mark.by_turns
@pytest.mark.parametrize("tens", range(4))
def test_every_mutant_gets_a_verdict(tens, zygote, tmp_path):
    for number in range(10 * tens, 10 * tens + 10):
        found = verdict(number, tmp_path, zygote)
        if isinstance(found, str):
            assert found.startswith(f"mutant-{number}.ipynb "), number
            assert len(found) < 500
        else:
            assert set(found) <= STATES, number


def test_a_mutant_is_the_same_each_time_and_unlike_the_others():
    assert mutant(7) == mutant(7)
    assert len({mutant(number) for number in range(40)}) == 40
    assert len(BYTES) + len(STRUCTURES) > 12
