"""How large an answer may be: as the solution's, with room for most mistakes, and no more.

Whoever answers with more than anyone could need would only have the judge hold it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from attncourse.course.execution import Outcome
from attncourse.grading.wire.frames import LARGEST_PAYLOAD

TIMES = 4  # as large as what is expected, or as what is given
BESIDES = 2**20  # bytes


def room(expected: Outcome, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Bytes of tensors that the answer to a call may have, of which this is expected."""
    most = max(_size(expected.value), _size((list(args), dict(kwargs))))
    return min(TIMES * most + BESIDES, LARGEST_PAYLOAD)


def _size(values: Any) -> int:
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
