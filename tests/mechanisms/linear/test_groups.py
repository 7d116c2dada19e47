"""Linear forms run few operations: each waits for all threads, which a busy machine has not got."""

import pytest

from attncourse.measure.bench.case import Shape
from attncourse.measure.bench.linear import CASES
from attncourse.measure.cost import largest_tensor, operators
from attncourse.mechanisms.linear._recurrence import WORK

# at 4,096 tokens; the delta rule takes its chunks one after the other
MOST = {
    "linear": 100,
    "linear, causal": 200,
    "retention": 200,
    "gated linear": 700,
    "delta rule": 2500,
    "Performer 256": 400,
    "Performer 256, causal": 500,
}
SCANS = [case for case in CASES if case.mechanism in MOST]


def test_every_form_that_goes_by_chunks_is_counted():
    assert {case.mechanism for case in SCANS} == set(MOST)


@pytest.mark.parametrize("case", SCANS, ids=lambda case: case.mechanism)
def test_operations_are_few_and_not_much_larger_than_the_inputs(case):
    inputs = case.native(*case.inputs(Shape().of(4096, "meta")))
    assert operators(case.function, *inputs) <= MOST[case.mechanism]
    assert largest_tensor(case.function, *inputs) <= 2 * WORK


@pytest.mark.parametrize("case", SCANS, ids=lambda case: case.mechanism)
def test_a_batch_takes_no_more_operations_a_sequence(case):
    one, eight = (
        operators(case.function, *case.native(*case.inputs(Shape(batch=b).of(1024, "meta"))))
        for b in (1, 8)
    )
    assert eight <= 8 * one
