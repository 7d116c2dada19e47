"""Positions: how the tests of bad input are to call what adds or turns."""

from attncourse.core import positions, relative

MECHANISMS = {}
OPTIONS = {
    positions.learned_positions: {"n": 3},
    relative.relative_bias: {"n": 3, "m": 5, "causal": True},
}
