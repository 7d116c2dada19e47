"""Calls as records of operators: written down where a submission runs, repeated where none does.

The worker records which operators of PyTorch a call hands to the device. A process that never
runs a line of a submission repeats them. What a record is worth, `judge.costs` says.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attncourse.grading.wire.protocol import Unrepeatable
from attncourse.measure.cost import light

MOST_STEPS = 50_000

_DETACH = torch.ops.aten.detach.default
_REFUSED = ("from_file", "set_", "set_source", "resize_storage", "record_stream", "pin_memory")


@light
class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operator, its arguments and the numbers given to its results."""

    def __init__(self, inputs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Any] = []
        self.constants: list[Tensor] = []
        self.kept: list[Tensor] = []  # alive, so that each identity stays its own
        self.count = 0
        self.numbers: dict[int, list[Any]] = {}
        self.made: Any = None  # what the last operator made from no tensor
        for leaf in tree_leaves(inputs):
            self.number(leaf)

    def number(self, value: Any) -> None:
        """Give a tensor the next number."""
        if isinstance(value, Tensor):
            self.numbers[id(value)] = ["t", self.count]
            self.count += 1
            self.kept.append(value)

    def name(self, value: Any) -> Any:
        """An argument as JSON."""
        if isinstance(value, Tensor):
            if id(value) not in self.numbers:
                self.numbers[id(value)] = ["c", len(self.constants)]
                self.constants.append(value.detach().clone())
                self.kept.append(value)
            return self.numbers[id(value)]
        if isinstance(value, list | tuple):
            return ["l", [self.name(item) for item in value]]
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return ["k", str(value).removeprefix("torch.")]
        if isinstance(value, torch.device):
            return ["v", value.type]
        raise Unrepeatable(f"an argument of type {type(value).__name__}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if len(self.steps) >= MOST_STEPS:
            raise Unrepeatable("too many operators")
        step = [
            str(func),
            self.name(args)[1],
            [[k, self.name(v)] for k, v in (kwargs or {}).items()],
        ]
        out = func(*args, **(kwargs or {}))
        if self.made is not None and func is _DETACH and args[0] is self.made:
            self.numbers[id(out)] = self.numbers[id(args[0])]  # PyTorch's own, of what it made
            self.kept.append(out)
            self.made = None
            return out
        self.steps.append(step)
        self.made = out if not any(isinstance(x, Tensor) for x in tree_leaves(args)) else None
        for leaf in tree_leaves(out):
            self.number(leaf)
        return out


def record(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, list[Tensor]]:
    """What a call hands to the device: the record as JSON, and its constants."""
    recorder = _Recorder((list(args), dict(kwargs)))
    with recorder:
        value = function(*args, **kwargs)
    steps = {"steps": recorder.steps, "result": _shape(value, recorder)}
    return json.dumps(steps), recorder.constants


def _shape(value: Any, recorder: _Recorder) -> Any:
    """The result as JSON: tuples and lists are kept apart."""
    if isinstance(value, list | tuple):
        kind = "p" if isinstance(value, tuple) else "l"
        return [kind, [_shape(item, recorder) for item in value]]
    return recorder.name(value)


def repeat(text: str, constants: Sequence[Tensor]) -> Callable[..., Any]:
    """The function that a record describes. Raises Unrepeatable for what is no record."""
    try:
        found = json.loads(text)
        steps = [(_operator(name), args, kwargs) for name, args, kwargs in found["steps"]]
        result = found["result"]
    except Unrepeatable:
        raise
    except Exception as error:
        raise Unrepeatable(f"no record: {type(error).__name__}") from None

    def repeated(*args: Any, **kwargs: Any) -> Any:
        tensors = [leaf for leaf in tree_leaves((list(args), kwargs)) if isinstance(leaf, Tensor)]
        with torch.no_grad():
            for operator, words, named in steps:
                given = [_value(word, tensors, constants) for word in words]
                options = {str(key): _value(word, tensors, constants) for key, word in named}
                out = operator(*given, **options)
                tensors += [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        return _value(result, tensors, constants)

    return repeated


def _operator(name: str) -> Any:
    """An operator by its name. Raises Unrepeatable for one that is none, or touches files."""
    space, operator, overload = name.split(".")
    if space != "aten" or operator.startswith("__") or operator in _REFUSED:
        raise Unrepeatable(f"the operator {name[:80]}")
    return getattr(getattr(torch.ops.aten, operator), overload)


def _value(word: Any, tensors: Sequence[Tensor], constants: Sequence[Tensor]) -> Any:
    """An argument of its JSON."""
    if not isinstance(word, list):
        return word
    kind, content = word
    if kind in ("l", "p"):
        items = [_value(item, tensors, constants) for item in content]
        return tuple(items) if kind == "p" else items
    if kind == "t":
        return tensors[content]
    if kind == "c":
        return constants[content]
    if kind == "v":
        return torch.device(content)
    found = getattr(torch, content)
    if not isinstance(found, torch.dtype | torch.layout | torch.memory_format):
        raise Unrepeatable("an argument that is none")
    return found
