"""Compiles every kernel for cards that are not here, and says what came of it.

python tests/kernels/offline.py [75 80 86 89 90] [fp16 bf16 fp32] [64 128] [--json]

With nothing named: every architecture, in its own half precision, both widths. Triton must not be
interpreting, so this is a process by itself. Tile sizes, number format and precision are those
with which kernels are started on such a card; shared memory is what Triton asks for, registers and
spills what NVIDIA's assembler says (ptxas -v, which comes with Triton). What does not compile is a
line too, and makes the script end with 1.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from attncourse.kernels import band, chunks
from attncourse.kernels.launch import SHARED, precision, tile_sizes
from attncourse.kernels.linear import chunk_length, widest

FLOAT32 = {"lse", "mean", "states", "scale"}
POINTERS = {"q", "k", "v", "out", "lse", "grad", "mean", "d_q", "d_k", "d_v"}
POINTERS |= {"a", "b", "c", "states"}
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
DTYPES = {name: dtype for dtype, name in TYPES.items()}
HALVES = {75: "fp16", 80: "bf16", 86: "bf16", 89: "bf16", 90: "bf16"}
WIDTHS = 64, 128


def compiled(name, kernel, x, capability, constants, **options):
    """Compile a kernel for matrices like x: what it takes of a processor, or why it does not."""
    line = {"capability": capability, "kernel": name, "width": x.shape[-1]}
    line |= {"dtype": TYPES[x.dtype], "tile": tile(constants), "warps": options["num_warps"]}
    try:
        made = triton.compile(
            source_of(kernel, x, constants),
            target=GPUTarget("cuda", capability, 32),
            options=options,
        )
    except Exception as error:
        return line | {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    ptx = made.asm["ptx"]
    line |= {"shared": made.metadata.shared, "limit": SHARED[capability]}
    return line | {"tensor_cores": len(re.findall(r"\b(?:wg)?mma\.\w+", ptx)), **assembled(ptx)}


def source_of(kernel, x, constants):
    """The kernel with the types of its arguments."""
    float32 = FLOAT32 | ({"out"} if kernel is chunks.read else set())

    def kind(argument):
        if argument in constants:
            return "constexpr"
        if argument in POINTERS:
            return "*" + ("fp32" if argument in float32 else TYPES[x.dtype])
        return "fp32" if argument in float32 else "i32"

    names = kernel.arg_names
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if n in POINTERS}
    return ASTSource(kernel, {n: kind(n) for n in names}, constexprs=constants, attrs=aligned)


def tile(constants):
    """ROWS x KEYS, or the tokens of a chunk."""
    return "x".join(str(constants[name]) for name in ("ROWS", "KEYS", "CHUNK") if name in constants)


def assembled(ptx):
    """Registers of a thread, and bytes of them that are kept in memory, as the assembler says."""
    target = re.search(r"^\.target (\S+?),?$", ptx, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [knobs.nvidia.ptxas.path, "-v", f"--gpu-name={target[1]}", str(source)]
        said = subprocess.run(
            [*command, "-o", "/dev/null"], capture_output=True, text=True, check=True
        ).stderr
    return {
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),
        "spilled": sum(int(n) for n in re.findall(r"(\d+) bytes spill stores", said)),
    }


def all_kernels(x, capability):
    """Every kernel with the tile sizes for matrices like x on such a card."""
    width, exact = x.shape[-1], precision(x, capability)
    for name in ("forward", "backward_queries", "backward_keys"):
        sizes = tile_sizes(x, x, capability, backward=name != "forward")
        constants = {"ROWS": sizes.rows, "KEYS": sizes.keys, "D": width, "E": width}
        constants["PRECISION"] = sizes.precision
        options = {"num_warps": sizes.warps, "num_stages": sizes.stages}
        yield compiled(name, getattr(band, name), x, capability, constants, **options)
    chunk = chunk_length(x, capability)
    columns = widest(width, capability)
    constants = {"CHUNK": chunk, "A": width, "C": columns, "PRECISION": exact}
    yield compiled("write", chunks.write, x, capability, constants, num_warps=8)
    for backwards in (False, True):
        wanted = constants | {"BACKWARDS": backwards}
        name = "read, backwards" if backwards else "read"
        yield compiled(name, chunks.read, x, capability, wanted, num_warps=8)


def in_words(line):
    """A line of the table."""
    head = f"sm_{line['capability']} {line['dtype']} {line['width']:4} {line['kernel']:16}"
    if "error" in line:
        return f"{head} does not compile: {line['error']}"
    return (
        f"{head} {line['tile']:>7} x{line['warps']} {line['shared'] / 1024:6.1f} of"
        f" {line['limit'] // 1024:3} KiB {line['registers']:4} registers"
        f" {line['spilled']:5} B spilled {line['tensor_cores']:4} mma"
    )


def main(words):
    """Compile what is asked for; 1 where something does not compile."""
    capabilities = [int(word) for word in words if word.isdigit() and int(word) in HALVES]
    widths = [int(word) for word in words if word.isdigit() and int(word) in WIDTHS]
    lines = []
    for capability in capabilities or HALVES:
        for dtype in [w for w in words if w in DTYPES] or [HALVES[capability]]:
            for width in widths or WIDTHS:
                x = torch.empty(1, 1, width, dtype=DTYPES[dtype], device="meta")
                for line in all_kernels(x, capability):
                    print(json.dumps(line) if "--json" in words else in_words(line), flush=True)
                    lines.append(line)
    failed = sum("error" in line for line in lines)
    if "--json" not in words:
        print(f"{len(lines)} compiled for, {failed} of them in vain")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
