"""Triton for programs that run on the CPU: its interpreter, one operation after the other.

Triton reads TRITON_INTERPRET when it is imported: on a machine without a CUDA device it is set
here, unless it is set already. A program that is interpreted may read and write only the tensors
that it was given: elsewhere it raises IndexError, where otherwise it would end Python, or worse.
Triton is published for Linux; where it is missing, both names are there and say so when they are
used.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

__all__ = ["tl", "triton"]


class _Missing:
    """Stands where a module is missing, until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError(f"Triton is missing, which is published for Linux: no {name}")


def _fence() -> None:
    """Let the interpreter look at each address before it reads or writes there."""
    from triton.runtime.interpreter import GridExecutor, InterpreterBuilder

    prepare = GridExecutor._init_args_hst
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store
    tensors: list[tuple[int, int]] = []  # where those of the running kernel begin and end

    def prepare_and_remember(self: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = prepare(self, args, kwargs)
        given = [getattr(x, "base", x) for x in (*args, *kwargs.values())]
        storages = [x.untyped_storage() for x in given if isinstance(x, torch.Tensor)]
        tensors[:] = [(s.data_ptr(), s.data_ptr() + s.nbytes()) for s in storages]
        return args, kwargs

    def check(what: str, pointers: Any, mask: Any) -> None:
        places = pointers.data[mask.data]
        inside = sum((places >= start) & (places < end) for start, end in tensors)
        if places.size and not (inside > 0).all():
            raise IndexError(f"a program {what} outside of the tensors that it was given")

    def load_inside(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        check("reads", pointers, mask)
        return load(self, pointers, mask, *rest)

    def store_inside(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        check("writes", pointers, mask)
        return store(self, pointers, value, mask, *rest)

    GridExecutor._init_args_hst = prepare_and_remember
    InterpreterBuilder.create_masked_load = load_inside
    InterpreterBuilder.create_masked_store = store_inside


tl: Any = _Missing()
triton: Any = _Missing()
if find_spec("triton") is not None:
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")
    triton, tl = import_module("triton"), import_module("triton.language")
    if os.environ.get("TRITON_INTERPRET") == "1":
        _fence()
