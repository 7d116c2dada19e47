"""The least time that counted work can take on a card that is not at hand: predicted, not measured.

A `Prediction` is no number: it has `seconds`, but cannot be added to measurements, compared with
them or drawn among them by mistake. Where it is drawn, `STYLE` and the word in its `label` say so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attncourse.core.shapes import checked
from attncourse.measure.cost import flops
from attncourse.measure.devices import Device, format_name, named
from attncourse.measure.roofline import roofline_seconds

WORD = "predicted"
STYLE: dict[str, Any] = {"marker": "D", "markerfacecolor": "none", "linestyle": ":"}
"""How matplotlib draws predictions: open diamonds on a dotted line; measurements are neither."""

Bound = Literal["arithmetic", "bandwidth"]


@dataclass(frozen=True)
class Work:
    """What a call has to do: FLOPs counted, and bytes that must move at least once."""

    flops: int
    moved_bytes: int

    @property
    def intensity(self) -> float:
        """FLOPs for each byte: what the roofline has on its horizontal axis."""
        return self.flops / self.moved_bytes

    def __mul__(self, times: int) -> "Work":
        return Work(self.flops * times, self.moved_bytes * times)


@dataclass(frozen=True)
class Prediction:
    """The least seconds for some work on a device, and which ceiling sets them.

    No hardware was involved. It is a floor: launches, caches, and what a form does besides its
    matrix products come on top.
    """

    device: str
    dtype: str
    work: Work
    seconds: float
    bound: Bound

    @property
    def label(self) -> str:
        """For a legend: the device, and that it is predicted."""
        return f"{self.device}, {WORD}"

    def __str__(self) -> str:
        return f"{WORD} for {self.device}, {self.dtype}: {self.seconds:.3g} s, by {self.bound}"


@checked
def predicted(work: Work, device: Device | str, dtype: torch.dtype | str) -> Prediction:
    """The least time of work on a device: max(FLOPs / peak, bytes / bandwidth), in seconds.

    peak is the published rate of dense matrix products in the dtype, bandwidth that of the card's
    memory. The bound is the larger of the two: "arithmetic", or "bandwidth" where the transfer
    takes as long or longer. dtype is a torch.dtype or one of fp32, tf32, fp16, bf16.

    Raises ValueError for a card or a format that is not in `data/devices.yml`.
    Source: Williams, Waterman and Patterson 2009 (roofline); the cards' data sheets are named in
    the file.

    >>> x = torch.empty(4096, 64, dtype=torch.float16, device="meta")
    >>> predicted(work_of(attention, x, x, x), "T4", torch.float16).bound
    'arithmetic'
    """
    card = named(device) if isinstance(device, str) else device
    peak = card.peak(dtype)
    seconds = roofline_seconds(work.flops, work.moved_bytes, peak, card.bandwidth)
    arithmetic = work.flops / peak > work.moved_bytes / card.bandwidth
    bound: Bound = "arithmetic" if arithmetic else "bandwidth"
    return Prediction(card.name, format_name(dtype), work, seconds, bound)


def work_of(function: Callable[..., Any], *inputs: Any) -> Work:
    """The work of one call: its matrix products counted, the tensors that it takes and returns.

    What a form writes in between does not count, since a fused form need not. Tensors on the
    device "meta" cost neither time nor memory, however long they are. An element that `expand`
    repeats counts as often as it is shown.

    >>> x = torch.empty(8, 1024, 64, dtype=torch.float16, device="meta")
    >>> work_of(attention, x, x, x)  # 4 h n n d FLOPs; four matrices of 1 MiB
    Work(flops=2147483648, moved_bytes=4194304)
    """
    returned: list[Any] = []
    counted = flops(lambda: returned.append(function(*inputs)))
    return Work(counted, _bytes(inputs) + _bytes(returned))


def _bytes(tensors: Any) -> int:
    leaves = (x for x in tree_leaves(tensors) if isinstance(x, Tensor))
    return sum(x.numel() * x.element_size() for x in leaves)
