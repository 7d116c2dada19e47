"""The dtype in which sums are accumulated."""

import torch


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype for sums over values of `dtype`: float32 for half precision, otherwise `dtype`."""
    return torch.promote_types(dtype, torch.float32)
