r"""# Sliding window attention"""

from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention as solution
from attncourse.testing import fail

difficulty, minutes = 0, 0
hints = ()


def check_matches_the_definition(student):
    fail("write this check")


def wrong_first(q, k, v, *, window, causal=False):
    return solution(q, k, v, window=window, causal=causal)


def right_first(q, k, v, *, window, causal=False):
    return solution(q, k, v, window=window, causal=causal)
