r"""# Mend a scale that stays at home

This function is to compute

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

Its author tested it in float32 on a CPU, and there it is right to the last digit. On the first day
on a GPU it raised an error; in bfloat16 it raises another; in float64 the eighth digit is off.
Find the one number behind all three, and mend it.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e), in the
  dtype and on the device of `v`. The device `meta`, whose tensors have shapes and no numbers,
  stands for any other.
- `mask` plays no part: no call here gives one.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.dense.softmax import attention as solution
from attncourse.testing import assert_same, assert_that, attention_inputs, shape_on_meta

difficulty, minutes = 2, 10
hints = (
    "Move q, k and v to the device 'meta' and call the function there. Which line complains? Which "
    "tensor did not move?",
    "Not every number has to be a tensor. What has neither a device nor a dtype?",
)
forbidden = attention.forbidden


def check_runs_where_its_inputs_are(student):
    """inputs on another device (`meta`) give a result of the right shape there"""
    for sizes in ((5, 9, 8, 6), (4, 7, 3, 5)):
        q, k, v = attention_inputs(sizes=sizes, seed=5)
        assert_same(student(q, k, v), solution(q, k, v))
        found = shape_on_meta(student, q, k, v)
        expected = (sizes[0], sizes[3])
        assert_that(found == expected, f"on `meta` the shape is {found}; expected {expected}.")


def wrong_tensor_for_a_number(q, k, v, *, mask=None):
    """You left the scale a tensor: it has a dtype, float32, and a device, the CPU, and keeps both
    when the inputs change theirs. Take a plain number, `math.sqrt(q.shape[-1])`.
    """
    scale = torch.tensor([q.shape[-1]], dtype=torch.float32).sqrt()
    return torch.softmax(q @ k.mT / scale, dim=-1) @ v


stub = wrong_tensor_for_a_number


def wrong_dtype_of_the_queries_only(q, k, v, *, mask=None):
    """Your scale has the dtype of the queries now, and is still made on the CPU. Where it has to be
    a tensor, say `device=q.device`; it does not have to be one.
    """
    scale = torch.tensor([q.shape[-1]], dtype=q.dtype).sqrt()
    return torch.softmax(q @ k.mT / scale, dim=-1) @ v


def wrong_everything_to_the_cpu(q, k, v, *, mask=None):
    """You moved the inputs to the scale. They were where their owner wanted them, and on `meta`
    there is nothing to move: let the scale be a plain number.
    """
    scale = torch.tensor([q.shape[-1]], dtype=q.dtype).sqrt()
    q, k, v = (x.to(scale.device) for x in (q, k, v))
    return torch.softmax(q @ k.mT / scale, dim=-1) @ v


borrowed = (
    Borrow(
        attention,
        itself,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_float64_returned",
            "wrong_width_written_down",
            "right_by_einsum",
            "right_by_dividing_last",
        ),
    ),
)
