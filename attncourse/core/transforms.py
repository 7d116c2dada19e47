"""torch.func over functions whose fast form it cannot look into."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

import torch
from torch import Tensor
from torch.func import vjp

from attncourse.core.autocast import without_autocast
from attncourse.core.by_hand import under_torch_func
from attncourse.core.rules import read_rule

P = ParamSpec("P")
Tensors = tuple[Tensor, ...]
Dims = tuple[int | None, ...]


def composable(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let vmap, grad, jvp, jacrev and all that torch.func builds of them take `function`.

    Such a function has a hand-written backward pass, a kernel, or steps that depend on numbers:
    torch.func cannot look inside. It is given the whole instead. Value and gradient are the fast
    form's (the gradient computes the value again), and vmap is one more leading axis, or, where an
    argument has no leading axes and each example its own, a loop. Forward mode and second
    derivatives are those of ``<name>_by_definition``, at its cost.
    """
    signature, home = inspect.signature(function), inspect.unwrap(function).__globals__
    rules = {n: read_rule(n, p.annotation) for n, p in signature.parameters.items()}

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not under_torch_func():
            return function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        tensors = {name: x for name, x in given.items() if isinstance(x, Tensor)}
        options = {name: x for name, x in given.items() if name not in tensors}
        definition = home[f"{function.__name__}_by_definition"]
        asked = tuple([rules[name] for name in tensors])
        call = _Call(function, definition, tuple(tensors), options, asked)
        out: Tensor = _Value.apply(call, *tensors.values())  # type: ignore[no-untyped-call]
        return out

    return run


@dataclass(frozen=True)
class _Call:
    """A call but for its tensors: both forms, the tensors' names and rules, the other arguments."""

    function: Callable[..., Tensor]
    definition: Callable[..., Tensor]
    names: tuple[str, ...]
    options: dict[str, Any]
    rules: tuple[Any, ...]

    def fast(self, *tensors: Tensor) -> Tensor:
        return self.function(**dict(zip(self.names, tensors, strict=True)), **self.options)

    def gradient(self, grad: Tensor, *tensors: Tensor) -> Tensors:
        """The gradients of the floating-point tensors, by the fast form."""
        with torch.enable_grad(), without_autocast(grad.device.type):
            leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in tensors]
            out = self.fast(*leaves)
            wanted = [x for x in leaves if x.requires_grad]
            if not out.requires_grad:
                return tuple([torch.zeros_like(x) for x in wanted])
            options = {"allow_unused": True, "materialize_grads": True}
            return torch.autograd.grad(out, wanted, grad, **options)

    def plain(self, tensors: Tensors) -> Callable[..., Tensor]:
        """The definition as a function of the floating-point tensors."""

        def function(*floats: Tensor) -> Tensor:
            given = iter(floats)
            full = [next(given) if x.is_floating_point() else x for x in tensors]
            return self.definition(**dict(zip(self.names, full, strict=True)), **self.options)

        return function

    def plain_gradient(self, tensors: Tensors) -> Callable[..., Tensors]:
        """The definition's gradients as a function of the output's and of the tensors."""

        def function(grad: Tensor, *floats: Tensor) -> Tensors:
            found: Tensors = vjp(self.plain(tensors), *floats)[1](grad)
            return found

        return function

    def leads(self, tensors: Tensors) -> int:
        """How many leading axes the tensors of one example have."""
        pairs = zip(self.rules, tensors, strict=True)
        return max([x.ndim - len(r.axes) for r, x in pairs if r.leading], default=0)


class _Value(torch.autograd.Function):
    """The fast form as one operation."""

    @staticmethod
    def forward(call: _Call, *tensors: Tensor) -> Tensor:
        return call.fast(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        found = iter(_Gradient.apply(ctx.call, grad, *tensors))  # type: ignore[no-untyped-call]
        return None, *[next(found) if x.is_floating_point() else None for x in tensors]

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        tensors = ctx.saved_tensors
        out: Tensor = _push(ctx.call.plain(tensors), *_floats(tensors, tangents))
        return out

    @staticmethod
    def vmap(info: Any, dims: Dims, call: _Call, *tensors: Tensor) -> tuple[Tensor, int]:
        pairs = zip(call.rules, dims[1:], strict=True)
        if all(rule.leading for rule, dim in pairs if dim is not None):
            out = _Value.apply(call, *_with_leading(info, dims[1:], call, tensors))  # type: ignore[no-untyped-call]
            return out, 0
        return torch.stack(_each(info, _Value, dims, call, tensors)), 0


class _Gradient(torch.autograd.Function):
    """The gradients of `_Value` as one operation."""

    @staticmethod
    def forward(call: _Call, grad: Tensor, *tensors: Tensor) -> Tensors:
        return call.gradient(grad, *tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, *tensors = ctx.saved_tensors
        floats = [x for x in tensors if x.is_floating_point()]
        pull = vjp(ctx.call.plain_gradient(tensors), grad, *floats)[1]
        of_grad, *rest = pull(grads)
        found = iter(rest)
        return None, of_grad, *[next(found) if x.is_floating_point() else None for x in tensors]

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensors:
        saved = ctx.saved_tensors
        function = ctx.call.plain_gradient(saved[1:])
        out: Tensors = _push(function, *_floats(saved, tangents))
        return out

    @staticmethod
    def vmap(info: Any, dims: Dims, call: _Call, grad: Tensor, *tensors: Tensor) -> Any:
        pairs = zip(call.rules, tensors, strict=True)
        if all(rule.leading for rule, x in pairs if x.is_floating_point()):
            rows = _with_leading(info, dims[2:], call, tensors, every=True)
            grad = _in_front(grad, dims[1], info.batch_size)
            found = _Gradient.apply(call, grad, *rows)  # type: ignore[no-untyped-call]
        else:
            each = _each(info, _Gradient, dims, call, (grad, *tensors))
            found = tuple([torch.stack(x) for x in zip(*each, strict=True)])
        return found, (0,) * len(found)


def _with_leading(
    info: Any, dims: Dims, call: _Call, tensors: Tensors, *, every: bool = False
) -> list[Tensor]:
    """The tensors of all examples, which are one more leading axis.

    What only broadcasts to the leading axes stays as it is where all examples share it, unless
    `every` example is to have a gradient of its own.
    """
    examples = [x if d is None else x.select(d, 0) for x, d in zip(tensors, dims, strict=True)]
    leads, rows = call.leads(tuple(examples)), []
    for rule, x, dim in zip(call.rules, tensors, dims, strict=True):
        broadcasts = not rule.axes or rule.axes[0].startswith("#")
        shared = dim is None and broadcasts and not (every and x.is_floating_point())
        if rule.leading and not shared:
            x = _in_front(x, dim, info.batch_size)
            missing = leads - (x.ndim - 1 - len(rule.axes))
            x = x[(slice(None), *(None,) * missing)]
        rows.append(x)
    return rows


def _in_front(x: Tensor, dim: int | None, count: int) -> Tensor:
    return x.expand(count, *x.shape) if dim is None else x.movedim(dim, 0)


def _each(info: Any, operation: Any, dims: Dims, call: _Call, tensors: Tensors) -> list[Any]:
    """One example after another."""
    pairs = list(zip(tensors, dims[1:], strict=True))
    return [
        operation.apply(call, *[x if d is None else x.select(d, i) for x, d in pairs])
        for i in range(info.batch_size)
    ]


def _floats(tensors: Tensors, tangents: tuple[Tensor | None, ...]) -> tuple[Tensors, Tensors]:
    """The floating-point tensors, and their tangents, zero where there is none."""
    pairs = [(x, t) for x, t in zip(tensors, tangents, strict=True) if x.is_floating_point()]
    inputs = tuple([x for x, _ in pairs])
    return inputs, tuple([torch.zeros_like(x) if t is None else t for x, t in pairs])


def _push(function: Callable[..., Any], inputs: Tensors, tangents: Tensors) -> Any:
    """The derivative of `function` in one direction.

    The gradient is linear in what comes from outside, and the gradient of that is the derivative
    in a direction: no forward mode is asked of the operations, and none is nested.
    """
    out, pull, *_ = vjp(function, *inputs)
    several = isinstance(out, tuple)
    outer = tuple([torch.zeros_like(x) for x in out]) if several else torch.zeros_like(out)
    (found,) = vjp(pull, outer)[1](tangents)
    return found
