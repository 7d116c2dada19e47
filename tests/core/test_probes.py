"""A probe runs where its function lives."""

import pytest

from attncourse.core.probes import PROBES, probe
from attncourse.measure.cost import flops, largest_tensor, operators
from attncourse.testing import gradients


class StandIn:
    """A function that lives elsewhere: it records what it is asked and answers with a word."""

    def __init__(self):
        self.asked = []

    def __call__(self, *args, **kwargs):
        raise AssertionError("a probe must not call the stand-in itself")

    def __probe__(self, name, args, kwargs):
        self.asked.append((name, args, kwargs))
        return "measured elsewhere"


@pytest.mark.parametrize("measure", [flops, largest_tensor, operators, gradients])
def test_a_probe_is_sent_to_where_its_function_lives(measure):
    stand_in = StandIn()
    assert measure(stand_in, 1, "two", mask=3) == "measured elsewhere"
    assert stand_in.asked == [(measure.__name__, (1, "two"), {"mask": 3})]


def test_the_name_sent_finds_the_measurement_on_the_other_side():
    assert set(PROBES) >= {"flops", "largest_tensor", "operators", "gradients"}
    assert PROBES["operators"](abs, -1) == 0


def test_a_probe_keeps_its_name_and_docstring_and_measures_here_otherwise():
    @probe
    def doubled(fn, *args, **kwargs):
        """Twice the result."""
        return 2 * fn(*args, **kwargs)

    try:
        assert (doubled.__name__, doubled.__doc__) == ("doubled", "Twice the result.")
        assert doubled(max, 3, 4) == 8
        assert doubled(int, "11", base=2) == 6
    finally:
        del PROBES["doubled"]
