"""What measures: for each kind of device a clock, a gauge of memory, the ceilings, the effort."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from attncourse.measure import gpu
from attncourse.measure.bench.card import Card, card_found
from attncourse.measure.bench.case import name_of
from attncourse.measure.memory import peak_bytes
from attncourse.measure.roofline import Ceilings, measured_ceilings
from attncourse.measure.timing import Call, Clock, Effort, WallClock

QUICK_ON_A_CARD = Effort(least=5, most=10, seconds=0.02)


@dataclass(frozen=True)
class Instrument:
    """A device and how to measure on it.

    ceilings are those of the device, by dtype. peak tells the peak memory of a call, launch how
    long Python takes over it, where the device works on by itself; card says which cases run. A
    call is given `copies` sets of inputs of a given size in bytes, and `free` tells the bytes that
    are left.
    """

    ceilings: dict[str, Ceilings]
    clock: Clock = field(default_factory=WallClock)
    peak: Callable[..., int] = peak_bytes
    effort: Effort = field(default_factory=Effort)
    device: str = "cpu"
    launch: Callable[[Call], float] | None = None
    card: Card | None = None
    copies: Callable[[int], int] = field(default_factory=lambda: _one)
    free: Callable[[], float] = field(default_factory=lambda: _unbounded)


def instrument_for(
    device: str, dtypes: Iterable[torch.dtype], *, quick: bool = False
) -> Instrument:
    """The instrument for "cpu" or "cuda", with the ceilings measured now."""
    if device == "cpu":
        clock: Clock = WallClock()
        effort = Effort(least=3, most=5, seconds=0.1) if quick else Effort()
        return Instrument(_ceilings(clock, device, dtypes, quick), clock=clock, effort=effort)
    clock = gpu.CudaClock(device)
    return Instrument(
        _ceilings(clock, device, dtypes, quick),
        clock=clock,
        peak=partial(gpu.cuda_peak_bytes, device=device),
        effort=QUICK_ON_A_CARD if quick else Effort(10, 50, 0.2, 2.0),
        device=device,
        card=card_found(device),
        launch=partial(gpu.launch_seconds, device=device),
        copies=partial(_copies, gpu.cache_bytes(device)),
        free=partial(_free, device),
    )


def _one(size: int) -> int:
    return 1


def _unbounded() -> float:
    return float("inf")


def _ceilings(
    clock: Clock, device: str, dtypes: Iterable[torch.dtype], quick: bool
) -> dict[str, Ceilings]:
    measure: Any = partial(measured_ceilings, clock=clock, device=device, quick=quick)
    return {name_of(dtype): measure(dtype=dtype) for dtype in dict.fromkeys(dtypes)}


def _copies(cache: int, size: int) -> int:
    """As many sets of inputs as fill the cache twice, but not more than 8."""
    return min(8, 1 + 2 * cache // max(size, 1))


def _free(device: str) -> float:
    return float(torch.cuda.mem_get_info(device)[0])
