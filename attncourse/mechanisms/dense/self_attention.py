"""Self- and cross-attention: where queries, keys and values come from."""

from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, attention_by_definition


@checked
def cross_attention_by_definition(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... m d_y"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_y d"],
    w_v: Float[Tensor, "d_y e"],
) -> Float[Tensor, "... n e"]:
    """Project both sequences, then the loop over queries and keys. Time as `cross_attention`."""
    return attention_by_definition(x @ w_q, memory @ w_k, memory @ w_v)


@checked
def cross_attention(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... m d_y"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_y d"],
    w_v: Float[Tensor, "d_y e"],
) -> Float[Tensor, "... n e"]:
    """Attention with queries from x, keys and values from memory: attention(x W_q, y W_k, y W_v).

    x and memory may differ in length and in width. Half-precision input is accumulated in
    float32. Time O(n d_x d + m d_y (d + e) + n m (d + e)), memory O(n m).

    Raises ValueError where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.2.3 (encoder-decoder attention).

    >>> memory, one = torch.tensor([[1.0], [3.0]]), torch.ones(1, 1)
    >>> cross_attention(torch.tensor([[0.0], [1e3]]), memory, one, one, one).tolist()
    [[2.0], [3.0]]
    """
    wide = accumulation_dtype(x.dtype)
    queries = x.to(wide) @ w_q.to(wide)
    keys, values = memory.to(wide) @ w_k.to(wide), memory.to(wide) @ w_v.to(wide)
    return attention(queries, keys, values).to(x.dtype)


@checked
def self_attention(
    x: Float[Tensor, "... n d_x"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_x d"],
    w_v: Float[Tensor, "d_x e"],
    *,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Attention of a sequence to itself: queries, keys and values are projections of x.

    With causal=True each position sees itself and what came before. Half-precision input is
    accumulated in float32. Time O(n d_x (d + e) + n^2 (d + e)), memory O(n^2).

    Raises ValueError where shapes do not fit.
    Source: Vaswani et al. 2017, sections 3.2.1 and 3.2.3.

    >>> x, zero, one = torch.tensor([[1.0], [3.0]]), torch.zeros(1, 1), torch.ones(1, 1)
    >>> self_attention(x, zero, one, one).tolist()
    [[2.0], [2.0]]
    >>> self_attention(x, zero, one, one, causal=True).tolist()
    [[1.0], [2.0]]
    """
    wide = accumulation_dtype(x.dtype)
    queries, keys, values = (x.to(wide) @ w.to(wide) for w in (w_q, w_k, w_v))
    n = x.shape[-2]
    mask = causal_mask(n, n).to(x.device) if causal else None
    return attention(queries, keys, values, mask=mask).to(x.dtype)
