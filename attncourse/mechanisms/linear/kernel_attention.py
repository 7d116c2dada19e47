"""Kernel attention: weights that are inner products of features, for features of any kind.

With weights phi(q_i) . phi(k_j), the sum over keys of weight times value is phi(q_i) times one
matrix, S = sum_j phi(k_j) v_j^T, which all queries share. That is what makes it linear. (The kernel
is the function phi(x) . phi(y) of two vectors; `attncourse.kernels` holds programs for a GPU.)
"""

from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.kernels import available
from attncourse.mechanisms.linear._all_keys import Features, over_all_keys
from attncourse.mechanisms.linear._sums import mean, no_state, over_past_keys, with_ones


@checked
def kernel_attention_by_definition(
    phi_q: Float[Tensor, "... n r"], phi_k: Float[Tensor, "... m r"], v: Float[Tensor, "... m e"]
) -> Float[Tensor, "... n e"]:
    """o_i = sum_j w_ij v_j / sum_j w_ij with w_ij = phi_q_i . phi_k_j, all (n, m) of them."""
    wide = accumulation_dtype(v.dtype)
    weights = phi_q.to(wide) @ phi_k.to(wide).mT
    return mean(weights @ with_ones(v.to(wide))).to(v.dtype)


@checked
@composable
def kernel_attention(
    phi_q: Float[Tensor, "... n r"], phi_k: Float[Tensor, "... m r"], v: Float[Tensor, "... m e"]
) -> Float[Tensor, "... n e"]:
    """Attention with weights phi_q_i . phi_k_j, divided by their sum over the keys.

    o_i = phi_q_i S / (phi_q_i . z) with S = sum_j phi_k_j v_j^T and z = sum_j phi_k_j. A query
    whose weights sum to 0 gets zeros, value and gradient. Features may have any sign, but then
    the sum may come near 0. Half-precision input is accumulated in float32. Time O((n + m) r e),
    memory O(r e) beside the inputs and the output.

    Source: Katharopoulos et al. 2020, section 3.2.

    >>> phi_q = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    >>> phi_k, v = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[2.0], [6.0]])
    >>> kernel_attention(phi_q, phi_k, v).mT.round(decimals=2).tolist()  # the last has no weights
    [[5.0, 2.0, 0.0]]
    """
    return over_all_keys(Features(), phi_q, phi_k, v)


@checked
def causal_kernel_attention_by_definition(
    phi_q: Float[Tensor, "... n r"],
    phi_k: Float[Tensor, "... n r"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """The same with w_ij = 0 for j > i, whatever the chunk: it orders the work, no more."""
    wide = accumulation_dtype(v.dtype)
    weights = (phi_q.to(wide) @ phi_k.to(wide).mT).tril()
    return mean(weights @ with_ones(v.to(wide))).to(v.dtype)


@checked
@composable
def causal_kernel_attention(
    phi_q: Float[Tensor, "... n r"],
    phi_k: Float[Tensor, "... n r"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """`kernel_attention` in which a query sees itself and what came before, never the future.

    Inside a chunk of `chunk` tokens (64 or 128 are quick) the quadratic form; a state S, z for all
    that came before. The last chunk may be short, and the result does not depend on the chunk.
    Time O(n (r e + chunk (r + e))); memory O(chunk r + r e) beside the inputs and the output, and
    a state for every 256 tokens for the backward pass.

    Raises ValueError unless chunk is at least 1.
    Source: Katharopoulos et al. 2020, section 3.3; in chunks, Hua et al. 2022, section 3.2.

    >>> phi, v = torch.ones(4, 1), torch.tensor([[2.0], [4.0], [6.0], [8.0]])  # equal weights
    >>> causal_kernel_attention(phi, phi, v, chunk=64).mT.round(decimals=2).tolist()
    [[2.0, 3.0, 4.0, 5.0]]
    """
    nothing = no_state(phi_q[..., 0, :], v[..., 0, :])
    return over_past_keys(Features(), nothing, phi_q, phi_k, v, chunk)[0]


FORMS = (
    causal_kernel_attention_by_definition,
    causal_kernel_attention,
    *available("linear", "chunked_kernel_attention"),
)
