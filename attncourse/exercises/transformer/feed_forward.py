r"""# The network of a layer

Two matrices with a bend between them, for each token alone:

$$\mathrm{network}(x) = \max(0,\; x W_1 + b_1)\, W_2 + b_2 .$$

- `x` is (..., d_x), `w_1` (d_x, d_ff), `b_1` (d_ff,), `w_2` (d_ff, d_x), `b_2` (d_x,); the result
  is (..., d_x), in the dtype of x. Nothing is added to x here: the residual is the layer's.
- The bend is ReLU: the larger of 0 and each number.
"""

import torch
from torch.nn import functional

from attncourse.mechanisms.dense.feed_forward import feed_forward as solution
from attncourse.mechanisms.dense.feed_forward import feed_forward_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "Follow the shapes: (..., d_x) times (d_x, d_ff) gives a number for each hidden unit; the way "
    "back is as long.",
    "The bias of a unit shifts it before the bend decides; the second bias comes last and is not "
    "bent.",
)
forbidden = ()

NAMES = ("x", "w_1", "b_1", "w_2", "b_2")


def check_matches_the_definition(student):
    """equals the sum over hidden units, whatever the sizes, a narrow hidden layer too"""
    for n, d, d_ff in ((5, 8, 20), (7, 11, 3), (3, 6, 24)):
        given = _inputs(n, d=d, d_ff=d_ff, seed=d)
        assert_same(student(*given), feed_forward_by_definition(*given))


def check_treats_each_token_alone(student):
    """each token alone: reordered tokens give reordered results, a single token the same"""
    x, *weights = _inputs(2, 3, 5, d=8, d_ff=20, seed=1)
    out = student(x, *weights)
    assert_same(out, solution(x, *weights))
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_same(student(x[..., order, :], *weights), out[..., order, :], "reordered tokens")
    assert_same(student(x[1, 2, 4], *weights), out[1, 2, 4], "a single token")
    x, *weights = _inputs(1, 1, d=6, d_ff=9, seed=2)
    assert_same(student(x, *weights), solution(x, *weights))


def check_bends_where_it_should(student):
    """a unit below zero is silent, one above it passes as it is, however large"""
    x, w_1, b_1, w_2, b_2 = _inputs(4, d=8, d_ff=20, seed=3)
    for shift in (1e6, -1e6):  # every unit open; every unit shut
        assert_same(student(x, w_1, b_1 + shift, w_2, b_2), solution(x, w_1, b_1 + shift, w_2, b_2))
    assert_same(student(1e4 * x, w_1, b_1, w_2, b_2), solution(1e4 * x, w_1, b_1, w_2, b_2))


def check_has_the_right_gradient(student):
    """the gradients of all five tensors are right"""
    for shape, d, d_ff in (((5,), 8, 20), ((2, 3), 6, 9)):
        given = _inputs(*shape, d=d, d_ff=d_ff, seed=4)
        ours, theirs = gradients(student, *given), gradients(solution, *given)
        for name, a, b in zip(NAMES, ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 results, bfloat16 tokens bfloat16 results"""
    given = [y.float() for y in _inputs(5, d=8, d_ff=20, seed=5)]
    assert_same(student(*given), solution(*(y.double() for y in given)).float())
    given = [y.bfloat16() for y in given]
    out, exact = student(*given), solution(*(y.double() for y in given))
    assert_that(out.dtype == torch.bfloat16, "bfloat16 tokens must give a bfloat16 result.")
    assert_that((out.double() - exact).abs().max() < 0.5, "bfloat16 gives about the same.")


def _inputs(*shape, d, d_ff, seed):
    """Tokens and weights; about half of the units are above zero."""
    sizes = ((d, d_ff), (d_ff,), (d_ff, d), (d,))
    weights = [gaussian(*size, std=0.6, seed=seed + i) for i, size in enumerate(sizes, 1)]
    return [gaussian(*shape, d, seed=seed + 50), *weights]


def wrong_no_bend(x, w_1, b_1, w_2, b_2):
    """You left the bend out. Two matrices without it are one matrix: apply ReLU to the hidden
    units, between the two.
    """
    return (x @ w_1 + b_1) @ w_2 + b_2


def wrong_bend_at_the_end(x, w_1, b_1, w_2, b_2):
    """You bent the result, not the hidden units. Apply ReLU after the first matrix; what is added
    to the stream may be negative.
    """
    return ((x @ w_1 + b_1) @ w_2 + b_2).relu()


def wrong_bent_twice(x, w_1, b_1, w_2, b_2):
    """You bent the hidden units, and the result once more. What is added to the stream may be
    negative: one ReLU, between the matrices.
    """
    return ((x @ w_1 + b_1).relu() @ w_2 + b_2).relu()


def wrong_bent_before_the_bias(x, w_1, b_1, w_2, b_2):
    """You bent first and added `b_1` afterwards. The bias shifts a unit *before* the bend decides:
    add it first.
    """
    return ((x @ w_1).relu() + b_1) @ w_2 + b_2


def wrong_first_bias_forgotten(x, w_1, b_1, w_2, b_2):
    """You forgot `b_1`, the bias of the hidden units. Add it before the bend."""
    return (x @ w_1).relu() @ w_2 + b_2


def wrong_second_bias_forgotten(x, w_1, b_1, w_2, b_2):
    """You forgot `b_2`, the bias of the result. Add it last of all."""
    return (x @ w_1 + b_1).relu() @ w_2


def wrong_gelu(x, w_1, b_1, w_2, b_2):
    """You bent by GELU, as BERT does. Here it is ReLU: the larger of 0 and the number."""
    return functional.gelu(x @ w_1 + b_1) @ w_2 + b_2


def wrong_gelu_by_tanh(x, w_1, b_1, w_2, b_2):
    """You bent by the tanh form of GELU, as GPT-2 does. Here it is ReLU: the larger of 0 and the
    number.
    """
    return functional.gelu(x @ w_1 + b_1, approximate="tanh") @ w_2 + b_2


def wrong_silu(x, w_1, b_1, w_2, b_2):
    """You bent by SiLU, u times its sigmoid. Here it is ReLU: the larger of 0 and the number."""
    return functional.silu(x @ w_1 + b_1) @ w_2 + b_2


def wrong_sigmoid(x, w_1, b_1, w_2, b_2):
    """You squeezed the hidden units into 0 to 1 by a sigmoid. ReLU passes what is above zero as it
    is, however large: take the larger of 0 and the number.
    """
    return (x @ w_1 + b_1).sigmoid() @ w_2 + b_2


def wrong_tanh(x, w_1, b_1, w_2, b_2):
    """You squeezed the hidden units by tanh. ReLU passes what is above zero as it is: take the
    larger of 0 and the number.
    """
    return (x @ w_1 + b_1).tanh() @ w_2 + b_2


def wrong_leaky(x, w_1, b_1, w_2, b_2):
    """You let a little of what is below zero through, as leaky ReLU does. Here a unit below zero is
    silent: take the larger of 0 and the number.
    """
    return functional.leaky_relu(x @ w_1 + b_1) @ w_2 + b_2


def wrong_absolute_value(x, w_1, b_1, w_2, b_2):
    """You took the size of each unit, so that one below zero counts as one above. It should be
    silent: take the larger of 0 and the number.
    """
    return (x @ w_1 + b_1).abs() @ w_2 + b_2


def wrong_squared_relu(x, w_1, b_1, w_2, b_2):
    """You squared the units after the bend. A unit above zero passes as it is: leave the square
    out.
    """
    return (x @ w_1 + b_1).relu().square() @ w_2 + b_2


def wrong_step(x, w_1, b_1, w_2, b_2):
    """You let a unit above zero count as 1. It passes as it is: multiply by the unit itself, or
    take the larger of 0 and the number.
    """
    return (x @ w_1 + b_1 > 0).to(x.dtype) @ w_2 + b_2


def wrong_softmax_over_the_units(x, w_1, b_1, w_2, b_2):
    """You made weights of the hidden units by a softmax, as in attention. Units do not compete:
    each is bent for itself by ReLU.
    """
    return torch.softmax(x @ w_1 + b_1, dim=-1) @ w_2 + b_2


def wrong_residual_added(x, w_1, b_1, w_2, b_2):
    """You added x. That sum is the layer's, which may want to normalise first: return the network's
    result alone.
    """
    return x + solution(x, w_1, b_1, w_2, b_2)


def wrong_tokens_mixed(x, w_1, b_1, w_2, b_2):
    """You let a token's result depend on the other tokens. Apply the network to each token alone,
    with the same weights: it mixes features only.
    """
    mixed = x if x.ndim < 2 else x - x.mean(dim=-2, keepdim=True)
    return solution(mixed, w_1, b_1, w_2, b_2)


def wrong_weights_transposed(x, w_1, b_1, w_2, b_2):
    """You multiplied with the transposes of the weights, as `nn.Linear` stores them. Here a weight
    is (d_in, d_out): `x @ w_1`.
    """
    return (x @ w_1.mT + b_1).relu() @ w_2.mT + b_2


def wrong_float64_returned(x, w_1, b_1, w_2, b_2):
    """You computed in float64 and returned float64. The result has the dtype of `x`: cast it back,
    `.to(x.dtype)`.
    """
    return solution(*(y.double() for y in (x, w_1, b_1, w_2, b_2)))


def right_by_maximum(x, w_1, b_1, w_2, b_2):
    """the larger of 0 and the number, written out"""
    hidden = torch.matmul(x, w_1) + b_1
    return torch.matmul(torch.where(hidden > 0, hidden, 0.0), w_2) + b_2


def right_by_einsum(x, w_1, b_1, w_2, b_2):
    """einsum both ways, and clamp"""
    hidden = (torch.einsum("...d,df->...f", x, w_1) + b_1).clamp(min=0)
    return torch.einsum("...f,fd->...d", hidden, w_2) + b_2


def right_by_linear(x, w_1, b_1, w_2, b_2):
    """PyTorch's linear, which wants the weights transposed"""
    return functional.linear(functional.relu(functional.linear(x, w_1.mT, b_1)), w_2.mT, b_2)
