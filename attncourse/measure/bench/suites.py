"""The suites of the bench, by name, for a device; cases are made when a suite is."""

from collections.abc import Callable

import torch

from attncourse.measure.bench.card import card_found
from attncourse.measure.bench.case import Case, Shape, Suite

GPU_LENGTHS = tuple(2**power for power in range(9, 18))  # 512 to 131072


def gpu_shapes(batch: int = 1) -> tuple[Shape, ...]:
    """16 heads, in the half precision of the card and in float32, d = 64 and 128."""
    card = card_found()
    half = card.half if card else torch.bfloat16
    dtypes = half, torch.float32
    return tuple(Shape(batch=batch, h=16, d=d, dtype=dtype) for dtype in dtypes for d in (64, 128))


def scaling(device: str = "cpu") -> Suite:
    """Every mechanism over the length, against PyTorch's attention over all pairs."""
    from attncourse.measure.bench import exact, linear, sparse

    cases = exact.CASES + sparse.CASES + linear.CASES
    if device == "cpu":
        return Suite("scaling", exact.SDPA, cases)
    from attncourse.measure.bench import cuda

    cases += cuda.SDPA + cuda.kernels()
    return Suite("scaling", exact.SDPA, cases, GPU_LENGTHS, GPU_LENGTHS[1:3], gpu_shapes())


def decode(device: str = "cpu") -> Suite:
    """One new token against PyTorch's attention to as many cached ones."""
    from attncourse.measure.bench import decode

    lengths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    if device == "cpu":
        return Suite("decode", decode.SDPA, decode.CASES, lengths, lengths[:2])
    lengths += 32768, 65536
    return Suite("decode", decode.SDPA, decode.CASES, lengths, lengths[:2], gpu_shapes(batch=8))


def kernels(device: str = "cpu") -> Suite:
    """What has a kernel of its own: full, causal, window and linear attention, by every form."""
    from attncourse.measure.bench import exact, linear, sparse

    full = "full", "full, in tiles", "full, causal", "full, causal, in tiles"
    names = (*full, "window 256, causal", "linear, causal")
    cases = _named(exact.CASES + sparse.CASES + linear.CASES, names)
    if device == "cpu":
        return Suite("kernels", exact.SDPA, cases, (1024, 2048, 4096, 8192))
    from attncourse.measure.bench import cuda

    cases += cuda.SDPA + cuda.FLEX + cuda.kernels()
    lengths = 2048, 4096, 8192, 16384, 32768, 65536
    return Suite("kernels", exact.SDPA, cases, lengths, lengths[:2], gpu_shapes())


def roofline(device: str = "cpu") -> Suite:
    """A few calls of every arithmetic intensity, to be drawn under the machine's ceilings."""
    from attncourse.measure.bench import exact, floors

    lengths, quick = (512, 1024, 2048, 4096), (256, 512)
    if device == "cpu":
        return Suite("roofline", exact.SDPA, floors.CASES, lengths, quick)
    lengths, quick = (2048, 4096, 8192, 16384), (1024, 2048)
    return Suite("roofline", exact.SDPA, floors.CASES, lengths, quick, gpu_shapes())


def _named(cases: tuple[Case, ...], names: tuple[str, ...]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.mechanism in names)


SUITES: dict[str, Callable[[str], Suite]] = {
    "scaling": scaling,
    "decode": decode,
    "kernels": kernels,
    "roofline": roofline,
}
