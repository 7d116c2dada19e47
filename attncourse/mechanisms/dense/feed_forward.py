"""The position-wise networks of a Transformer block: ReLU, GELU and SwiGLU."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def feed_forward_by_definition(
    x: Float[Tensor, "... d_x"],
    w_1: Float[Tensor, "d_x d_ff"],
    b_1: Float[Tensor, " d_ff"],
    w_2: Float[Tensor, "d_ff d_x"],
    b_2: Float[Tensor, " d_x"],
) -> Float[Tensor, "... d_x"]:
    """The sum over hidden units: sum_j max(0, x . w_1j + b_1j) w_2j + b_2."""
    out = torch.zeros_like(x) + b_2
    for column, bias, row in zip(w_1.unbind(-1), b_1, w_2, strict=True):
        unit = (x * column).sum(dim=-1, keepdim=True) + bias
        out = out + torch.where(unit <= 0, 0.0, unit) * row
    return out


@checked
def feed_forward(
    x: Float[Tensor, "... d_x"],
    w_1: Float[Tensor, "d_x d_ff"],
    b_1: Float[Tensor, " d_ff"],
    w_2: Float[Tensor, "d_ff d_x"],
    b_2: Float[Tensor, " d_x"],
) -> Float[Tensor, "... d_x"]:
    """The position-wise network max(0, x W_1 + b_1) W_2 + b_2, the same for every token.

    Half-precision input is accumulated in float32. Time O(d_x d_ff) a token.

    Raises ValueError where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.3, equation 2.

    >>> x, zeros = torch.tensor([[3.0], [-3.0]]), torch.zeros(2)
    >>> w_1, w_2 = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0], [1.0]])
    >>> feed_forward(x, w_1, zeros, w_2, zeros[:1]).tolist()
    [[3.0], [3.0]]
    """
    wide = accumulation_dtype(x.dtype)
    hidden = (x.to(wide) @ w_1.to(wide) + b_1.to(wide)).relu()
    return (hidden @ w_2.to(wide) + b_2.to(wide)).to(x.dtype)


@checked
def gelu_feed_forward_by_definition(
    x: Float[Tensor, "... d_x"],
    w_1: Float[Tensor, "d_x d_ff"],
    b_1: Float[Tensor, " d_ff"],
    w_2: Float[Tensor, "d_ff d_x"],
    b_2: Float[Tensor, " d_x"],
) -> Float[Tensor, "... d_x"]:
    """The sum over hidden units u: sum_j u_j P(z < u_j) w_2j + b_2, z standard normal."""
    out = torch.zeros_like(x) + b_2
    for column, bias, row in zip(w_1.unbind(-1), b_1, w_2, strict=True):
        unit = (x * column).sum(dim=-1, keepdim=True) + bias
        out = out + unit * torch.erfc(-unit / math.sqrt(2)) / 2 * row
    return out


@checked
def gelu_feed_forward(
    x: Float[Tensor, "... d_x"],
    w_1: Float[Tensor, "d_x d_ff"],
    b_1: Float[Tensor, " d_ff"],
    w_2: Float[Tensor, "d_ff d_x"],
    b_2: Float[Tensor, " d_x"],
) -> Float[Tensor, "... d_x"]:
    """The position-wise network GELU(x W_1 + b_1) W_2 + b_2, with GELU(u) = u P(z < u).

    z is standard normal: the exact GELU, as in BERT (GPT-2's is approximated by a tanh, off by up
    to 5e-4). Half-precision input is accumulated in float32. Time O(d_x d_ff) a token.

    Raises ValueError where shapes do not fit.
    Source: Hendrycks and Gimpel 2016, section 2; Devlin et al. 2018, section 3.

    >>> one, zero = torch.ones(1, 1), torch.zeros(1)
    >>> gelu_feed_forward(torch.tensor([[10.0], [-10.0]]), one, zero, one, zero + 1).tolist()
    [[11.0], [1.0]]
    """
    wide = accumulation_dtype(x.dtype)
    hidden = functional.gelu(x.to(wide) @ w_1.to(wide) + b_1.to(wide))
    return (hidden @ w_2.to(wide) + b_2.to(wide)).to(x.dtype)


@checked
def swiglu_by_definition(
    x: Float[Tensor, "... d_x"],
    w_gate: Float[Tensor, "d_x d_ff"],
    w_up: Float[Tensor, "d_x d_ff"],
    w_down: Float[Tensor, "d_ff d_o"],
) -> Float[Tensor, "... d_o"]:
    """The sum over hidden units: sum_j g_j / (1 + exp(-g_j)) u_j w_down_j, g and u linear in x."""
    out = torch.zeros_like(x[..., :1]) * w_down[0]
    for gate, up, row in zip(w_gate.unbind(-1), w_up.unbind(-1), w_down, strict=True):
        opening = (x * gate).sum(dim=-1, keepdim=True)
        unit = (x * up).sum(dim=-1, keepdim=True)
        out = out + opening / (1 + (-opening).exp()) * unit * row
    return out


@checked
def swiglu(
    x: Float[Tensor, "... d_x"],
    w_gate: Float[Tensor, "d_x d_ff"],
    w_up: Float[Tensor, "d_x d_ff"],
    w_down: Float[Tensor, "d_ff d_o"],
) -> Float[Tensor, "... d_o"]:
    """The gated network (silu(x W_gate) * (x W_up)) W_down, with silu(u) = u / (1 + exp(-u)).

    No biases. Three matrices in place of two: with d_ff at 2/3 of its usual size, parameters and
    FLOPs stay the same. Half-precision input is accumulated in float32. Time O(d_x d_ff) a token.

    Raises ValueError where shapes do not fit.
    Source: Shazeer 2020, equation 6; Llama uses it.

    >>> w_gate, w_up = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])
    >>> swiglu(torch.tensor([[100.0, 2.0], [0.0, 2.0]]), w_gate, w_up, torch.ones(1, 1)).tolist()
    [[200.0], [0.0]]
    """
    wide = accumulation_dtype(x.dtype)
    gate = functional.silu(x.to(wide) @ w_gate.to(wide))
    return ((gate * (x.to(wide) @ w_up.to(wide))) @ w_down.to(wide)).to(x.dtype)
