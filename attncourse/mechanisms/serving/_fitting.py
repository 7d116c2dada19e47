"""Whether new tokens fit those that are held already, and where they are held."""

import torch
from torch import Tensor


def check_fits(name: str, new: Tensor, place: str, token: tuple[int, ...], held: Tensor) -> None:
    """Does a new k or v fit what is held in `place`, tokens of a shape, in all but their number?"""
    if but_tokens(new) != token:
        raise ValueError(
            f"{name} must fit the {place} in all axes but that of tokens, the second-to-last"
            f": got {tuple(new.shape)} for {name} and tokens of {token} in the {place}"
        )
    if (new.dtype, new.device) != (held.dtype, held.device):
        raise TypeError(
            f"{name} must share dtype and device with the {place}: got {new.dtype} on {new.device}"
            f" for {name} and {held.dtype} on {held.device} in the {place}"
        )


def but_tokens(x: Tensor) -> tuple[int, ...]:
    """The shape of one token of x (..., c, d)."""
    return (*x.shape[:-2], x.shape[-1])


@torch.inference_mode(False)
def room_like(x: Tensor, *shape: int) -> Tensor:
    """Room for numbers like those of x, which may be written to in inference mode and outside."""
    return torch.empty(shape, dtype=x.dtype, device=x.device)
