"""Triton on the CPU: its interpreter runs a kernel one program, one operation after the other.

``from attncourse.core.interpreted import tl, triton``, before anything else imports Triton, which
reads TRITON_INTERPRET when it is imported; where that is set already it is left as it is. Triton is
published for Linux: elsewhere this raises ModuleNotFoundError.
"""

import os

os.environ.setdefault("TRITON_INTERPRET", "1")

import triton
import triton.language as tl

__all__ = ["tl", "triton"]
