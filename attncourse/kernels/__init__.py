"""Kernels in Triton, written to be read: each is the inner loop of one mechanism, tile by tile."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch


def available(module: str, name: str) -> tuple[Callable[..., Any], ...]:
    """The function `name` of one of the modules here, if Triton and a CUDA device are there.

    A mechanism names its kernel so among its FORMS; where it cannot run, it is no form.
    """
    if find_spec("triton") is None or not torch.cuda.is_available():
        return ()
    return (getattr(import_module(f"{__name__}.{module}"), name),)
