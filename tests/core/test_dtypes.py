"""Sums are accumulated in float32 or wider."""

import pytest
import torch

from attncourse.core.dtypes import accumulation_dtype


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_half_precision_is_summed_in_float32_and_the_rest_in_itself(dtype, wide):
    assert accumulation_dtype(dtype) == wide
