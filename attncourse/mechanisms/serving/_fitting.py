"""Whether new tokens fit those that are held already."""

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
