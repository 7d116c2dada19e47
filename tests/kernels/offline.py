"""Compiles every kernel for an H100, without one, and prints what came of it, a JSON line each.

Run by itself, since Triton must not be interpreting: python tests/kernels/offline.py bf16 fp32.
Tile sizes are those with which kernels are started.
"""

import json
import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from attncourse.kernels import band, chunks
from attncourse.kernels.launch import precision, tile_sizes
from attncourse.kernels.linear import chunk_length

H100 = GPUTarget("cuda", 90, 32)
FLOAT32 = {"lse", "mean", "states", "scale"}
POINTERS = {"q", "k", "v", "out", "lse", "grad", "mean", "d_q", "d_k", "d_v"}
POINTERS |= {"a", "b", "c", "states"}
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def compiled(name, kernel, x, constants, **options):
    """Compile a kernel for matrices like x, and say how much shared memory it takes, and how it
    multiplies.
    """
    float32 = FLOAT32 | ({"out"} if kernel is chunks.read else set())

    def kind(argument):
        if argument in constants:
            return "constexpr"
        if argument in POINTERS:
            return "*" + ("fp32" if argument in float32 else TYPES[x.dtype])
        return "fp32" if argument in float32 else "i32"

    names = kernel.arg_names
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if n in POINTERS}
    source = ASTSource(kernel, {n: kind(n) for n in names}, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=H100, options=options)
    return {
        "kernel": name,
        "width": x.shape[-1],
        "dtype": TYPES[x.dtype],
        "shared": made.metadata.shared,
        "wgmma": made.asm["ptx"].count("wgmma.mma_async"),
    }


def all_kernels(x):
    """Every kernel with the tile sizes for matrices like x."""
    width = x.shape[-1]
    for name in ("forward", "backward_queries", "backward_keys"):
        sizes = tile_sizes(x, x, backward=name != "forward")
        constants = {"ROWS": sizes.rows, "KEYS": sizes.keys, "D": width, "E": width}
        constants["PRECISION"] = sizes.precision
        options = {"num_warps": sizes.warps, "num_stages": sizes.stages}
        yield compiled(name, getattr(band, name), x, constants, **options)
    constants = {"CHUNK": chunk_length(x), "A": width, "C": width, "PRECISION": precision(x)}
    yield compiled("write", chunks.write, x, constants, num_warps=8)
    for backwards in (False, True):
        yield compiled("read", chunks.read, x, constants | {"BACKWARDS": backwards}, num_warps=8)


if __name__ == "__main__":
    wanted = [dtype for dtype, name in TYPES.items() if name in sys.argv[1:]]
    for dtype in wanted:
        for width in (64, 128):
            for line in all_kernels(torch.empty(1, 1, width, dtype=dtype, device="meta")):
                print(json.dumps(line), flush=True)
