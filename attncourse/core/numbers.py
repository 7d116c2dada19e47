"""Numbers as people have them: an int may be NumPy's, or stand for a size that is not known yet."""

import numbers
import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode


def plain_number(name: str, kind: type, value: Any) -> Any:
    """The value as `kind`: an int, a float or a bool; a symbolic number as it is.

    An int is whatever ``operator.index`` takes but a Boolean: NumPy's integers, a tensor of one
    integer (such are the sizes while ``jit.trace`` runs), a symbolic size (``torch.export``). A
    float is any real number, symbolic or not, but a tensor, whose gradient would be lost (an int
    stays one); a bool is Python's or NumPy's. Raises TypeError for all else.
    """
    if type(value) is kind:
        return value
    found = _CONVERTED[kind](value)
    if found is None:
        raise TypeError(f"{name} must be {_NOUNS[kind]}: got {article(type(value).__name__)}")
    return found


def _integer(value: Any) -> Any:
    if isinstance(value, torch.SymInt):
        return value
    unknown = isinstance(value, Tensor) and (value.dtype == torch.bool or value.is_meta)
    if isinstance(value, bool) or unknown:
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _real(value: Any) -> Any:
    if isinstance(value, torch.SymInt | torch.SymFloat):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return value if isinstance(value, int | float) else float(value)


def _truth(value: Any) -> Any:
    return bool(value) if isinstance(value, np.bool_) else None


_CONVERTED = {int: _integer, float: _real, bool: _truth}
_NOUNS = {int: "an integer", float: "a number", bool: "True or False"}


def article(noun: str) -> str:
    """The noun with its article: a list, an ndarray, None."""
    vowel = noun[0] in "aeio" or noun == "ndarray"
    return "None" if noun == "NoneType" else f"{'an' if vowel else 'a'} {noun}"


def holds_numbers(x: Tensor) -> bool:
    """Can the entries of x be looked at in this call, to see whether they are right?

    Not on the meta device, and not while a graph is made of the call, which must do for other
    entries too: torch.compile, torch.export, make_fx.
    """
    return not (x.is_meta or torch.compiler.is_compiling() or _recorded(x))


def decides(x: Tensor) -> bool:
    """May the entries of x decide what is computed next? On the meta device there are none.

    torch.compile makes several graphs of such a function. Raises RuntimeError where one graph must
    do for all entries: torch.export, make_fx.
    """
    if x.is_meta:
        return False
    if _recorded(x):
        raise RuntimeError(
            "what is computed next must not depend on numbers while one graph is recorded for all"
            ": got a function that looks at them, which torch.compile takes in several graphs"
        )
    return True


def _recorded(x: Tensor) -> bool:
    """Is torch.export or make_fx at work?"""
    if torch.compiler.is_dynamo_compiling():
        return False
    return isinstance(x, FakeTensor) or get_proxy_mode() is not None
