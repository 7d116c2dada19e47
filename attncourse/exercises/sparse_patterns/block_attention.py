r"""# Block attention"""

from attncourse.mechanisms.patterns.block_local import block_attention as solution
from attncourse.testing import fail

difficulty, minutes = 0, 0
hints = ()


def check_matches_the_definition(student):
    fail("write this check")


def wrong_first(q, k, v, *, block):
    return solution(q, k, v, block=block)


def right_first(q, k, v, *, block):
    return solution(q, k, v, block=block)
