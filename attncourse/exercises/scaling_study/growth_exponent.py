r"""# How fast a time grows

Times were measured at several lengths. Find the exponent $p$ of the power law $c\,n^p$ that is
nearest to them: the slope of the least-squares line through the points $(\ln n_i,\ \ln t_i)$,

$$p = \frac{\sum_i (x_i - \bar x)(y_i - \bar y)}{\sum_i (x_i - \bar x)^2}, \qquad
x_i = \ln n_i,\quad y_i = \ln t_i .$$

- `lengths` is (s,), s lengths, at least two and all different. `seconds` is (..., s): times at
  these lengths, in the same order, one row for each mechanism. All are above 0 and floating point.
- The result is (...), an exponent for each row, in the dtype of `seconds`; a single row (s,) gives
  a tensor without axes.
- All lengths count, the middle ones too, and they need not be powers of two.
"""

import numpy as np
import torch

from attncourse.measure.scaling import growth_exponent as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Plot both axes logarithmically and a power law is a straight line. What is its slope between "
    "two points, and what is the slope of the line nearest to many?",
    "Take the mean off the logarithms of the lengths. What is left, times the logarithms of the "
    "times and summed, goes over the sum of its own squares.",
)
forbidden = ("growth_exponent",)


def check_finds_the_power(student):
    """times that are a power law have its exponent, at lengths of any kind"""
    for lengths, power in (
        ([512.0, 1024.0, 2048.0], 2.0),
        ([100.0, 300.0, 450.0, 7000.0], 1.5),
        ([3.0, 5.0], 0.25),
    ):
        n = torch.tensor(lengths, dtype=torch.float64)
        expected = torch.tensor(power, dtype=torch.float64)
        assert_same(student(n, 3e-9 * n**power), expected, f"the exponent of n^{power}")


def check_equals_the_least_squares_line(student):
    """times off the line: the slope of the nearest line through the logarithms"""
    for count in (7, 4):
        n, seconds = _noisy(count)
        assert_same(student(n, seconds), _slope(n, seconds))


def check_does_not_depend_on_the_unit(student):
    """the same in seconds and in milliseconds, and with lengths in thousands of tokens"""
    n, seconds = _noisy(6, seed=3)
    expected = _slope(n, seconds)
    assert_same(student(n, 1e3 * seconds), expected, "the exponent from milliseconds")
    assert_same(student(n / 1e3, seconds), expected, "the exponent with lengths in thousands")


def check_takes_any_order(student):
    """lengths in any order, as long as the times are in the same"""
    n, seconds = _noisy(5, seed=5)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_same(student(n[order], seconds[order]), _slope(n, seconds))


def check_takes_many_mechanisms(student):
    """a row of times for each mechanism, under any leading axes, those of length one too"""
    for lead in ((4,), (2, 3), (1,), (5, 1)):
        n, _ = _noisy(5, seed=7)
        rows = 1e-6 * gaussian(*lead, 5, std=1.0, seed=8).exp() * n**1.2
        flat = torch.stack([_slope(n, row) for row in rows.reshape(-1, 5)])
        assert_same(student(n, rows), flat.reshape(lead), f"the exponents for axes {lead}")


def check_keeps_the_dtype(student):
    """float32 times give a float32 exponent"""
    n = torch.tensor([1.0, 2.0, 3.0, 8.0, 20.0], dtype=torch.float64)
    seconds = n**1.3 * gaussian(5, std=0.3, seed=9).exp()
    assert_same(student(n.float(), seconds.float()), _slope(n, seconds).float())


def check_has_the_right_gradient(student):
    """the gradient of the times is right: it says which length the exponent rests on"""
    n, seconds = _noisy(6, seed=11)
    assert_same(
        gradients(student, n, seconds)[1], gradients(_exponent, n, seconds)[1], "the gradient"
    )


def _noisy(count, *, seed=0):
    """Lengths from 200 up, at uneven distances, and times near a power law."""
    steps = gaussian(count, std=0.3, seed=seed).abs() + 0.2
    n = (200 * steps.cumsum(dim=0).exp()).round()
    return n, 1e-7 * n**1.3 * gaussian(count, std=0.5, seed=seed + 1).exp()


def _slope(n, seconds):
    """NumPy's line through the logarithms."""
    slope = np.polyfit(n.log().numpy(), seconds.log().numpy(), 1)[0]
    return torch.tensor(slope, dtype=torch.float64)


def _exponent(n, seconds):
    """The same with a gradient, by another formula than the solution's."""
    x, y, count = n.log(), seconds.log(), len(n)
    return (count * (x * y).sum() - x.sum() * y.sum()) / (count * (x * x).sum() - x.sum() ** 2)


def _line(x, y):
    away = x - x.mean()
    return (y * away).sum(dim=-1) / (away * away).sum()


def wrong_first_and_last(lengths, seconds):
    """You took the slope between the first point and the last, so those between count nothing, and
    one slow run at an end decides. Put a line through all.
    """
    return (seconds[..., -1] / seconds[..., 0]).log() / (lengths[-1] / lengths[0]).log()


def wrong_mean_of_the_steps(lengths, seconds):
    """You averaged the slopes from each length to the next. Between neighbours noise is largest,
    and most of them cancel: put one least-squares line through all points.
    """
    steps = seconds.log().diff(dim=-1) / lengths.log().diff()
    return steps.mean(dim=-1)


def wrong_no_constant(lengths, seconds):
    """Your line goes through the origin, as if one token took exactly one second: the unit of time
    moves your exponent. Take the means off first.
    """
    x, y = lengths.log(), seconds.log()
    return (x * y).sum(dim=-1) / (x * x).sum()


def wrong_straight_axes(lengths, seconds):
    """You fitted a line to the times themselves. Its slope is seconds for each token and no
    exponent: take the logarithms of both first.
    """
    return _line(lengths, seconds)


def wrong_lengths_not_in_logarithms(lengths, seconds):
    """You took the logarithm of the times alone, and fitted an exponential. A power law is straight
    on two logarithmic axes: take that of the lengths, too.
    """
    return _line(lengths, seconds.log())


def wrong_axes_exchanged(lengths, seconds):
    """You fitted lengths against times. That exponent says how much longer a text may be for twice
    the time: exchange the two.
    """
    x, y = lengths.log(), seconds.log()
    away = y - y.mean(dim=-1, keepdim=True)
    return (x * away).sum(dim=-1) / (away * away).sum(dim=-1)


def wrong_two_bases(lengths, seconds):
    """You took two kinds of logarithm, of base 2 and of base e or 10, and the slope is off by a
    factor. Any base will do, but it has to be one.
    """
    return _line(lengths.log2(), seconds.log())


def wrong_over_all_rows(lengths, seconds):
    """You summed over the mechanisms as well. Each row is a mechanism with an exponent of its own:
    sum along the last axis.
    """
    x = lengths.log()
    away = x - x.mean()
    return (seconds.log() * away).sum() / (away * away).sum()


def wrong_correlation(lengths, seconds):
    """You divided by the spread of both, which gives the correlation: near 1 for every power. For
    the slope divide by the spread of the lengths alone, squared.
    """
    x, y = lengths.log(), seconds.log()
    away, up = x - x.mean(), y - y.mean(dim=-1, keepdim=True)
    return (away * up).sum(dim=-1) / (away.norm() * up.norm(dim=-1))


def right_by_lstsq(lengths, seconds):
    """least squares with a column of ones for the constant"""
    x = lengths.log()
    table = torch.stack([x, torch.ones_like(x)], dim=-1)
    rows = seconds.log().reshape(-1, len(x))
    return torch.linalg.lstsq(table, rows.mT).solution[0].reshape(seconds.shape[:-1])


def right_by_covariance(lengths, seconds):
    """the covariance of both logarithms over the variance of the one"""
    x, y = lengths.log2(), seconds.log2()
    together = (x * y).mean(dim=-1) - x.mean() * y.mean(dim=-1)
    return together / x.var(correction=0)


def right_by_pairs(lengths, seconds):
    """the slopes of all pairs of points, each weighted by its squared distance"""
    x, y = lengths.log(), seconds.log()
    apart, up = x[:, None] - x, y[..., :, None] - y[..., None, :]
    return (apart * up).sum(dim=(-1, -2)) / (apart**2).sum()
