"""Attention by rules has no backward pass on the CPU: its own file holds the tests."""

from attncourse.core import flex
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns import flexible

MECHANISMS = {}
OPTIONS = {flex.relative_mod: {"n": 3, "m": 5, "causal": True}, flex.padding_mod: {"m": 9}}
OPTIONS |= {flex.bigbird_mod: {"n": 35, "block": 4}}
ELSEWHERE = {*forms_of(flexible.flexible_attention)}
