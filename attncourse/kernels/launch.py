"""Starting a kernel: where it can run, and how large its tiles are."""

import math
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Sizes:
    """The tile sizes of a kernel, its widths, and how Triton compiles it."""

    rows: int
    keys: int
    d: int
    e: int
    precision: str
    warps: int
    stages: int


SHARED = {75: 64 * 2**10, 80: 163 * 2**10, 86: 99 * 2**10, 89: 99 * 2**10, 90: 227 * 2**10}
"""Bytes of shared memory that a program may have, by compute capability (7.5 is 75)."""

LEAST_SHARED = 99 * 2**10  # what every card from 8.0 on has, one that is not in the table too


def capability_of(x: Tensor) -> int:
    """The compute capability of the card that holds x: 75 for a T4, 90 for an H100."""
    if interpreting():
        return 90
    major, minor = torch.cuda.get_device_capability(x.device)
    return 10 * major + minor


def interpreting() -> bool:
    """Does Triton run kernels on the CPU, one operation after the other, to test them?"""
    return os.environ.get("TRITON_INTERPRET") == "1"


def check_place(name: str, x: Tensor) -> None:
    """Can a kernel run on tensors like x? Raises ValueError or TypeError."""
    if not (x.is_cuda or (interpreting() and x.device.type == "cpu")):
        raise ValueError(
            f"{name} must be on a CUDA device, or TRITON_INTERPRET be 1 when triton is imported"
            f": got {name} on {x.device}"
        )
    if x.dtype == torch.float64:
        raise TypeError(f"{name} must be float32, bfloat16 or float16: got {x.dtype}")


def padded(x: Tensor) -> Tensor:
    """All leading axes as one, and zeros up to a width that the kernels take: a power of two."""
    width = max(16, 2 ** math.ceil(math.log2(x.shape[-1])))
    rows = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    return pad(rows, (0, width - x.shape[-1])).contiguous()


def precision(x: Tensor, capability: int) -> str:
    """How float32 is multiplied: as three products of TF32 parts, about as exact, or as it is
    where there is no TF32. Half precision is multiplied as it is.
    """
    if x.dtype == torch.float32:
        return "tf32x3" if capability >= 80 else "ieee"
    return "tf32"


def tile_sizes(q: Tensor, v: Tensor, capability: int, *, backward: bool = False) -> Sizes:
    """Tiles that fit into the registers and the shared memory of a card.

    Found by compiling for each capability (`tests/kernels/offline.py`): the largest of which no
    register is spilled to memory on an H100. (With float32, width 128 and backward, even the
    smallest spill some.) An L4 or an RTX has less shared memory: one tile less is under way. Below
    8.0 (a T4) Triton 3.7 multiplies without tensor cores, and tiles are small.
    """
    d, e = q.shape[-1], v.shape[-1]
    sizes = partial(Sizes, d=d, e=e, precision=precision(q, capability))
    if interpreting():  # small, so that small inputs have several tiles
        return sizes(rows=32, keys=16, warps=1, stages=1)
    if capability < 80:
        small = 16 if backward and q.dtype == torch.float32 and max(d, e) > 64 else 32
        return sizes(rows=small, keys=small, warps=8 if max(d, e) > 64 else 4, stages=1)
    roomy = max(d, e) <= 64 or SHARED.get(capability, LEAST_SHARED) > LEAST_SHARED
    if q.dtype == torch.float32:
        return sizes(
            rows=32 if backward else 64, keys=32, warps=4, stages=1 if backward or not roomy else 2
        )
    warps = 8 if max(d, e) > 64 else 4
    if backward:
        return sizes(rows=64, keys=64, warps=warps, stages=2)
    return sizes(rows=128, keys=64, warps=warps, stages=3 if roomy else 2)


def launch(
    kernel: Any, grid: tuple[int, int, int], arguments: tuple[Any, ...], sizes: Sizes
) -> None:
    """Run one program for each block of `grid` = (length, block, heads)."""
    length, block, heads = grid
    if heads == 0:
        return
    kernel[(triton.cdiv(length, block), heads)](
        *arguments,
        ROWS=sizes.rows,
        KEYS=sizes.keys,
        D=sizes.d,
        E=sizes.e,
        PRECISION=sizes.precision,
        num_warps=sizes.warps,
        num_stages=sizes.stages,
    )
