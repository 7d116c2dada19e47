"""Inputs and comparisons that tests and exercise checks share.

Inputs are float64, Gaussian, ragged (n, m, d and e all different) and seeded: on square inputs
with loose tolerances typical mistakes pass; on these, with the defaults of
``torch.testing.assert_close``, they do not. There are two sets of sizes, so that a size written
into the code shows.
"""

import hmac
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any, NoReturn

import torch
from torch import Tensor

from attncourse.core.probes import probe

Function = Callable[..., Any]

SIZES = (5, 37, 8, 6)  # n, m, d, e
OTHER_SIZES = (11, 9, 3, 7)

# the defaults of torch.testing.assert_close: relative, absolute
_TOLERANCES = {
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1.3e-6, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float16: (1e-3, 1e-5),
    torch.complex128: (1e-7, 1e-7),
    torch.complex64: (1.3e-6, 1e-5),
}
_EXACT = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Mismatch(AssertionError):
    """A check's comparison failed; sentence is for the learner.

    Holds what was compared, where there is something, so that a report can draw it; as a string
    it tells the difference too, in PyTorch's words.
    """

    def __init__(self, sentence: str, actual: Any = None, expected: Any = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        if self.actual is None and self.expected is None:
            return self.sentence
        return f"{self.sentence}\n{_not_close(self.actual, self.expected)}"


class Skipped(Exception):
    """A check cannot run on this machine; the message says what it needs."""


_secret: ContextVar[bytes] = ContextVar("secret", default=b"")


@contextmanager
def secret_inputs(secret: bytes) -> Iterator[None]:
    """While this lasts, every seed gives other inputs, which only who has the secret can know."""
    token = _secret.set(secret)
    try:
        yield
    finally:
        _secret.reset(token)


def gaussian(*shape: int, std: float = 2.0, seed: int = 0) -> Tensor:
    """A float64 tensor of independent normal numbers, the same for the same seed."""
    return _normal(shape, std, _generator(seed))


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    return std * torch.randn(shape, generator=generator, dtype=torch.float64)


def _generator(seed: int) -> torch.Generator:
    """A source of random numbers, the same for the same seed and the same secret."""
    return torch.Generator().manual_seed(_hidden(seed))


def _hidden(seed: int) -> int:
    """A seed that only who has the secret can know; the seed itself where there is none."""
    secret = _secret.get()
    if not secret:
        return seed
    return int.from_bytes(hmac.digest(secret, str(seed).encode(), "sha256")[:7], "little")


def attention_inputs(
    *lead: int, sizes: tuple[int, int, int, int] = SIZES, std: float = 2.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (..., n, d), keys (..., m, d) and values (..., m, e) of the sizes n, m, d, e."""
    n, m, d, e = sizes
    return (
        gaussian(*lead, n, d, std=std, seed=seed),
        gaussian(*lead, m, d, std=std, seed=seed + 1),
        gaussian(*lead, m, e, std=std, seed=seed + 2),
    )


def levels(m: int, *heights: float) -> Tensor:
    """The heights in turn, m numbers: added to the scores of a row, they spread it far apart."""
    return torch.tensor([heights[j % len(heights)] for j in range(m)], dtype=torch.float64)


def random_mask(n: int, m: int, *, empty_row: int | None = None, seed: int = 0) -> Tensor:
    """A Boolean (n, m) mask, about half True, with a True in every row except `empty_row`."""
    mask = torch.rand(n, m, generator=_generator(seed)) < 0.5
    mask[torch.arange(n), torch.arange(n) % m] = True
    if empty_row is not None:
        mask[empty_row] = False
    return mask


def assert_same(actual: Any, expected: Any, what: str = "the result") -> None:
    """Raise Mismatch unless `actual` equals `expected` to `assert_close`'s defaults."""
    plain = _plain(actual) and _plain(expected)
    if not same_value(actual, expected) and (plain or _not_close(actual, expected)):
        raise Mismatch(f"{what} is not as expected:", actual, expected) from None


def same_value(a: Any, b: Any) -> bool:
    """Equal in kind, shape, dtype and, tensors to `assert_close`'s defaults, in value."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (a != a and b != b) or math.isclose(a, b, rel_tol=1e-7, abs_tol=1e-7)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b, strict=True))
    if not isinstance(a, Tensor):
        return bool(a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not (_plain(a) and _plain(b)):
        return not _not_close(a, b)
    if (equal := torch.equal(a, b)) or a.dtype in _EXACT:
        return equal
    rtol, atol = _TOLERANCES[a.dtype]
    return bool(torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True).all())


def _plain(x: Any) -> bool:
    """Can it be compared without `assert_close`, whose first call imports five hundred modules?"""
    dense = type(x) is Tensor and x.layout == torch.strided and x.device.type == "cpu"
    return dense and (x.dtype in _TOLERANCES or x.dtype in _EXACT)


def _not_close(a: Any, b: Any) -> str:
    """What `assert_close` says of the difference; nothing if there is none."""
    try:
        torch.testing.assert_close(a, b, equal_nan=True)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        return str(error)
    return ""


def assert_that(condition: Any, message: str) -> None:
    """Raise Mismatch with one sentence for the learner unless `condition` holds."""
    if not bool(condition):
        fail(message)


def fail(message: str) -> NoReturn:
    """Raise Mismatch with one sentence for the learner."""
    raise Mismatch(message)


def needs_cuda() -> None:
    """Skip the check on a machine without a CUDA device."""
    if not torch.cuda.is_available():
        raise Skipped("needs a CUDA device")


def needs_triton() -> None:
    """Skip the check where Triton cannot run a kernel on the CPU."""
    if find_spec("triton") is None:
        raise Skipped("needs Triton, which is published for Linux alone")
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise Skipped("needs TRITON_INTERPRET=1 from the start, so that Triton runs on the CPU")


@probe
def gradients(fn: Function, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """The gradients of ``(fn(*args, **kwargs) * c).sum()`` with respect to each floating tensor.

    A dict or a tuple among the arguments counts as its tensors, in their order. c is a fixed
    Gaussian cotangent, so that no symmetry of the output hides an error. Of several outputs, a
    tuple, each has its own and the sums are added. An argument that the result does not depend on
    has gradient zero; an output that carries no gradient at all gives zeros throughout.
    """
    leaves = [_with_gradient(x) for x in args]
    out = fn(*leaves, **kwargs)
    inputs = [x for x in _tensors(tuple(leaves)) if x.requires_grad]
    outs = [x for x in _tensors(out) if x.requires_grad]
    if not outs:
        return tuple(torch.zeros_like(x) for x in inputs)
    known = torch.Generator().manual_seed(77)  # the same wherever the function lives
    cotangents = [_normal(x.shape, 1.0, known).to(x) for x in outs]
    found = torch.autograd.grad(outs, inputs, cotangents, allow_unused=True)
    return tuple(
        torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)
    )


@probe
def gradients_of_list(fn: Function, *args: Any) -> tuple[Tensor, ...]:
    """`gradients` of a function that returns a list of tensors; each has its own cotangent."""
    return gradients(lambda *given: tuple(fn(*given)), *args)


@probe
def shape_on_meta(fn: Function, *args: Any, **kwargs: Any) -> tuple[int, ...]:
    """The shape of the result for the same tensors on the device `meta`, which holds no numbers.

    It stands for any device that is not the CPU: a tensor that stayed behind is an error there.
    """
    away = [x.to("meta") if isinstance(x, Tensor) else x for x in args]
    return tuple(fn(*away, **kwargs).shape)


def drawn(fn: Function, *args: Any, seed: int = 0, **options: Any) -> Any:
    """``fn(*args, generator=g, **options)``, g a new source of random numbers.

    It is the same for the same seed. A generator cannot travel to a function in another process: it
    is made where the function lives.
    """
    return with_generator(fn, *args, seed=_hidden(seed), **options)


@probe
def with_generator(fn: Function, *args: Any, seed: int, **options: Any) -> Any:
    """``fn(*args, generator=g, **options)``, g beginning with this seed."""
    return fn(*args, generator=torch.Generator().manual_seed(seed), **options)


def _tensors(x: Any) -> list[Tensor]:
    """The tensors in a value, one after the other, those in dicts and tuples included."""
    if isinstance(x, Tensor):
        return [x]
    inside = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else ()
    return [tensor for y in inside for tensor in _tensors(y)]


def _with_gradient(x: Any) -> Any:
    if isinstance(x, Tensor) and x.is_floating_point():
        return x.detach().clone().requires_grad_()
    if isinstance(x, dict):
        return {name: _with_gradient(value) for name, value in x.items()}
    if isinstance(x, tuple):
        return tuple(_with_gradient(value) for value in x)
    return x
