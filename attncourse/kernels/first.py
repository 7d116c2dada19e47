"""Two first programs in Triton, run on the CPU: a copy with a mask, and the softmax of rows."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.interpreted import tl, triton
from attncourse.core.shapes import checked


@checked
def masked_copy(x: Float[Tensor, " b"], n: int, *, block: int) -> Float[Tensor, " b"]:
    """The first n numbers of x, copied by one program for every `block` of them; -1 elsewhere.

    block is a power of two. The last program may reach past n: it masks what it reads and writes.

    >>> masked_copy(torch.arange(8.0), 5, block=4).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -1.0, -1.0]
    """

    @triton.jit
    def copy(x, out, n, SIZE: tl.constexpr):
        i = SIZE * tl.program_id(0) + tl.arange(0, SIZE)
        tl.store(out + i, tl.load(x + i, mask=i < n), mask=i < n)

    out = x.new_full(x.shape, -1.0)
    copy[(triton.cdiv(n, block),)](x, out, n, block)
    return out


@checked
def row_softmax(x: Float[Tensor, "r b"], n: int) -> Float[Tensor, "r b"]:
    """The softmax of the first n numbers of each row, one program for a row; 0 elsewhere.

    The rows are padded to b, a power of two; what lies past n may be anything and counts nothing.

    >>> row_softmax(torch.tensor([[1.0, 1.0, 9.0, 9.0]]), 2).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """

    @triton.jit
    def softmax(x, out, n, SIZE: tl.constexpr):
        j = tl.arange(0, SIZE)
        row = SIZE * tl.program_id(0)
        raised = tl.load(x + row + j, mask=j < n, other=-float("inf"))
        raised = tl.exp(raised - tl.max(raised, 0))
        tl.store(out + row + j, raised / tl.sum(raised, 0))

    out = torch.empty_like(x)
    softmax[(x.shape[0],)](x, out, n, x.shape[1])
    return out
