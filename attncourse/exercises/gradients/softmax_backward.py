r"""# Softmax, backwards

A softmax turned scores into `weights`. Somebody further on tells the gradient of the loss at these
weights, `grad`. Find the gradient at the scores. The Jacobian of a row of weights p is

$$\frac{\partial p_i}{\partial s_j} = p_i\,(\delta_{ij} - p_j), \qquad
J = \mathrm{diag}(p) - p\,p^\top ,$$

with $\delta_{ij} = 1$ for i = j and 0 otherwise; the result is $J g$, row by row.

- `weights` and `grad` are (..., n); so is the result, in the dtype of the weights. It depends on
  nothing but these two: the scores themselves are not needed.
- Do without the matrix: J has n times n numbers for each row, and only its product with g is
  wanted.
- A gradient that is the same for all weights of a row gives zeros; so does a row whose whole weight
  lies on one place.
"""

import torch

from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.exact.backward import softmax_backward as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 2, 15
hints = (
    "Write the i-th entry of J g as a sum over j, with the formula for J in it. The sum has two "
    "terms, and in the second one p_i can be taken out.",
    "What is left in the second term is one number for each row: the mean of the gradient, taken "
    "with the weights. Subtract it from the gradient, then multiply by the weights.",
)


def check_is_the_product_with_the_jacobian(student):
    """equals the Jacobian, written out, times the gradient, row by row"""
    for n, m in ((5, 37), (11, 9)):
        p, g = _inputs(n, m, seed=10)
        jacobians = torch.stack([torch.diag(row) - torch.outer(row, row) for row in p])
        assert_same(student(p, g), torch.einsum("nij,nj->ni", jacobians, g))


def check_is_what_a_small_step_does(student):
    """a small step of the scores changes the loss as the gradient says"""
    scores, g = gaussian(5, 9, seed=20), gaussian(5, 9, seed=21)
    for seed in (22, 23):
        step = 1e-5 * gaussian(5, 9, seed=seed)
        above, below = (torch.softmax(scores + s, dim=-1) for s in (step, -step))
        told = (student(torch.softmax(scores, dim=-1), g) * step).sum(dim=-1)
        changed = ((above - below) * g).sum(dim=-1) / 2
        assert_same(told / 1e-5, changed / 1e-5, "the change of the loss, over the step,")


def check_takes_any_number_of_axes(student):
    """works on one row, on a square matrix and on any leading axes, those of length one too"""
    for shape in ((37,), (7, 7), (2, 3, 5, 6), (1, 9), (4, 1, 6), (3, 1)):
        given = _inputs(*shape, seed=30)
        assert_same(student(*given), solution(*given), f"the result for shape {shape}")


def check_gives_zeros_where_nothing_can_move(student):
    """zeros for a gradient that is the same everywhere, and for weights all on one place"""
    p, _ = _inputs(5, 37, seed=40)
    even = gaussian(5, 1, seed=41).expand(5, 37)
    assert_same(student(p, even), torch.zeros_like(p), "the result for an even gradient")
    hard = torch.nn.functional.one_hot(torch.tensor([3, 0, 36, 8, 8]), 37).to(p)
    found = student(hard, gaussian(5, 37, seed=42))
    assert_same(found, torch.zeros_like(hard), "the result for weights on one place")


def check_holds_for_scores_far_apart(student):
    """right for rows from nearly even to nearly all on one place, and for large gradients"""
    heights = gaussian(5, 9, seed=50) * torch.tensor([0.01, 1.0, 5.0, 30.0, 900.0])[:, None]
    p = torch.softmax(heights.double() + levels(9, 0.0, 20.0), dim=-1)
    for size in (1.0, 1000.0):
        g = size * gaussian(5, 9, seed=51)
        assert_same(student(p, g), solution(p, g))


def check_needs_no_matrix(student):
    """for rows twice as long the largest tensor is twice as large"""
    for m in (64, 128):
        given = _inputs(3, m, seed=60)
        assert_same(student(*given), solution(*given))
    once, twice = (largest_tensor(student, *_inputs(3, m, seed=60)) for m in (64, 128))
    assert_that(
        twice <= 2.5 * once,
        f"for rows of 64 your largest tensor holds {once} numbers, for rows of 128 it holds "
        f"{twice}: that is a matrix for each row.",
    )


def check_can_be_differentiated(student):
    """its own gradient is right, for weights and for the gradient"""
    for shape in ((5, 37), (2, 11, 9)):
        given = _inputs(*shape, seed=70)
        ours, theirs = gradients(student, *given), gradients(solution, *given)
        for name, a, b in zip(("weights", "grad"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 weights give a float32 result, bfloat16 weights a bfloat16 one"""
    p, g = (x.float() for x in _inputs(5, 13, seed=80))
    assert_same(student(p, g), solution(p.double(), g.double()).float())
    p, g = p.bfloat16(), g.bfloat16()
    found = student(p, g)
    assert_that(found.dtype == torch.bfloat16, "bfloat16 weights must give a bfloat16 result.")
    error = (found.double() - solution(p.double(), g.double())).abs().max()
    assert_that(error < 0.1, "bfloat16 weights must give about the same.")


def _inputs(*shape, seed):
    """Weights of a row, and a gradient at them."""
    return torch.softmax(gaussian(*shape, seed=seed), dim=-1), gaussian(*shape, seed=seed + 1)


def wrong_dot_product_forgotten(weights, grad):
    """You multiplied the gradient by the weights and stopped. To raise one score also lowers all
    the other weights of the row: subtract the row's mean gradient, taken with the weights, first.
    """
    return weights * grad


def wrong_each_weight_alone(weights, grad):
    """You took the diagonal of the Jacobian only, p (1 - p), as if each weight had its own sigmoid.
    The weights of a row share one sum: the other entries, -p_i p_j, count too.
    """
    return weights * (1 - weights) * grad


def wrong_plain_mean_subtracted(weights, grad):
    """You subtracted the plain mean of the gradient. The mean is the one taken with the weights,
    the sum of p times g over the row.
    """
    return weights * (grad - grad.mean(dim=-1, keepdim=True))


def wrong_plain_sum_subtracted(weights, grad):
    """You subtracted the sum of the gradient. What comes off is its mean, taken with the weights:
    the sum of p times g over the row.
    """
    return weights * (grad - grad.sum(dim=-1, keepdim=True))


def wrong_mean_of_the_products(weights, grad):
    """You averaged the products p times g over the row. The weights sum to one already, so that the
    mean gradient is their *sum*.
    """
    return weights * (grad - (weights * grad).mean(dim=-1, keepdim=True))


def wrong_weights_left_out(weights, grad):
    """You subtracted the row's mean gradient and stopped. A score whose weight is small moves
    little: multiply by the weights at the end.
    """
    return grad - (weights * grad).sum(dim=-1, keepdim=True)


def wrong_subtracted_after_the_product(weights, grad):
    """You subtracted the dot product after you had multiplied by the weights, the same from each
    place. It belongs inside the bracket, so that it is multiplied by the weights too.
    """
    return weights * grad - (weights * grad).sum(dim=-1, keepdim=True)


def wrong_sign_of_the_dot_product(weights, grad):
    """You added the dot product of the row. The Jacobian has a minus in front of p p^T: subtract
    it.
    """
    return weights * (grad + (weights * grad).sum(dim=-1, keepdim=True))


def wrong_sign(weights, grad):
    """Your result has the opposite sign. To raise a score raises its own weight: weights times the
    gradient less its mean.
    """
    return weights * ((weights * grad).sum(dim=-1, keepdim=True) - grad)


def wrong_backward_of_the_logarithm(weights, grad):
    """You went back through *log*-softmax: g less p times the sum of g. Here the gradient comes in
    at the weights: multiply it by them and sum, subtract that, multiply again.
    """
    return grad - weights * grad.sum(dim=-1, keepdim=True)


def wrong_gradient_of_cross_entropy(weights, grad):
    """You subtracted the gradient from the weights, which is the rule for cross-entropy with a
    target. Here any gradient comes in: multiply by the Jacobian.
    """
    return weights - grad


def wrong_softmax_of_the_weights(weights, grad):
    """You put the weights through another softmax, as if they were scores. They have been through
    it: use them as they are.
    """
    again = torch.softmax(weights, dim=-1)
    return again * (grad - (again * grad).sum(dim=-1, keepdim=True))


def wrong_sum_of_the_whole_tensor(weights, grad):
    """You summed over the whole tensor. Each row has its own softmax, so its own dot product:
    `sum(dim=-1, keepdim=True)`.
    """
    return weights * (grad - (weights * grad).sum())


def wrong_sum_over_the_first_axis(weights, grad):
    """You summed over the first axis. The weights that share a sum lie along the last one:
    `dim=-1`.
    """
    return weights * (grad - (weights * grad).sum(dim=0, keepdim=True))


def wrong_sum_over_axis_one(weights, grad):
    """You wrote `dim=1`, which is the last axis of a matrix only. With other numbers of axes it is
    another one, or none: use `dim=-1`.
    """
    return weights * (grad - (weights * grad).sum(dim=1, keepdim=True))


def wrong_sum_without_keepdim(weights, grad):
    """Your dot product lost its axis, so that it does not line up with the rows: on a square matrix
    it is subtracted from the columns. Pass `keepdim=True`.
    """
    return weights * (grad - (weights * grad).sum(dim=-1))


def wrong_matrix_built(weights, grad):
    """Your numbers are right, but you built the Jacobian, n times n for each row. Its product with
    g needs one dot product for each row and no matrix.
    """
    jacobian = torch.diag_embed(weights) - weights[..., :, None] * weights[..., None, :]
    return (jacobian @ grad[..., None])[..., 0]


def wrong_jacobian_summed_down(weights, grad):
    """You multiplied each column of the Jacobian by its entry of g and summed down the columns,
    which sum to zero. The product with g sums along the *rows*; and it needs no matrix.
    """
    jacobian = torch.diag_embed(weights) - weights[..., :, None] * weights[..., None, :]
    return (jacobian * grad[..., None, :]).sum(dim=-2)


def wrong_dot_product_without_gradient(weights, grad):
    """Your values are right, but the dot product was cut off from the gradient (`detach`,
    `no_grad`, `item`). It depends on both inputs: let the gradient through.
    """
    return weights * (grad - (weights * grad).sum(dim=-1, keepdim=True).detach())


def wrong_left_to_autograd(weights, grad):
    """You let autograd do it, and what it gives cannot be differentiated again. Write the product
    with the Jacobian yourself: one dot product for each row.
    """
    with torch.enable_grad():
        scores = weights.detach().clamp(min=1e-300).log().requires_grad_()
        (found,) = torch.autograd.grad(torch.softmax(scores, dim=-1), scores, grad.detach())
    return found


def wrong_float64_returned(weights, grad):
    """You computed in float64 and returned float64. The result has the dtype of the weights: cast
    it back, `.to(weights.dtype)`.
    """
    return solution(weights.double(), grad.double())


def wrong_float32_throughout(weights, grad):
    """You computed in float32, whatever came in, which rounds float64 numbers. Stay in the dtype of
    the weights, or in a wider one.
    """
    return solution(weights.float(), grad.float()).to(weights.dtype)


def right_by_two_terms(weights, grad):
    """the two terms of the Jacobian one after the other"""
    product = weights * grad
    return product - weights * product.sum(dim=-1, keepdim=True)


def right_by_einsum(weights, grad):
    """einsum for the dot product of each row"""
    mean = torch.einsum("...n,...n->...", weights, grad)
    return weights * (grad - mean[..., None])


def right_by_rows(weights, grad):
    """a loop over the rows"""
    n = weights.shape[-1]
    pairs = zip(weights.reshape(-1, n), grad.reshape(-1, n), strict=True)
    rows = [p * (g - p @ g) for p, g in pairs]
    return torch.stack(rows).reshape(weights.shape)
