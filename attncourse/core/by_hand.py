"""Backward passes written by hand, and second derivatives by the plain formula."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attncourse.core.autocast import without_autocast

Tensors = tuple[Tensor, ...]


class HandWritten(torch.autograd.Function):
    """An autograd function with a hand-written backward pass that no second derivative loses.

    `forward` ends with ``keep(ctx, arguments, *more)`` and `backward` begins with ``kept(ctx)``.
    `plain` takes the arguments of `forward` and computes the same in operations that autograd
    knows: where the gradient is to be differentiated in its turn (``create_graph=True``), and
    under torch.func, it takes the place of both, at its own cost in time and memory. A class
    without `plain` raises its `refusal` there, a sentence that names what to take.
    Call it by `call`, not by `apply`.
    """

    plain: Callable[..., Any] | None = None
    refusal = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.backward = staticmethod(_twice(cls, cls.backward))  # type: ignore[method-assign]

    @classmethod
    def call(cls, *args: Any) -> Any:
        """The value, by `forward`, or by `plain` within a transform of torch.func."""
        if under_torch_func():
            if cls.plain is None:
                raise RuntimeError(cls.refusal)
            return cls.plain(*args)
        return cls.apply(*args)  # type: ignore[no-untyped-call]


def keep(ctx: Any, args: tuple[Any, ...], *more: Tensor) -> None:
    """Save the arguments of a hand-written function, and more tensors, for its backward pass."""
    ctx.save_for_backward(*[x for x in args if isinstance(x, Tensor)], *more)
    ctx.frame = tuple([... if isinstance(x, Tensor) else x for x in args])


def kept(ctx: Any) -> tuple[tuple[Any, ...], Tensors]:
    """The arguments that `keep` was given, and the tensors beside them."""
    saved = ctx.saved_tensors
    args, number = [], 0
    for x in ctx.frame:
        args.append(saved[number] if x is ... else x)
        number += x is ...
    return tuple(args), saved[number:]


def under_torch_func() -> bool:
    """Is this a call within vmap, grad, jvp or another transform of torch.func?"""
    if torch.compiler.is_compiling():
        return False
    active: bool = torch._C._are_functorch_transforms_active()
    return active


def _twice(cls: type[HandWritten], backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward pass by hand where its result is the end of it, by autograd where it is not."""

    @functools.wraps(backward)
    def run(ctx: Any, *grads: Tensor) -> Any:
        if torch.compiler.is_compiling():
            with without_autocast(grads[0].device.type):
                return backward(ctx, *grads)
        if torch.is_grad_enabled() and cls.plain is not None:
            return _by_autograd(cls.plain, ctx, grads)
        with torch.no_grad(), without_autocast(grads[0].device.type):
            found = backward(ctx, *grads)
        return _refusing(cls.refusal, ctx, found) if torch.is_grad_enabled() else found

    return run


def _by_autograd(plain: Callable[..., Any], ctx: Any, grads: Tensors) -> tuple[Any, ...]:
    """The gradients of the arguments as a function of these and of `grads`."""
    args, _ = kept(ctx)
    wanted = [i for i, needed in enumerate(ctx.needs_input_grad) if needed]

    def function(*inputs: Tensor) -> Any:
        given = dict(zip(wanted, inputs, strict=True))
        return plain(*[given.get(i, x) for i, x in enumerate(args)])

    with without_autocast(grads[0].device.type):
        out, pull, *_ = torch.func.vjp(function, *[args[i] for i in wanted])
        outer = grads if isinstance(out, tuple) else grads[0]
        found = dict(zip(wanted, pull(outer), strict=True))
    return tuple([found.get(i) for i in range(len(args))])


def _refusing(refusal: str, ctx: Any, found: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients as they are; to differentiate them raises."""
    args, _ = kept(ctx)
    trained = [x for x, needed in zip(args, ctx.needs_input_grad, strict=True) if needed]
    given = [x for x in found if x is not None]
    end = iter(_End.apply(refusal, len(given), *given, *trained))  # type: ignore[no-untyped-call]
    return tuple([x if x is None else next(end) for x in found])


class _End(torch.autograd.Function):
    """The first `count` tensors as they are; there is no backward pass."""

    @staticmethod
    def forward(ctx: Any, refusal: str, count: int, *tensors: Tensor) -> Tensors:
        ctx.refusal = refusal
        return tuple([x.view_as(x) for x in tensors[:count]])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(ctx.refusal)
