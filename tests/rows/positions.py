"""Positions: how the tests of bad input are to call what adds or turns."""

from attncourse.core import positions, relative, rotary_forms

MECHANISMS = {}
OPTIONS = {
    positions.learned_positions: {"n": 3},
    rotary_forms.interpolated_rotary: {"stretch": 2.0},
    relative.relative_bias: {"n": 3, "m": 5, "causal": True},
}
