"""Two first programs in Triton, run on the CPU: a copy with a mask, and the softmax of rows."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def masked_copy(x: Float[Tensor, " b"], n: int, *, block: int) -> Float[Tensor, " b"]:
    """The first n numbers of x, copied by one program for every `block` of them; -1 elsewhere.

    block is a power of two. The last program may reach past n: it masks what it reads and writes.

    >>> masked_copy(torch.arange(8.0), 5, block=4).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -1.0, -1.0]
    """
    from attncourse.core.interpreted import tl, triton

    @triton.jit
    def program(source, target, n, BLOCK: tl.constexpr):
        places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = places < n
        numbers = tl.load(source + places, mask=inside)
        tl.store(target + places, numbers, mask=inside)

    target = torch.full_like(x, -1.0)
    program[(triton.cdiv(n, block),)](x, target, n, BLOCK=block)
    return target


@checked
def row_softmax(x: Float[Tensor, "r b"], n: int) -> Float[Tensor, "r b"]:
    """The softmax of the first n numbers of each row, one program for a row; 0 elsewhere.

    The rows are padded to b, a power of two; what lies past n may be anything and counts nothing.

    >>> row_softmax(torch.tensor([[1.0, 1.0, 9.0, 9.0]]), 2).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    from attncourse.core.interpreted import tl, triton

    @triton.jit
    def program(source, target, n, WIDTH: tl.constexpr):
        columns = tl.arange(0, WIDTH)
        places = tl.program_id(0) * WIDTH + columns
        scores = tl.load(source + places, mask=columns < n, other=-float("inf"))
        weights = tl.exp(scores - tl.max(scores, 0))
        tl.store(target + places, weights / tl.sum(weights, 0))

    target = torch.empty_like(x)
    program[(x.shape[0],)](x, target, n, WIDTH=x.shape[1])
    return target
