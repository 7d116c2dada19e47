"""The two floors under every time, arithmetic and bandwidth, and how high this machine's lie."""

import math
from dataclasses import dataclass

import torch

from attncourse.core.shapes import checked
from attncourse.measure.timing import Clock


@checked
def roofline_seconds(
    flops: float, bytes_moved: float, peak_flops: float, peak_bandwidth: float
) -> float:
    """The least time that work can take: max(flops / peak_flops, bytes / peak_bandwidth).

    Arithmetic and transfer overlap at best, so the larger of the two bounds the time from below.
    flops in operations, bytes_moved in bytes, the peaks in operations and bytes per second; the
    result in seconds.

    Raises ValueError where work is negative or a peak is not positive, or any is infinite or NaN.
    Source: Williams, Waterman and Patterson 2009.

    >>> roofline_seconds(6e9, 1e9, 1e12, 1e11)  # arithmetic 6 ms, transfer 10 ms
    0.01
    """
    work = {"flops": flops, "bytes_moved": bytes_moved}
    peaks = {"peak_flops": peak_flops, "peak_bandwidth": peak_bandwidth}
    for name, value in (work | peaks).items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite: got {name}={value}")
    for name, value in work.items():
        if value < 0:
            raise ValueError(f"{name} must be at least 0: got {name}={value}")
    for name, value in peaks.items():
        if value <= 0:
            raise ValueError(f"{name} must be above 0: got {name}={value}")
    return max(flops / peak_flops, bytes_moved / peak_bandwidth)


@checked
def sdpa_floor_bytes(n: int, m: int, d: int, e: int, bytes_per_element: int) -> int:
    """Bytes that attention of one head cannot avoid to move: (n d + m d + m e + n e) elements.

    Queries, keys and values are read once, the output is written once; scores and weights, which
    a fused form never stores, do not count.

    Raises ValueError unless every number is at least 1.
    Source: Dao et al. 2022, section 3.2, on what a fused form saves.

    >>> sdpa_floor_bytes(1024, 1024, 64, 64, 2) / 2**20  # four matrices of 128 KiB
    0.5
    """
    sizes = {"n": n, "m": m, "d": d, "e": e, "bytes_per_element": bytes_per_element}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1: got {name}={size}")
    return (n * d + m * d + m * e + n * e) * bytes_per_element


@dataclass(frozen=True)
class Ceilings:
    """What a machine reaches: operations per second in a matrix product, bytes per second."""

    flops: float
    bandwidth: float

    def floor(self, flops: float, bytes_moved: float) -> float:
        """`roofline_seconds` under these ceilings."""
        return roofline_seconds(flops, bytes_moved, self.flops, self.bandwidth)


def measured_ceilings(
    *, clock: Clock, device: str = "cpu", dtype: torch.dtype = torch.float32, quick: bool = False
) -> Ceilings:
    """The matrix rate and the copy bandwidth of this machine, each the best of several runs.

    The rate is that of a square product large enough to keep the arithmetic busy, 2 size^3 FLOPs.
    The bandwidth is that of a copy far larger than any cache, which reads and writes each byte
    once. A ceiling is a best case, hence the fastest run and not the median. On a device other
    than the CPU both are 4 and 8 times as large, and as many more runs are made.
    """
    size, megabytes, rounds = (1024, 64, 5) if quick else (2048, 256, 10)
    if device != "cpu":
        size, megabytes, rounds = 4 * size, 8 * megabytes, 4 * rounds
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    source = torch.ones(megabytes * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(clock.seconds(lambda: a @ b) for _ in range(rounds))
    copy = min(clock.seconds(lambda: target.copy_(source)) for _ in range(rounds))
    return Ceilings(flops=2 * size**3 / product, bandwidth=2 * source.numel() / copy)
