"""Block-term attention: queries, keys and values joined by small core tensors, no softmax."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def block_term_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m d"],
    cores: Float[Tensor, "h d"],
    w_o: Float[Tensor, "m m e"],
) -> Float[Tensor, "... n e"]:
    """The tensor of all triples, cut into one m^2-vector for each query, times w_o."""
    wide = accumulation_dtype(q.dtype)
    triples = block_term_tensor(q.to(wide), k.to(wide), v.to(wide), cores.to(wide))
    return (triples.flatten(-2) @ w_o.to(wide).flatten(0, 1)).to(q.dtype)


@checked
def block_term_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m d"],
    cores: Float[Tensor, "h d"],
    w_o: Float[Tensor, "m m e"],
) -> Float[Tensor, "... n e"]:
    """Block-term (multi-linear) attention: out_i = sum_jl T_ijl w_o_jl.

    T is the `block_term_tensor`. Everything is linear in each argument, so the sums may be taken
    in any order: first over keys and values, M_x = sum_jl k_jx v_lx w_o_jl, then over the width,
    out_i = sum_x g_x q_ix M_x with g the mean of the h cores. So no triple need be formed, and
    one sees what the blocks add: with shared factors and diagonal cores, h blocks are one block
    with the mean core. The parameters saved are those of the factors; the length enters w_o as
    m^2 and is fixed. Half-precision input is accumulated in float32. Time O(m^2 d e + n d e),
    memory O(m d e): nothing is n by m.

    Raises ValueError where shapes do not fit. Source: Ma et al. 2019, section 3.2.

    >>> q, k, v = torch.tensor([[2.0]]), torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [10.0]])
    >>> cores, w_o = torch.tensor([[1.0], [3.0]]), torch.ones(2, 2, 1)  # two blocks of width 1
    >>> block_term_attention(q, k, v, cores, w_o).tolist()
    [[176.0]]
    """
    wide = accumulation_dtype(q.dtype)
    queries, keys, values, core, weights = (x.to(wide) for x in (q, k, v, cores, w_o))
    by_value = torch.einsum("...lx,jle->...xje", values, weights)
    mixed = torch.einsum("...jx,...xje->...xe", keys, by_value)
    return ((queries * core.mean(dim=0)) @ mixed).to(q.dtype)


@checked
def block_term_tensor(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m d"],
    cores: Float[Tensor, "h d"],
) -> Float[Tensor, "... n m m"]:
    """The third-order tensor of all triples of a query, a key and a value.

    T_ijl = 1/h sum_b sum_{xyz} G^b_xyz q_ix k_jy v_lz, the mean of h Tucker products with one set
    of factors and a core G^b each. A core is diagonal, G^b_xxx = cores_bx, 0 elsewhere; here it is
    built in full, (d, d, d). Half-precision input is accumulated in float32. Time
    O(h n m^2 d^3), memory O(n m^2 + h d^3).

    Source: Ma et al. 2019, section 3.1 (single-block attention) and 3.2.

    >>> q, k, v = torch.tensor([[2.0]]), torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [10.0]])
    >>> block_term_tensor(q, k, v, torch.tensor([[1.0], [3.0]])).tolist()  # two blocks of width 1
    [[[12.0, 120.0], [4.0, 40.0]]]
    """
    wide = accumulation_dtype(q.dtype)
    h, d = cores.shape
    core = torch.zeros(h, d, d, d, dtype=wide, device=q.device)
    diagonal = torch.arange(d, device=q.device)
    core = core.index_put(
        (torch.arange(h, device=q.device)[:, None], *[diagonal] * 3), cores.to(wide)
    )
    factors = (x.to(wide) for x in (q, k, v))
    return (torch.einsum("bxyz,...ix,...jy,...lz->...ijl", core, *factors) / h).to(q.dtype)


@checked
def block_term_parameters(d: int, *, r: int, h: int, m: int) -> int:
    """Parameters of a block-term attention layer: 3 d r + h r + m^2 d.

    d is the model's width and r the width of the factors: three projections shared by all blocks,
    h diagonal cores, and the output projection, which is as large as the square of the length m.
    Multi-head attention has 4 d^2 whatever the length.

    Raises ValueError unless every number is at least 1. Source: Ma et al. 2019, section 3.2.

    >>> block_term_parameters(512, r=64, h=2, m=128)
    8487040
    """
    numbers = {"d": d, "r": r, "h": h, "m": m}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1: got {name}={number}")
    return 3 * d * r + h * r + m**2 * d
