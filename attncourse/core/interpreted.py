"""Triton for programs that run on the CPU: its interpreter, one operation after the other.

Triton reads TRITON_INTERPRET when it is imported: on a machine without a CUDA device it is set
here, unless it is set already. Triton is published for Linux; where it is missing, both names are
there and say so when they are used.
"""

import os
from importlib.util import find_spec
from typing import Any

import torch

__all__ = ["tl", "triton"]


class _Missing:
    """Stands where a module is missing, until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError(f"Triton is missing, which is published for Linux: no {name}")


if find_spec("triton") is None:
    tl: Any = _Missing()
    triton: Any = _Missing()
else:
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")
    import triton
    import triton.language as tl
