"""What torch.compile makes of attention on this CPU: kernels it writes, library calls it keeps.

    python bench/kernels.py --out book/data/kernels.json

Counted in the program that the compiler (Inductor) writes: kernels of its own, and calls of kernels
that PyTorch has ready. No clock. A compiler that is new finds other patterns: the versions are in
the file.
"""

import argparse
import re
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._inductor.utils import run_and_get_code
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.testing import gaussian

OWN = re.compile(r"^(\w+) = async_compile\.cpp", re.MULTILINE)
READY = re.compile(
    r"^\s+(?:buf\d+ = )?(?:extern_kernels\.(\w+)|torch\.ops\.aten\.(\w+))", re.MULTILINE
)


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """Five operators: square, mean, inverse root, two products."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


def three_lines(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as it is written down."""
    scores = q @ k.mT / 8
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


def capped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same with scores that are bent to at most 50, as Gemma 2 does."""
    scores = 50 * torch.tanh(q @ k.mT / 8 / 50)
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


def _cap(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return 50 * torch.tanh(score / 50)


def flex_capped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The cap as a rule of FlexAttention."""
    return flex_attention(q, k, v, score_mod=_cap)


def heads(*lead: int) -> tuple[Tensor, ...]:
    """Queries, keys and values of 256 tokens and width 64."""
    return tuple(gaussian(*lead, 256, 64, seed=i).float() for i in range(3))


CASES: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "rms_norm": (rms_norm, (heads()[0], torch.ones(64))),
    "three lines, one head": (three_lines, heads()),
    "three lines, (1, 2) heads": (three_lines, heads(1, 2)),
    "capped, (1, 2) heads": (capped, heads(1, 2)),
    "SDPA": (scaled_dot_product_attention, heads(1, 2)),
    "Flex, capped": (flex_capped, heads(1, 2)),
}


class _Counted(TorchDispatchMode):
    """Counts the operators that compute something: views of a tensor do not."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def operators(function: Callable[..., Tensor], arguments: tuple[Tensor, ...]) -> int:
    """How many operators run one after the other where nothing is compiled.

    Not of FlexAttention, which PyTorch lets no mode look into.
    """
    with torch.no_grad(), _Counted() as counted:
        function(*arguments)
    return counted.count


def compiled(name: str) -> dict[str, Any]:
    """What the compiler made of one case; its result is the function's own."""
    function, arguments = CASES[name]
    torch._dynamo.reset()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without")
        eager = None if function is flex_capped else operators(function, arguments)
        out, codes = run_and_get_code(torch.compile(function), *arguments)
        torch.testing.assert_close(out, function(*arguments), rtol=1e-4, atol=1e-5)
    code = "\n".join(codes)
    ready = sorted(a or b for a, b in READY.findall(code))
    own = sorted(OWN.findall(code))
    return {"operators": eager, "own": own, "ready": ready}


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/kernels.py --out {options.out}"
    about = provenance(command, [])
    results = {}
    for name in CASES:
        results[name] = compiled(name)
        print(name, results[name], flush=True)
    seconds = time.perf_counter() - start
    write_experiment(options.out, {"compiled": results}, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
