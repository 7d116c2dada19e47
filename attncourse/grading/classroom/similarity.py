"""Answers that share what the exercise does not explain: pairs with evidence, never a verdict.

Compared is, exercise by exercise, the answer that counts of each student, by the fingerprints
that were taken where it was parsed. What the course itself contains (the stub, the solution, the
right and wrong answers it knows, the library around them) is subtracted, and what many wrote.
"""

import ast
import functools
import inspect
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from attncourse.course import source
from attncourse.course.exercise import get
from attncourse.grading.classroom.names import Student
from attncourse.grading.parsing import fingerprints

LEAST = 10  # fingerprints that two answers must share: some five lines that are one's own
SHARE = 0.7  # of the fingerprints of the shorter
COMMON = 10  # students, or a fifth of them: what more wrote is how it is written


@dataclass(frozen=True)
class Side:
    """One of a pair: whose it is, from which file, the lines that the other has too."""

    student: Student
    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two answers to an exercise: how many fingerprints they share, which part of the shorter's."""

    exercise: str
    shared: int
    share: float
    sides: tuple[Side, Side]


@dataclass(frozen=True)
class Answer:
    """A student's answer to an exercise: its lines, and its marks (a hash, two line numbers)."""

    student: Student
    file: str
    lines: Sequence[str]
    marks: Sequence[Sequence[int]]

    @property
    def codes(self) -> set[int]:
        """Its fingerprints."""
        return {code for code, *_ in self.marks}


def pairs(answers: Mapping[str, Sequence[Answer]]) -> list[Pair]:
    """The pairs worth a look, of the answers to each exercise; the most alike first."""
    found = [pair for name, given in answers.items() for pair in _pairs(name, given)]
    return sorted(found, key=lambda p: (-p.share, -p.shared, p.exercise, p.sides[0].student))


def _pairs(name: str, answers: Sequence[Answer]) -> Iterator[Pair]:
    count = Counter(code for answer in answers for code in answer.codes)
    most = max(COMMON, len(answers) / 5)
    explained = known(name) | {code for code, students in count.items() if students > most}
    own = [(answer, answer.codes - explained) for answer in answers]
    long = [(answer, codes) for answer, codes in own if len(codes) >= LEAST]
    for (one, mine), (other, theirs) in itertools.combinations(long, 2):
        shared = mine & theirs
        share = len(shared) / min(len(mine), len(theirs))
        if len(shared) >= LEAST and share >= SHARE:
            sides = _side(one, shared), _side(other, shared)
            yield Pair(name, len(shared), round(share, 3), sides)


def _side(answer: Answer, shared: set[int]) -> Side:
    places = (range(a, b + 1) for code, a, b in answer.marks if code in shared)
    numbers = sorted(set().union(*places))
    return Side(answer.student, answer.file, tuple(answer.lines[n] for n in numbers))


@functools.cache
def known(name: str) -> frozenset[int]:
    """Every fingerprint of what the course contains for an exercise."""
    exercise = get(name)
    modules = {_module(f) for f in (exercise.solution, *source.needs(exercise.solution))}
    modules |= {_module(f) for f in (*exercise.right.values(), *exercise.wrong.values())}
    texts = [source.stub(exercise.solution, exercise.stub), *map(inspect.getsource, modules)]
    definitions = (node for text in texts for node in ast.parse(text).body)
    return frozenset(code for node in definitions for code, *_ in fingerprints.grams(node))


def _module(function: Callable[..., Any]) -> ModuleType:
    return sys.modules[inspect.unwrap(function).__module__]
