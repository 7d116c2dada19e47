"""Graphics cards and their published ceilings, from `book/data/devices.yml`."""

import difflib
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

import attncourse

FILE = "devices.yml"
FORMATS = {
    "fp32": "fp32",
    "tf32": "tf32",
    "fp16": "fp16",
    "bf16": "bf16",
    "float32": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
}


@dataclass(frozen=True)
class Device:
    """A card as its vendor describes it; nothing here was measured.

    flops: operations a second in dense matrix products, by number format (fp32, tf32, fp16, bf16),
    None where the card has none. bandwidth in bytes a second, memory, l2 and shared (for each of
    its processors) in bytes. names are what PyTorch calls it, sources the vendor's papers.
    """

    name: str
    names: tuple[str, ...]
    vendor: str
    capability: str
    flops: dict[str, float | None]
    bandwidth: float
    memory: int
    l2: int
    shared: int
    processors: int
    sources: tuple[str, ...]

    def peak(self, dtype: torch.dtype | str) -> float:
        """Operations a second in a number format. Raises ValueError where it has none."""
        name = format_name(dtype)
        found = self.flops[name]
        if found is None:
            there = ", ".join(each for each, peak in self.flops.items() if peak is not None)
            raise ValueError(f"dtype must be one of {there} on {self.name}: got {name}")
        return found

    @property
    def half(self) -> torch.dtype:
        """The half precision to use: bfloat16 or, where the card has none (a T4), float16."""
        return torch.float16 if self.flops["bf16"] is None else torch.bfloat16


def format_name(dtype: torch.dtype | str) -> str:
    """fp32, tf32, fp16 or bf16, for a dtype or a name. Raises ValueError for another."""
    word = str(dtype).removeprefix("torch.")
    if word not in FORMATS:
        raise ValueError(f"dtype must be one of {', '.join(FORMATS)}: got {word}")
    return FORMATS[word]


@cache
def devices() -> dict[str, Device]:
    """The cards of `book/data/devices.yml` by name, in the order of the file.

    >>> devices()["T4"].bandwidth  # bytes a second
    320000000000.0
    """
    import yaml

    places = [
        Path(attncourse.__file__).parents[1] / "book" / "data" / FILE,
        Path(sysconfig.get_path("data")) / "share" / "attncourse" / FILE,
    ]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"there is no file data/{FILE}")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: _device(name, entry) for name, entry in data.items()}


def named(name: str) -> Device:
    """The card that torch.cuda.get_device_name, or devices.yml, calls so.

    Raises ValueError, in one sentence, for a card of which no ceilings are known here: a
    name that is merely like it may be a card with another memory (a laptop's, a PCIe card).

    >>> named("Tesla T4").name
    'T4'
    """
    known = {each: device for device in devices().values() for each in device.names}
    known |= devices()
    folded = {each.casefold(): device for each, device in known.items()}
    found = folded.get(name.strip().casefold())
    if found is not None:
        return found
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    but = f"; the nearest, {folded[near[0]].name}, is another card" if near else ""
    raise ValueError(
        f"a card must be in data/{FILE} for its ceilings to be known: got {name}"
        f"{but}; `attncourse bench --suite roofline` measures them"
    )


def _device(name: str, entry: dict[str, Any]) -> Device:
    return Device(
        name=name,
        names=tuple(entry["names"]),
        vendor=entry["vendor"],
        capability=entry["capability"],
        flops={
            each: None if peak is None else peak * 1e12 for each, peak in entry["teraflops"].items()
        },
        bandwidth=entry["gigabytes_per_second"] * 1e9,
        memory=entry["gigabytes"] * 10**9,
        l2=entry["l2_mebibytes"] * 2**20,
        shared=entry["shared_kibibytes"] * 2**10,
        processors=entry["processors"],
        sources=tuple(entry["sources"]),
    )
