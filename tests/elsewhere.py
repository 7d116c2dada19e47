"""A stand-in for a device without float64, such as Apple's MPS; as a script, all that runs on it.

A tensor of it holds its numbers on the CPU. As on the real one, float64 cannot be made there, and
tensors of several numbers from other devices cannot be mixed in. PyTorch knows such a device for a
whole process, and checks of annotations need none of it: the script runs in one of its own, and
prints JSON.
"""

import inspect
import json
import warnings
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from attncourse.testing import assert_same
from rows import MECHANISMS, options_by_function

_setup_privateuseone_for_python_backend("elsewhere")
DEVICE, CPU = torch.device("elsewhere", 0), torch.device("cpu")
COPY, MOVE = torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default


class Elsewhere(Tensor):
    """A tensor on the stand-in."""

    @staticmethod
    def __new__(cls, held):
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"this device has no {held.dtype}")
        form = held.shape, held.stride(), held.storage_offset()
        made = Tensor._make_wrapper_subclass(cls, *form, dtype=held.dtype, device=DEVICE)
        made.held = held
        return made

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return carried_out(function, args, kwargs or {})


@torch.library.impl("aten::empty_strided", "PrivateUse1")
def empty(size, stride, **options):
    """Room for an index that PyTorch itself makes of a list."""
    return Elsewhere(torch.empty_strided(size, stride, dtype=options.get("dtype"), device=CPU))


@torch.library.impl("aten::_copy_from", "PrivateUse1")
def copied(source, target, non_blocking=False):
    """The list into that room."""
    target.held.copy_(source)
    return target


class Made(TorchDispatchMode):
    """Makes tensors on the stand-in where they are asked for there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        device = (kwargs or {}).get("device")
        if device is not None and device.type == DEVICE.type:
            return carried_out(function, args, kwargs)
        return function(*args, **kwargs or {})


class Told(TorchFunctionMode):
    """`torch.tensor` makes on the CPU what is moved then."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is not torch.tensor:
            return function(*args, **kwargs)
        device = kwargs.get("device") or torch.get_default_device()
        return function(*args, **kwargs | {"device": CPU}).to(device)


@contextmanager
def elsewhere(*, default=False):
    """While this lasts, the stand-in can be used; it may be the default device."""
    before = torch.get_default_device()
    torch.set_default_device(DEVICE if default else before)
    try:
        with Made(), Told():
            yield
    finally:
        torch.set_default_device(before)


def carried_out(function, args, kwargs):
    """The operator on what is held; its results are on the stand-in, unless they leave it."""
    device, tensors = kwargs.get("device"), [x for x in tree_leaves(args) if isinstance(x, Tensor)]
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != DEVICE.type:
        raise RuntimeError(f"{function} wants a generator of its own device")
    foreign = [x for x in tensors if not isinstance(x, Elsewhere) and x.ndim]
    if foreign and function not in (COPY, MOVE):
        raise RuntimeError(f"{function} mixes tensors of two devices")
    args_held, kwargs_held = tree_map_only(Elsewhere, lambda x: x.held, (args, kwargs))
    out = function(*args_held, **kwargs_held | ({} if device is None else {"device": CPU}))
    if (device or DEVICE).type != DEVICE.type or (function is COPY and args[0] in foreign):
        return out
    out = tree_map_only(Tensor, Elsewhere, out)
    return return_and_correct_aliasing(function, args, kwargs, out)


def narrow(x):
    """A tensor in float32, if it is floating point."""
    return x.float() if isinstance(x, Tensor) and x.is_floating_point() else x


def sent(arguments):
    return tree_map_only(Tensor, lambda x: Elsewhere(narrow(x).clone()), arguments)


def came_back(out):
    """The result as it is held; every tensor of it must be on the stand-in."""
    assert all(isinstance(x, Elsewhere) for x in tree_leaves(out) if isinstance(x, Tensor)), "left"
    return tree_map_only(Elsewhere, lambda x: x.held, out)


def same(function, arguments, **options):
    """Does the function compute on the stand-in what it computes on the CPU?"""
    arguments = tree_map_only(Tensor, narrow, arguments)
    with elsewhere():
        found = came_back(function(*sent(arguments), **options))
    assert_near(found, function(*arguments, **options))


def assert_near(found, expected):
    """Equal up to rounding in float32: other kernels add up in another order."""
    if isinstance(expected, tuple):
        for a, b in zip(found, expected, strict=True):
            assert_near(a, b)
    elif isinstance(expected, Tensor) and expected.is_floating_point() and expected.numel():
        assert_same(found.dtype, expected.dtype)
        found, expected = found.nan_to_num(), expected.nan_to_num()
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    elif not callable(expected):
        assert_same(found, expected)


def of_row(name):
    """A mechanism, and its backward pass."""
    row = MECHANISMS[name]
    same(row.fast, row.inputs(2, seed=5))
    same(lambda *given: with_gradients(row.fast, given), row.inputs(2, seed=5))


def with_gradients(function, arguments):
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in arguments]
    out = function(*leaves)
    wanted = [x for x in leaves if x.requires_grad]
    found = torch.autograd.grad((out * out).sum(), wanted, allow_unused=True)
    return tuple(
        torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)
    )


def of_sizes(function):
    """What is made of sizes alone is made on the default device."""
    from core.test_numbers import again, arguments_of

    expected = function(**again(arguments_of(function)))
    with elsewhere(default=True):
        found = function(**again(arguments_of(function)))
    if isinstance(expected, Tensor) and "generator" in inspect.signature(function).parameters:
        assert_same(found, expected)  # on the device of the generator
    elif isinstance(expected, Tensor):
        assert_near(came_back(found), expected)


def of_arguments(function):
    """A function of tensors as the tests of bad input call it."""
    from core.test_bad_input import right

    given = right(function) | options_by_function().get(function, {})
    same(lambda *values: function(**dict(zip(given, values, strict=True))), tuple(given.values()))


def of_model(name):
    """A model, and what it reads, moved to the stand-in; and one made there."""
    from models.miniatures import MODELS, seeded

    build, config, x, run = MODELS[name]
    model = seeded(build, config).float()
    expected = run(model, narrow(x))
    with elsewhere():
        model._apply(lambda p: Elsewhere(p.detach()))
        assert_near(came_back(run(model, Elsewhere(narrow(x)))).detach(), expected.detach())


def why_not(run, what):
    """None, or what went wrong."""
    try:
        run(what)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def everything():
    """What went wrong with each mechanism, each function and each model."""
    from core.test_bad_input import FUNCTIONS
    from core.test_numbers import CALLED
    from models.miniatures import MODELS

    called = [f for f in CALLED if f not in FUNCTIONS]
    kinds = {of_row: MECHANISMS, of_arguments: FUNCTIONS, of_sizes: called, of_model: MODELS}
    return {
        f"{run.__name__}: {what if isinstance(what, str) else what.__name__}": why_not(run, what)
        for run, things in kinds.items()
        for what in things
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(json.dumps(everything()))
