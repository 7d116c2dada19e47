"""Multi-head attention: several narrow attentions side by side, over the whole sequence."""

from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention


@checked
def multi_head_attention_by_definition(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... m d_y"],
    w_q: Float[Tensor, "d_x d_q"],
    w_k: Float[Tensor, "d_y d_q"],
    w_v: Float[Tensor, "d_y d_v"],
    w_o: Float[Tensor, "d_v d_o"],
    *,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d_o"]:
    """The sum over heads that defines it: sum_i attention(x W_q^i, y W_k^i, y W_v^i) W_o^i.

    W_q^i, W_k^i and W_v^i are the i-th of h equal blocks of columns, W_o^i the i-th block of rows.
    """
    _check_heads(h, w_q=w_q, w_v=w_v)
    blocks = zip(w_q.chunk(h, -1), w_k.chunk(h, -1), w_v.chunk(h, -1), w_o.chunk(h), strict=True)
    out = x.new_zeros(*x.shape[:-1], w_o.shape[-1])
    for head, (q, k, v, o) in enumerate(blocks):
        out = out + attention(x @ q, memory @ k, memory @ v, mask=_of_head(mask, head)) @ o
    return out


@checked
def multi_head_attention(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... m d_y"],
    w_q: Float[Tensor, "d_x d_q"],
    w_k: Float[Tensor, "d_y d_q"],
    w_v: Float[Tensor, "d_y d_v"],
    w_o: Float[Tensor, "d_v d_o"],
    *,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d_o"]:
    """Multi-head attention with queries from x, keys and values from memory.

    Projects, splits the features into h heads of width d_q / h, attends in each over the whole
    sequence, concatenates and multiplies with W_o. mask is Boolean, True where a query may attend,
    and broadcasts against the scores with their head axis (..., h, n, m): a mask per sequence is
    (..., 1, n, m). (`nn.MultiheadAttention` reads True as *masked*.) The number of heads changes
    neither parameters nor FLOPs. Half-precision input is accumulated in float32. Time
    O(n d_x d_q + m d_y (d_q + d_v) + n m (d_q + d_v) + n d_v d_o), memory O(h n m).

    Raises ValueError where shapes do not fit or h does not divide d_q and d_v.
    Source: Vaswani et al. 2017, section 3.2.2.

    >>> x, memory, one = torch.zeros(1, 2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.eye(2)
    >>> multi_head_attention(x, memory, one, one, one, one, h=2).tolist()
    [[2.0, 3.0]]
    >>> mask = torch.tensor([[[True, False]], [[False, True]]])  # a token for each head
    >>> multi_head_attention(x, memory, one, one, one, one, h=2, mask=mask).tolist()
    [[1.0, 4.0]]
    """
    _check_heads(h, w_q=w_q, w_v=w_v)
    wide = accumulation_dtype(x.dtype)
    q = split_heads(x.to(wide) @ w_q.to(wide), h)
    k = split_heads(memory.to(wide) @ w_k.to(wide), h)
    v = split_heads(memory.to(wide) @ w_v.to(wide), h)
    return (merge_heads(attention(q, k, v, mask=mask)) @ w_o.to(wide)).to(x.dtype)


def _of_head(mask: Tensor | None, head: int) -> Tensor | None:
    """The mask of one head: its slice, or the one slice that serves all heads."""
    if mask is None or mask.ndim < 3:
        return mask
    return mask[..., head if mask.shape[-3] > 1 else 0, :, :]


@checked
def split_heads(x: Float[Tensor, "... n d_x"], h: int) -> Float[Tensor, "... h n d"]:
    """Cut the features of each token into h heads: (..., n, h d) -> (..., h, n, d).

    Head i gets the features i d to (i + 1) d - 1 of *every* token: the sequence is not cut.
    Raises ValueError unless h divides the width of x.

    >>> split_heads(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), 2).tolist()
    [[[0.0, 1.0]], [[2.0, 3.0]]]
    """
    _check_heads(h, x=x)
    return x.reshape(*x.shape[:-1], h, x.shape[-1] // h).transpose(-3, -2)


@checked
def merge_heads(x: Float[Tensor, "... h n d"]) -> Float[Tensor, "... n d_x"]:
    """Put the heads side by side again: (..., h, n, d) -> (..., n, h d), undoing `split_heads`.

    >>> merge_heads(torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]]])).tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """
    return x.transpose(-3, -2).flatten(-2)


def _check_heads(h: int, **projected: Tensor) -> None:
    """Does h divide the last axis of each tensor?"""
    for name, x in projected.items():
        if h < 1 or x.shape[-1] % h:
            raise ValueError(f"h must divide the last axis of {name}: got h={h} and {x.shape[-1]}")
