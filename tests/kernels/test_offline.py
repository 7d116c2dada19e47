"""The kernels compile for a GPU that is not here: the interpreter alone would not tell.

In bfloat16; float32 takes longer to compile, and `offline.py fp32` tells of it.

What an H100 has: 227 KiB of shared memory for a program, and instructions for whole tiles (wgmma).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = {"forward", "backward_queries", "backward_keys", "write", "read"}
SHARED = 227 * 1024


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What offline.py prints, from a process in which Triton does not interpret."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    script = Path(__file__).with_name("offline.py")
    done = subprocess.run(
        [sys.executable, str(script), "bf16"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_compiles_in_every_width(compiled):
    found = {(line["kernel"], line["width"]) for line in compiled}
    assert found == {(kernel, width) for kernel in KERNELS for width in (64, 128)}


def test_none_asks_for_more_shared_memory_than_there_is(compiled):
    assert {line["kernel"]: line["shared"] for line in compiled if line["shared"] > SHARED} == {}


def test_half_precision_is_multiplied_by_whole_tiles(compiled):
    assert [line for line in compiled if not line["wgmma"]] == []
