"""What a record shows of writing, without being repeated: nothing is believed that could write."""

import json

import pytest

from attncourse.grading.judge.claims import _writes


def record(*operators):
    return json.dumps({"steps": [[name, [["t", 0]], []] for name in operators], "result": 1}), []


@pytest.mark.parametrize(
    "operators",
    [(), ("aten.mm.default", "aten._softmax.default"), ("aten.sum.dim_IntList", "aten.mT.default")],
)
def test_what_no_operator_writes_into_is_as_it_was(operators):
    assert not _writes(record(*operators))


@pytest.mark.parametrize(
    "operator",
    [
        "aten.neg_.default",
        "aten.add.out",
        "aten.copy_.default",
        "aten.index_put_.default",
        "aten.native_batch_norm.default",  # its running mean, which it does not declare
        "aten.no_such_operator.default",
        "other.f.default",
        "aten.mm",
        "aten",
        7,
        ["aten.mm.default"],
        {},
    ],
)
def test_what_may_write_is_to_be_repeated(operator):
    assert _writes(record("aten.mm.default", operator))


@pytest.mark.parametrize(
    "told", [None, 1, "text", ("{}", []), ("[" * 10_000, []), ('{"steps": 1}', []), (b"\xff", [])]
)
def test_what_is_no_record_may_write(told):
    assert _writes(told)
