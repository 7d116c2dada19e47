"""Functions that an exercise asks to write: refused while the learner's code runs.

The operator itself is replaced in PyTorch's dispatcher, so that no alias, no method, no module
and no string that spells its name gets around; only what is Python in PyTorch is refused by name
(see `forbidden_python`). Refused is what returns the forbidden result, however it is called: the
list of those was found by calling everything in PyTorch with the ban on. What it is built of
stays allowed, such as exp, sum, logsumexp, normalize, cdist.
"""

import contextlib
import ctypes
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import torch
import torch.nn.functional
from torch.overrides import TorchFunctionMode

from attncourse.course import forbidden_python

# Where an operator may have a kernel of its own that a learner on a CPU could reach.
_KEYS = (
    "CPU",
    "CompositeImplicitAutograd",
    "CompositeExplicitAutograd",
    "NestedTensorCPU",
    "SparseCPU",
    "SparseCsrCPU",
    "MkldnnCPU",
    "QuantizedCPU",
)

# An operator goes by these names besides its own.
_VARIANTS = ("{}", "_{}", "{}_", "special_{}", "_safe_{}", "_sparse_{}", "_masked_{}", "_fused_{}")

_FUSED = (
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_flash_attention_forward",
    "_efficient_attention_forward",
    "_triton_scaled_dot_attention",
    "_scaled_dot_product_attention_math_for_mps",
    "_flash_attention_forward_no_dropout_inplace",
    "_cudnn_attention_forward",
    "flex_attention",
    "FlexAttentionHOP",
    "varlen_attn",
)
_LAYERS = (
    "multi_head_attention_forward",
    "_native_multi_head_attention",
    "_triton_multi_head_attention",
    "_transformer_encoder_layer_fwd",
)

# Classes that exponentiate and normalise, without a softmax that they call.
_NORMALISED = ("Categorical", "SoftmaxTransform", "_nested_tensor_softmax_with_shape")

# What computes the same: forbidding the first forbids the rest.
_RELATED: dict[str, tuple[str, ...]] = {
    "softmax": ("log_softmax", *_NORMALISED, *_FUSED, *_LAYERS),
    "log_softmax": ("softmax", *_NORMALISED, *_FUSED, *_LAYERS),
    "scaled_dot_product_attention": (*_FUSED, *_LAYERS),
    "MultiheadAttention": _LAYERS,
    "cosine_similarity": ("cosine_embedding_loss",),
}

# Said to the learner by their own names, since they are known by them.
_KNOWN = ("flex_attention", "varlen_attn", "cosine_embedding_loss", "Categorical")
_OWN = {name: name for name in (*_KNOWN, "SoftmaxTransform")}
_OWN["FlexAttentionHOP"] = "flex_attention"


class ForbiddenError(RuntimeError):
    """The learner's code used a function that the exercise asks to write."""


def message(name: str) -> str:
    """What a learner is told who used a forbidden function."""
    return f"this exercise asks you to write it yourself: {name} is not allowed"


def asks_for_your_own(error: BaseException) -> bool:
    """Was this raised because a forbidden function was used?"""
    told = type(error) is RuntimeError and str(error).startswith(message("").partition(":")[0])
    return isinstance(error, ForbiddenError) or told


@contextlib.contextmanager
def refused(names: Sequence[str]) -> Iterator[None]:
    """Refuse the functions, under all their names, while this lasts."""
    if not names:
        yield
        return
    replaced = _replace(tuple(names))
    try:
        with _ByName(names), forbidden_python.refused(refusals(tuple(names))):
            yield
    finally:
        replaced.clear()  # a registration ends with the object that made it


def refuse_for_good(names: Sequence[str]) -> None:
    """Refuse the functions for as long as this process lives; there is no way to take it back."""
    if not names:
        return
    for library in _replace(tuple(names)):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # kept, and nowhere to be found
    forbidden_python.refuse_for_good(refusals(tuple(names)))


def _replace(names: tuple[str, ...]) -> list[Any]:
    """Put a refusal in the place of every operator that goes by one of the names."""
    libraries = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is overridden is the purpose
        for key in _KEYS:
            library = torch._C._dispatch_library("IMPL", "aten", key)
            for operator, name in _kernels(names, key):
                library.impl(operator, key, functools.partial(_refuse, name))
            libraries.append(library)
    return libraries


def _refuse(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise ForbiddenError(message(name))


@functools.cache
def _kernels(names: tuple[str, ...], key: str) -> tuple[tuple[str, str], ...]:
    """The operators to refuse that have a kernel under this key, with the name to refuse by."""
    return tuple((o, name) for o, name in _operators(names) if o in _with_kernel(key))


@functools.cache
def _with_kernel(key: str) -> frozenset[str]:
    """The dispatcher's operators that have a kernel under this key."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    everything = (operator for found in _overloads().values() for operator in found)
    return frozenset(o for o in everything if has_kernel(f"aten::{o}", key))


@functools.cache
def _operators(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The dispatcher's operators that are refused, each with the name it is refused by."""
    refused, known = aliases(names), _overloads()
    return tuple((o, name) for alias, name in refused.items() for o in known.get(alias, ()))


@functools.cache
def _overloads() -> dict[str, list[str]]:
    """The dispatcher's operators by their name without the overload's."""
    found: dict[str, list[str]] = {}
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("aten::"):
            operator = name.removeprefix("aten::")
            found.setdefault(operator.partition(".")[0], []).append(operator)
    return found


@functools.cache
def aliases(names: tuple[str, ...]) -> dict[str, str]:
    """Every name that is refused, with the name that the exercise gives."""
    found: dict[str, str] = {}
    for name in names:
        for word in (name, *_RELATED.get(name, ())):
            for variant in _VARIANTS:
                found.setdefault(variant.format(word), _OWN.get(word, name))
    return found | {name: name for name in names}


@functools.cache
def refusals(names: tuple[str, ...]) -> dict[str, Callable[..., NoReturn]]:
    """What stands in the place of every function that is refused, by its name."""
    return {alias: functools.partial(_refuse, name) for alias, name in aliases(names).items()}


class _ByName(TorchFunctionMode):
    """Refuse what PyTorch writes in Python, by the function's name."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = aliases(tuple(names))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        used = getattr(func, "__name__", "")
        if used in self.names:
            raise ForbiddenError(message(self.names[used]))
        return func(*args, **(kwargs or {}))
