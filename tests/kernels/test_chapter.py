"""The program on the page of the chapter on kernels compiles for cards that are not here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from attncourse.measure.experiment import measured

ROOT = Path(__file__).parents[2]
OURS = "watch("  # the interpreter alone can call Python
# backend, architecture, threads of a warp; KiB of shared memory that a program may have
CARDS = {("cuda", 80, 32): 163, ("cuda", 90, 32): 227, ("hip", "gfx942", 64): 64}
COMPILE = """
for card in {cards}:
    for kind in ("fp32", "fp16"):
        pointers = dict.fromkeys(("q", "k", "v", "out"), f"*{{kind}}") | {{"lse": "*fp32"}}
        numbers = {{"scale": "fp32", "n": "i32", "m": "i32"}}
        constants = {{"RULE": causal, "ROWS": 64, "KEYS": 32, "D": 64}}
        kinds = pointers | numbers | dict.fromkeys(constants, "constexpr")
        kinds = {{name: kinds[name] for name in flash.arg_names}}
        source = ASTSource(flash, kinds, constexprs=constants)
        options = {{"num_warps": 4, "num_stages": 2}}
        made = triton.compile(source, target=GPUTarget(*card), options=options)
        assembly = made.asm.get("ptx") or made.asm["amdgcn"]
        tiles = "mma" in assembly or "mfma" in assembly
        print(json.dumps([card, kind, made.metadata.shared, tiles]))
"""


def programs():
    """The cells with Triton's programs, without the line that is ours."""
    notebook = nbformat.read(ROOT / "book" / "kernels.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    cells = [source for source in code if "@triton.jit" in source]
    lines = [line for source in cells for line in source.splitlines() if OURS not in line]
    return "\n".join(lines)


def test_the_program_of_the_page_compiles_and_fits(tmp_path):
    heads = (
        "import json, math, triton, triton.language as tl",
        "from triton.backends.compiler import GPUTarget",
        "from triton.compiler import ASTSource",
    )
    script = tmp_path / "compiled.py"
    script.write_text("\n".join((*heads, programs(), COMPILE.format(cards=list(CARDS)))))
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2 * len(CARDS)
    for card, kind, shared, tiles in found:
        assert shared <= CARDS[tuple(card)] * 1024
        assert tiles or kind == "fp32"  # instructions that multiply tiles


def test_what_the_page_says_of_the_compiler_is_what_was_counted():
    compiled = measured("kernels").results["compiled"]
    count = {name: len(made["own"]) + len(made["ready"]) for name, made in compiled.items()}
    assert count["rms_norm"] == count["three lines, (1, 2) heads"] == count["SDPA"] == 1
    assert count["three lines, one head"] == count["capped, (1, 2) heads"] == 3
    assert compiled["three lines, (1, 2) heads"]["ready"] == compiled["SDPA"]["ready"]


@pytest.mark.by_turns
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of the compiler's own
def test_the_compiler_is_counted_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    path = ROOT / "bench" / "kernels.py"
    spec = importlib.util.spec_from_file_location("bench_kernels", path)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    for name in ("three lines, one head", "three lines, (1, 2) heads"):
        assert bench.compiled(name) == measured("kernels").results["compiled"][name]
