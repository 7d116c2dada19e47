"""How large an answer may be: as the solution's, with room for most mistakes, and no more.

Whoever answers with more than anyone could need would only have the judge hold it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten

from attncourse.course.execution import Function, execute
from attncourse.grading.wire.frames import LARGEST_PAYLOAD

TIMES = 4  # as large as what is expected, or as what is given
BESIDES = 2**20  # bytes


def room(
    solution: Function | None, probe: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> int:
    """Bytes of tensors that the answer to a call may have, if this is the solution."""
    if solution is None:
        return LARGEST_PAYLOAD
    leaves, form = tree_flatten((list(args), dict(kwargs)))
    asked = solution, probe, str(form), *map(_form, leaves)
    if asked not in _EXPECTED:
        _EXPECTED[asked] = _size(tree_flatten(execute(solution, probe, args, kwargs).value)[0])
    return min(TIMES * max(_EXPECTED[asked], _size(leaves)) + BESIDES, LARGEST_PAYLOAD)


def _form(leaf: Any) -> Any:
    """What the size of a result depends on: of a tensor not its numbers."""
    return (leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)


def _size(leaves: Sequence[Any]) -> int:
    tensors = (leaf for leaf in leaves if isinstance(leaf, Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


_EXPECTED: dict[Any, int] = {}
