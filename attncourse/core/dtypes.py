"""The dtype in which sums are accumulated, and where there is one for angles."""

import torch


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype for sums over values of `dtype`: float32 for half precision, otherwise `dtype`."""
    return torch.promote_types(dtype, torch.float32)


def float64_device(device: torch.device) -> torch.device:
    """Where float64 is computed for `device`: there, or on the CPU if it has none (Apple's MPS)."""
    if device.type == "mps":
        return torch.device("cpu")
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return torch.device("cpu")
    return device
