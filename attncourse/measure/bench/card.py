"""The card that was found, and which cases it cannot run: they are counted, not forgotten."""

from dataclasses import dataclass

import torch

from attncourse.measure.bench.case import Case

TENSOR_CORES_OF_TRITON = (
    80  # below it Triton multiplies without tensor cores, some kernels are none
)


@dataclass(frozen=True)
class Card:
    """What decides which kernels run: the compute capability (75 for a T4), and whose card it is.

    On AMD's, capability is that of ROCm and says nothing about NVIDIA's.
    """

    capability: int
    amd: bool = False

    @property
    def half(self) -> torch.dtype:
        """bfloat16, or float16 where the card only imitates it (a T4)."""
        imitated = not self.amd and self.capability < TENSOR_CORES_OF_TRITON
        return torch.float16 if imitated else torch.bfloat16

    def lacks(self, case: Case) -> str:
        """Why the card does not run a case, or nothing where it does."""
        if self.amd and case.nvidia:
            return "card: written for NVIDIA, not tried on AMD"
        if not self.amd and self.capability < case.capability:
            wanted, found = (f"{each / 10:.1f}" for each in (case.capability, self.capability))
            return f"card: needs compute capability {wanted}, this is {found}"
        return ""


def card_found(device: str = "cuda") -> Card | None:
    """The card that PyTorch has found, None without one."""
    if device == "cpu" or not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(device)
    return Card(10 * major + minor, amd=torch.version.hip is not None)
