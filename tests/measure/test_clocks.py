"""Times that several experiments quote are those of the one measurement."""

import importlib
from pathlib import Path

import pytest

from attncourse.measure.experiment import measured

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def clocks():
    """The script that carries them over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield importlib.import_module("clocks")


@pytest.fixture(scope="module")
def quoted(clocks):
    """Each experiment with the times that the measurement gives."""
    return dict(clocks.quoted())


@pytest.mark.parametrize(
    "name", ["content", "low-rank", "patterns", "random-features", "side-by-side"]
)
def test_quoted_times_are_those_of_the_measurement(quoted, name):
    assert len(quoted) == 5
    assert measured(name).results == quoted[name]


def test_a_time_that_was_not_carried_over_is_seen(clocks):
    old = {"clock": {"window 256": {"512": 9.9}}, "words": "kept"}
    assert clocks.now(old)["clock"]["window 256"]["512"] < 9.9
    assert clocks.now(old)["words"] == "kept"
