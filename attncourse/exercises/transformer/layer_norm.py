r"""# Layer norm

Give each token mean 0 and variance 1 over its features, then a learned gain and bias for each
feature:

$$y_a = g_a \, \frac{x_a - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b_a, \qquad
\mu = \frac{1}{d} \sum_{a} x_a, \qquad
\sigma^2 = \frac{1}{d} \sum_{a} (x_a - \mu)^2 .$$

- `x` is (..., d), `gain` (g) and `bias` (b) are (d,); the result is (..., d), in the dtype of x.
- `eps` ($\varepsilon \ge 0$) stands under the root. A token whose features are all alike gives the
  bias, and finite gradients, as long as it is above 0.
- A token far from zero, say of features near 1,000, is normalised as well as one near it.
"""

import torch

from attncourse.mechanisms.dense.norms import layer_norm as solution
from attncourse.mechanisms.dense.norms import layer_norm_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Which axis does one token's mean run over? Keep that axis, with length one, so that the mean "
    "can be taken away from each feature.",
    "The variance here divides by d, not by d - 1, and is the mean of squares of what is left "
    "*after* the mean is gone: two passes over x.",
)
forbidden = ("layer_norm",)


def check_matches_the_definition(student):
    """equals the sums over the features of each token, whatever the sizes"""
    for n, d in ((5, 8), (11, 3), (7, 37)):
        given = _inputs(n, d, seed=d)
        assert_same(student(*given), layer_norm_by_definition(*given))


def check_takes_leading_axes(student):
    """each token for itself: one token alone, any leading axes, those of length one too"""
    x, gain, bias = _inputs(2, 3, 5, 8, seed=1)
    out = student(x, gain, bias)
    assert_same(out, solution(x, gain, bias))
    assert_same(student(x[1, 2, 4], gain, bias), out[1, 2, 4], "a token alone")
    x, gain, bias = _inputs(1, 1, 3, seed=2)
    assert_same(student(x, gain, bias), solution(x, gain, bias))


def check_puts_eps_under_the_root(student):
    """eps stands under the root, and is the one that is given"""
    x, gain, bias = _inputs(5, 8, seed=3)
    for eps in (0.0, 1e-12, 0.5, 3.0):
        assert_same(student(x, gain, bias, eps=eps), solution(x, gain, bias, eps=eps))
    small = x / 1000  # the spread of a token is near the root of eps
    assert_same(student(small, gain, bias), solution(small, gain, bias), "the result for small x")


def check_gives_the_bias_for_equal_features(student):
    """a token whose features are all alike gives the bias, and finite gradients"""
    x, gain, bias = _inputs(5, 8, seed=4)
    x[2], x[4] = 3.0, 0.0
    assert_same(student(x, gain, bias), solution(x, gain, bias))
    found = gradients(student, x, gain, bias)
    assert_that(found[0].isfinite().all(), "the gradient of x is not finite.")
    assert_same(found, gradients(solution, x, gain, bias), "the gradients")


def check_survives_tokens_far_from_zero(student):
    """a token far from zero is normalised as well as one near it"""
    x, gain, bias = _inputs(5, 8, seed=5)
    far = torch.tensor([1e3, -1e4, 0.0, 1e6, 3.0], dtype=torch.float64)[:, None]
    assert_same(student(x + far, gain, bias), solution(x + far, gain, bias))
    single = [y.float() for y in (x + far.clamp(max=1e4), gain, bias)]
    exact = solution(*(y.double() for y in single)).float()
    error = (student(*single) - exact).abs().max()
    assert_that(error < 1e-2, "far from zero, float32 tokens must give about the same.")


def check_has_the_right_gradient(student):
    """the gradients of x, gain and bias are right"""
    for shape in ((5, 8), (2, 7, 3)):
        given = _inputs(*shape, seed=6)
        ours, theirs = gradients(student, *given), gradients(solution, *given)
        for name, a, b in zip(("x", "gain", "bias"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32, bfloat16 tokens bfloat16, with trained numbers of the same"""
    given = [y.float() for y in _inputs(5, 8, seed=7)]
    assert_same(student(*given), solution(*given))
    given = [y.bfloat16() for y in given]
    exact = solution(*(y.double() for y in given))
    out = student(*given)
    assert_that(out.dtype == torch.bfloat16, "bfloat16 tokens must give a bfloat16 result.")
    assert_that((out.double() - exact).abs().max() < 0.1, "bfloat16 gives about the same.")


def _inputs(*shape, seed):
    """Tokens with means of their own, gains that are not 1, biases that are not 0."""
    x = gaussian(*shape, seed=seed) + gaussian(*shape[:-1], 1, seed=seed + 100)
    gain = 1 + gaussian(shape[-1], std=0.5, seed=seed + 200)
    return x, gain, gaussian(shape[-1], std=1.0, seed=seed + 300)


def wrong_mean_left(x, gain, bias, *, eps=1e-5):
    """You divided each token by its root mean square and left its mean in: that is RMS norm. Take
    the mean away first.
    """
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * gain + bias


def wrong_mean_left_in_the_variance(x, gain, bias, *, eps=1e-5):
    """You took the mean away above, but your variance is the mean square of x *with* its mean. Take
    the squares of what is left: x less its mean.
    """
    square = x.square().mean(-1, keepdim=True)
    return gain * (x - x.mean(-1, keepdim=True)) / (square + eps).sqrt() + bias


def wrong_unbiased_variance(x, gain, bias, *, eps=1e-5):
    """Your variance divides by d - 1, as `x.var(-1)` and `x.std(-1)` do by default. Divide by d:
    `correction=0`.
    """
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / (x.var(-1, keepdim=True) + eps).sqrt() + bias


def wrong_eps_beside_the_root(x, gain, bias, *, eps=1e-5):
    """You added eps to the standard deviation. It stands under the root, added to the variance."""
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / (x.var(-1, keepdim=True, correction=0).sqrt() + eps) + bias


def wrong_no_eps(x, gain, bias, *, eps=1e-5):
    """You left eps out, so that a token of equal features is 0/0. Add it to the variance, under
    the root.
    """
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / x.var(-1, keepdim=True, correction=0).sqrt() + bias


def wrong_eps_written_down(x, gain, bias, *, eps=1e-5):
    """You wrote 1e-5 where `eps` belongs, so that another eps changes nothing. Use the argument."""
    return solution(x, gain, bias, eps=1e-5)


def wrong_no_root(x, gain, bias, *, eps=1e-5):
    """You divided by the variance. Divide by its root, the standard deviation, so that the variance
    of the result is 1.
    """
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / (centred.square().mean(-1, keepdim=True) + eps) + bias


def wrong_divided_by_the_length(x, gain, bias, *, eps=1e-5):
    """You summed the squares where their *mean* belongs, so that the result is too small by the
    root of d. Divide the sum by d.
    """
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / (centred.square().sum(-1, keepdim=True) + eps).sqrt() + bias


def wrong_mean_only(x, gain, bias, *, eps=1e-5):
    """You took the mean away and stopped. Divide by the standard deviation too, before the gain."""
    return gain * (x - x.mean(-1, keepdim=True)) + bias


def wrong_over_the_tokens(x, gain, bias, *, eps=1e-5):
    """Your mean runs over the tokens of the sequence. Each token is normalised over its own
    *features*: `dim=-1`.
    """
    dim = -2 if x.ndim > 1 else -1
    centred = x - x.mean(dim, keepdim=True)
    return gain * centred / (centred.square().mean(dim, keepdim=True) + eps).sqrt() + bias


def wrong_over_the_first_axis(x, gain, bias, *, eps=1e-5):
    """Your mean runs over the first axis, the batch, as in batch norm. Then a text depends on its
    neighbours: take it over the features, `dim=-1`.
    """
    centred = x - x.mean(0, keepdim=True)
    return gain * centred / (centred.square().mean(0, keepdim=True) + eps).sqrt() + bias


def wrong_over_the_whole_tensor(x, gain, bias, *, eps=1e-5):
    """You took one mean and one variance of the whole tensor. Each token has its own:
    `mean(dim=-1, keepdim=True)`.
    """
    centred = x - x.mean()
    return gain * centred / (centred.square().mean() + eps).sqrt() + bias


def wrong_one_pass(x, gain, bias, *, eps=1e-5):
    """You took the variance as the mean of squares less the square of the mean. Far from zero these
    are two large numbers that are nearly alike, and nothing is left: square what is left of x after
    its mean is gone.
    """
    mean = x.mean(-1, keepdim=True)
    variance = x.square().mean(-1, keepdim=True) - mean.square()
    return gain * (x - mean) / (variance.clamp(min=0) + eps).sqrt() + bias


def wrong_gain_forgotten(x, gain, bias, *, eps=1e-5):
    """You forgot the gain. Each feature of the normalised token is multiplied by its own, before
    the bias is added.
    """
    return solution(x, torch.ones_like(gain), bias, eps=eps)


def wrong_bias_forgotten(x, gain, bias, *, eps=1e-5):
    """You forgot the bias. It is added to each feature, last of all."""
    return solution(x, gain, torch.zeros_like(bias), eps=eps)


def wrong_gain_and_bias_exchanged(x, gain, bias, *, eps=1e-5):
    """You exchanged gain and bias. The gain multiplies the normalised token, the bias is added."""
    return solution(x, bias, gain, eps=eps)


def wrong_gain_after_the_bias(x, gain, bias, *, eps=1e-5):
    """You added the bias and then multiplied by the gain, which scales the bias too. First the
    gain, then the bias.
    """
    return gain * (solution(x, torch.ones_like(gain), torch.zeros_like(bias), eps=eps) + bias)


def wrong_gain_before_the_norm(x, gain, bias, *, eps=1e-5):
    """You multiplied by the gain before you normalised. That changes mean and variance: normalise
    the token as it is, then multiply.
    """
    return solution(x * gain, torch.ones_like(gain), bias, eps=eps)


def wrong_gain_plus_one(x, gain, bias, *, eps=1e-5):
    """You multiplied by 1 + gain, as some models store their gains. Here the gain is the factor
    itself.
    """
    return solution(x, 1 + gain, bias, eps=eps)


def wrong_statistics_without_gradient(x, gain, bias, *, eps=1e-5):
    """Your values are right, but mean and variance were cut off from the gradient (`detach`,
    `no_grad`, `item`). They depend on x: let the gradient through.
    """
    centred = x - x.mean(-1, keepdim=True).detach()
    variance = centred.square().mean(-1, keepdim=True).detach()
    return gain * centred * (variance + eps).rsqrt() + bias


def wrong_float64_returned(x, gain, bias, *, eps=1e-5):
    """You computed in float64 and returned float64. The result has the dtype of `x`: cast it back,
    `.to(x.dtype)`.
    """
    return solution(x.double(), gain.double(), bias.double(), eps=eps)


def right_by_var(x, gain, bias, *, eps=1e-5):
    """torch.var with correction=0"""
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(x.var(dim=-1, keepdim=True, correction=0) + eps) * gain + bias


def right_by_einsum(x, gain, bias, *, eps=1e-5):
    """sums over the features, divided by their number"""
    d = x.shape[-1]
    centred = x - (x.sum(-1) / d)[..., None]
    squares = torch.einsum("...a,...a->...", centred, centred)
    return torch.addcmul(bias, centred * (squares / d + eps).rsqrt()[..., None], gain)


def right_by_projection(x, gain, bias, *, eps=1e-5):
    """the mean taken away by a matrix"""
    d = x.shape[-1]
    centred = x @ (torch.eye(d, dtype=x.dtype) - 1 / d)
    size = (torch.linalg.vector_norm(centred, dim=-1, keepdim=True).square() / d + eps).sqrt()
    return gain * (centred / size) + bias


shown = right_by_var
