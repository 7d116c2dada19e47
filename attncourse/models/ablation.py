"""What the heads of a layer give, with some of them taken out."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def ablate_heads(x: Float[Tensor, "... h n d"], heads: Sequence[int]) -> Float[Tensor, "... h n d"]:
    """The outputs of all heads with those of some, counted from 0, replaced by zeros.

    A copy: x stays as it is. No gradient reaches what was replaced, and what is not finite there
    does no harm. A head that is named twice is replaced once. Raises ValueError for a number that
    is not from 0 to h - 1.

    Source: Michel, Levy and Neubig 2019, section 2.3.

    >>> ablate_heads(torch.ones(2, 1, 3), [1])
    tensor([[[1., 1., 1.]],
    <BLANKLINE>
            [[0., 0., 0.]]])
    """
    h = x.shape[-3]
    wrong = [head for head in heads if not 0 <= head < h]
    if wrong:
        raise ValueError(f"heads are counted from 0 to h - 1: got {wrong[0]} for h={h}")
    gone = torch.zeros(h, dtype=torch.bool)
    gone[list(heads)] = True
    return x.masked_fill(gone.to(x.device)[:, None, None], 0.0)
