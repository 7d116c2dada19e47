r"""# Mend the price list

This function finds what each kind of work costs from calls whose times are known: so many seconds
for an operator, so many for a FLOP, so many for a byte. On times without noise it gives the prices
to the last digit. On real ones it is right about the longest calls, and off by a factor of several
for the short ones. Find out which errors it makes small, and mend it: the prices are to have the
least sum of squared *relative* errors,

$$\sum_i \left( \frac{\sum_k \mathrm{counts}_{ik}\; \mathrm{price}_k}{\mathrm{seconds}_i} - 1
\right)^2 .$$

- `counts` is (s, c): s calls, c kinds of work, s at least c. `seconds` is (s,), above 0.
- The result is (c,), a price for each kind, in the dtype of `counts`. No price is fixed for calls
  that do nothing. Shapes and dtype are right already, and stay so.
"""

import torch

from attncourse.measure.scaling import fit_cost as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Take one kind of work and two calls: 1 operator in 1 second, 1000 in 4000. Which price does "
    "the function find, and how far is it off for each call, in seconds and in percent?",
    "Least squares makes |A x - b| small. What do A and b have to be, so that A x - b is a "
    "relative error? Divide both sides of the equation of a call by the same number.",
)
forbidden = ("fit_cost",)


def check_two_calls_by_hand(student):
    """one kind of work: 1 unit in 1 s, 1000 units in 4000 s"""
    counts, seconds = _tensor([[1.0], [1000.0]]), _tensor([1.0, 4000.0])
    assert_same(student(counts, seconds), _tensor([1.25 / 1.0625]), "the price")


def check_finds_prices_without_noise(student):
    """times that are exactly counts times prices have these prices"""
    for calls, kinds in ((7, 3), (5, 2), (4, 4)):
        counts, prices = _counts(calls, kinds), _prices(kinds)
        assert_same(student(counts, counts @ prices), prices, f"the {kinds} prices")


def check_has_the_least_relative_errors(student):
    """noisy times, a million times as long the one as the other: the nearest in proportion"""
    for calls, kinds in ((30, 3), (11, 2)):
        counts, seconds = _noisy(calls, kinds)
        assert_same(student(counts, seconds), _normal(counts, seconds))


def check_counts_one_kind(student):
    """a single kind, and as many calls as kinds"""
    counts, seconds = _noisy(6, 1, seed=20)
    assert_same(student(counts, seconds), _normal(counts, seconds), "the price of one kind")
    counts, seconds = _noisy(3, 3, seed=21)
    exact = torch.linalg.solve(counts, seconds)
    assert_same(student(counts, seconds), exact, "the prices of three calls")


def check_turns_units_around(student):
    """milliseconds make prices a thousand times as large, thousands of FLOPs as well"""
    counts, seconds = _noisy(12, 3, seed=30)
    expected = _normal(counts, seconds)
    assert_same(student(counts, 1e3 * seconds), 1e3 * expected, "the prices in milliseconds")
    thousands = counts / _tensor([1.0, 1e3, 1.0])
    assert_same(
        student(thousands, seconds),
        expected * _tensor([1.0, 1e3, 1.0]),
        "the prices with the second kind in thousands",
    )


def check_keeps_the_dtype(student):
    """float32 counts give float32 prices"""
    counts, seconds = _tensor([[1.0, 2.0], [3.0, 1.0], [4.0, 8.0]]), _tensor([4.0, 4.0, 20.0])
    expected = _normal(counts, seconds).float()
    assert_same(student(counts.float(), seconds.float()), expected)


def check_has_the_right_gradient(student):
    """the gradient of the times is right: it says on which calls a price rests"""
    counts, seconds = _noisy(9, 2, seed=40)
    assert_same(
        gradients(student, counts, seconds)[1],
        gradients(_normal, counts, seconds)[1],
        "the gradient",
    )


def _tensor(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def _counts(calls, kinds, *, seed=0):
    return gaussian(calls, kinds, std=1.0, seed=seed).exp()


def _prices(kinds):
    return _tensor([3.0, 0.5, 2.0, 7.0][:kinds])


def _noisy(calls, kinds, *, seed=10):
    """Calls of very different sizes, and times that are off by some tens of percent."""
    sizes = gaussian(calls, 1, std=3.0, seed=seed).exp()
    counts = _counts(calls, kinds, seed=seed + 1) * sizes
    return counts, (counts @ _prices(kinds)) * gaussian(calls, std=0.3, seed=seed + 2).exp()


def _normal(counts, seconds):
    """The normal equations of the relative errors."""
    table = counts / seconds[:, None]
    return torch.linalg.solve(table.mT @ table, table.sum(dim=0))


def _least(table, target):
    return torch.linalg.lstsq(table, target[:, None]).solution.squeeze(-1)


def wrong_absolute_errors(counts, seconds):
    """You made the errors small in seconds. A tenth of the longest call is more than all of a short
    one, so the short ones count nothing: divide the equation of each call by its time.
    """
    return torch.linalg.lstsq(counts, seconds[:, None]).solution.squeeze(-1)


def wrong_times_alone_divided(counts, seconds):
    """You divided the times by themselves and left the counts. Both sides of a call's equation are
    to be divided by its time: the counts, too.
    """
    return _least(counts, seconds / seconds)


def wrong_by_the_root_of_the_time(counts, seconds):
    """You divided by the root of the time, as one does for noise that is counted. An error of a
    tenth is to weigh the same at any length: divide by the time itself.
    """
    root = seconds.sqrt()
    return _least(counts / root[:, None], seconds / root)


def wrong_divided_by_the_counts(counts, seconds):
    """You divided each call by the sum of its counts, not by its time. Relative errors have the
    measured time below them.
    """
    size = counts.sum(dim=-1)
    return _least(counts / size[:, None], seconds / size)


def wrong_with_a_constant(counts, seconds):
    """You let the fit have a constant beside the kinds, and threw it away. Without work there is no
    time here: leave the column of ones out.
    """
    table = torch.cat([counts, torch.ones_like(counts[:, :1])], dim=-1) / seconds[:, None]
    kept = torch.linalg.pinv(table) @ torch.ones_like(seconds)
    return kept[: counts.shape[1]]


def wrong_each_kind_by_itself(counts, seconds):
    """You fitted each kind alone, as if it took the whole time. They share it: solve for all prices
    at once.
    """
    table = counts / seconds[:, None]
    return table.sum(dim=0) / (table * table).sum(dim=0)


def wrong_multiplied_by_the_time(counts, seconds):
    """You multiplied each call's equation by its time, which makes the long calls count even more.
    Divide by it.
    """
    return _least(counts * seconds[:, None], seconds * seconds)


def wrong_relative_to_the_prediction(counts, seconds):
    """You made each price the mean of time over count. That is a mean of single kinds: let the
    kinds add up, and solve for them together.
    """
    return (seconds[:, None] / counts).mean(dim=0) / counts.shape[1]


stub = wrong_absolute_errors


def right_by_the_pseudo_inverse(counts, seconds):
    """the pseudo-inverse of the divided counts, summed over its rows"""
    return torch.linalg.pinv(counts / seconds[:, None]).sum(dim=-1)


def right_by_qr(counts, seconds):
    """a triangular system after QR"""
    q, r = torch.linalg.qr(counts / seconds[:, None])
    return torch.linalg.solve_triangular(r, q.sum(dim=0)[:, None], upper=True).squeeze(-1)


def right_by_weights(counts, seconds):
    """weighted least squares, each call weighted by one over its squared time"""
    weights = seconds.reciprocal().square()
    left = counts.mT @ (weights[:, None] * counts)
    return torch.linalg.solve(left, counts.mT @ (weights * seconds))
