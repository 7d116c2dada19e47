"""An answer may be as large as the solution's, and some more: no judge holds what nobody needs."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from attncourse.course.execution import execute
from attncourse.course.exercise import get, names
from attncourse.grading.judge.claims import _asked
from attncourse.grading.judge.room import BESIDES, TIMES, room
from attncourse.grading.wire.frames import LARGEST_PAYLOAD


def test_there_is_room_for_four_times_what_is_expected_and_a_megabyte():
    wide = torch.zeros(1000, 1000)
    assert room(lambda x: x.sum(), None, (wide,), {}) == TIMES * 4_000_000 + BESIDES
    assert room(lambda n: torch.zeros(n, n), None, (2000,), {}) == TIMES * 16_000_000 + BESIDES
    assert room(lambda n: torch.zeros(n, n), None, (8000,), {}) == LARGEST_PAYLOAD
    assert room(lambda x: 1 / 0, None, (3,), {}) == BESIDES
    assert room(None, None, (wide,), {}) == LARGEST_PAYLOAD


@pytest.mark.parametrize("name", names())
def test_every_right_answer_has_room(name):
    exercise = get(name)
    for args, kwargs in _asked(exercise, b"").smallest():
        most = room(exercise.solution, None, args, kwargs)
        for right in (exercise.solution, *exercise.right.values()):
            value = execute(right, None, args, kwargs).value
            tensors = [x for x in tree_leaves(value) if isinstance(x, torch.Tensor)]
            assert sum(x.numel() * x.element_size() for x in tensors) <= most
