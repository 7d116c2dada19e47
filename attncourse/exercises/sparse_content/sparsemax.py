r"""# The nearest weights

Find the weights that are nearest to the scores: of all numbers that are at least 0 and sum to one
along the last axis, those with the smallest distance to x,

$$p = \arg\min_{p \in \Delta} \sum_i (p_i - x_i)^2
\qquad\text{or}\qquad p_i = \max(x_i - t, 0), \quad \sum_i p_i = 1 .$$

So all that is to be found is the number t of each row. With
$x_{(1)} \ge x_{(2)} \ge \dots$ sorted,

$$k = \max \{\, j : 1 + j\, x_{(j)} > x_{(1)} + \dots + x_{(j)} \,\}, \qquad
t = \frac{x_{(1)} + \dots + x_{(k)} - 1}{k} .$$

- `x` is (..., n), so is the result, in the dtype of `x`. An entry of -inf gets 0; the largest entry
  of a row is finite.
- Adding a constant to a row changes nothing, and scores may be as large as they like: subtract the
  largest first.
- The gradient is right: zero where the weight is 0.
"""

import math

import torch

from attncourse.mechanisms.content.sparsemax import sparsemax as solution
from attncourse.mechanisms.content.sparsemax import sparsemax_by_definition as by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 25
hints = (
    "Sort a row downwards and take `cumsum`. For which j does the condition hold? It holds for the "
    "first k and for none after them, so that counting is enough.",
    "With k known, the sum of the first k is the entry k - 1 of the cumulative sums: `gather` "
    "fetches it. Then t, and `clamp` at 0.",
)
forbidden = ("sparsemax",)


def check_equals_the_nearest_point(student):
    """equals the nearest point of the simplex, from one weight to many"""
    for shape in ((5, 37), (11, 9), (6, 3)):
        for std in (0.1, 1.0, 4.0):
            x = gaussian(*shape, std=std, seed=10)
            assert_same(student(x), by_definition(x))


def check_sums_to_one_and_has_zeros(student):
    """weights are at least 0 and sum to one; what lies 1 or more below the largest has exactly 0"""
    x = gaussian(7, 9, std=2.0, seed=20)
    weights = student(x)
    assert_same(weights.sum(dim=-1), torch.ones(7, dtype=torch.float64), "the sum of each row")
    far = x <= x.amax(dim=-1, keepdim=True) - 1
    assert_that(
        bool((weights[far] == 0).all()) and bool((weights >= 0).all()),
        "no weight is negative, and an entry that lies 1 or more below the largest of its row has "
        "the weight 0, exactly.",
    )


def check_treats_equals_equally(student):
    """equal scores have equal weights; one entry alone has the weight 1"""
    for row in ([2.0, 2.0, 2.0, 2.0], [0.5, 0.0, 0.5, 0.0, -3.0], [7.0], [1.0, 0.0]):
        x = torch.tensor([row], dtype=torch.float64)
        assert_same(student(x), by_definition(x), f"the weights of {row}")


def check_takes_any_number_of_axes(student):
    """works on one row, on a square matrix and on any leading axes, those of length one too"""
    for shape in ((37,), (7, 7), (2, 3, 5, 6), (1, 9), (4, 1, 6), (3, 1)):
        x = gaussian(*shape, std=1.0, seed=30)
        assert_same(student(x), by_definition(x), f"the result for shape {shape}")


def check_takes_hidden_scores(student):
    """-inf gets the weight 0, and the others are as without it"""
    for seed in (40, 41):
        x = gaussian(5, 9, std=0.5, seed=seed)
        hidden = x.clone()
        hidden[:, ::3] = -math.inf
        kept = [j for j in range(9) if j % 3]
        weights = student(hidden)
        assert_same(
            weights[:, kept], by_definition(x[:, kept]), "the weights of what is not hidden"
        )
        assert_same(weights[:, ::3], torch.zeros_like(x[:, ::3]), "the weights of -inf")


def check_takes_scores_of_any_size(student):
    """a large number added to all scores changes nothing; nor do scores far apart"""
    x = (1024 * gaussian(5, 9, std=0.3, seed=50)).round() / 1024
    for shift in (2.0**42, -(2.0**42)):
        assert_same(student(x + shift), by_definition(x))
    wide = gaussian(5, 9, std=1e6, seed=51)
    assert_same(student(wide), by_definition(wide))


def check_has_the_right_gradient(student):
    """the gradient is right: within the support g minus its mean there, elsewhere 0"""
    for shape in ((5, 37), (11, 9)):
        x = gaussian(*shape, std=0.6, seed=60)
        assert_same(gradients(student, x), gradients(by_definition, x), "the gradient")


def check_keeps_the_dtype(student):
    """float32 scores give float32 weights"""
    x = gaussian(5, 9, std=1.0, seed=70).float()
    assert_same(student(x), by_definition(x))


def _sorted(x):
    z = x - x.amax(dim=-1, keepdim=True)
    ordered = z.sort(dim=-1, descending=True).values
    return z, ordered, ordered.cumsum(dim=-1), torch.arange(1, x.shape[-1] + 1)


def _cut(z, sums, k):
    t = (sums.gather(-1, (k - 1).clamp(min=0)) - 1) / k
    return (z - t).clamp(min=0)


def wrong_softmax(x):
    """You computed softmax, whose weights are never 0. Here the weight is what lies above t."""
    return x.softmax(dim=-1)


def wrong_one_step(x):
    """You computed t from all entries, cut at 0 and divided by the sum. Once negative ones are cut,
    t has to be found anew: only the k entries of the support count.
    """
    z = x - x.amax(dim=-1, keepdim=True)
    z = z.clamp(min=-1e30)
    p = (z - (z.sum(dim=-1, keepdim=True) - 1) / z.shape[-1]).clamp(min=0)
    return p / p.sum(dim=-1, keepdim=True)


def wrong_negative_weights(x):
    """You left out the cut at 0, so that weights may be negative. Clamp what lies below t."""
    z, _, sums, count = _sorted(x)
    k = (1 + count * _ordered(z) > sums).sum(dim=-1, keepdim=True)
    return z - (sums.gather(-1, k - 1) - 1) / k


def _ordered(z):
    return z.sort(dim=-1, descending=True).values


def wrong_relu(x):
    """You cut at 0 and divided by the sum. A common factor does not give the nearest point: one
    number t is subtracted from all.
    """
    z = (x - x.amax(dim=-1, keepdim=True) + 1).clamp(min=0)
    return z / z.sum(dim=-1, keepdim=True)


def wrong_sorted_upwards(x):
    """You sorted upwards. The support are the largest entries: sort with `descending=True`."""
    z = x - x.amax(dim=-1, keepdim=True)
    ordered = z.sort(dim=-1).values
    sums, count = ordered.cumsum(dim=-1), torch.arange(1, x.shape[-1] + 1)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    return _cut(z, sums, k.clamp(min=1))


def wrong_counted_from_zero(x):
    """You counted j from 0. In the condition the largest entry is number 1: `arange(1, n + 1)`."""
    z, ordered, sums, count = _sorted(x)
    k = (1 + (count - 1) * ordered > sums).sum(dim=-1, keepdim=True)
    return _cut(z, sums, k.clamp(min=1))


def wrong_one_entry_too_many(x):
    """You took the sum of one entry too many. The sum of the first k stands at index k - 1."""
    z, ordered, sums, count = _sorted(x)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    t = (sums.gather(-1, k.clamp(max=x.shape[-1] - 1)) - 1) / k
    return (z - t).clamp(min=0)


def wrong_divided_by_all(x):
    """You divided by n. What is subtracted is shared by the k entries of the support."""
    z, ordered, sums, count = _sorted(x)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    return (z - (sums.gather(-1, k - 1) - 1) / x.shape[-1]).clamp(min=0)


def wrong_weights_in_sorted_order(x):
    """Your weights stand in the order of their size. Sort only to find t, and subtract it from x as
    it came.
    """
    _, ordered, sums, count = _sorted(x)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    return _cut(ordered, sums, k)


def wrong_largest_not_subtracted(x):
    """You added up the scores as they came: of large ones no digit is left for t. Subtract the
    largest of each row first.
    """
    ordered = x.sort(dim=-1, descending=True).values
    sums, count = ordered.cumsum(dim=-1), torch.arange(1, x.shape[-1] + 1)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True).clamp(min=1)
    return _cut(x, sums, k)


def wrong_without_its_gradient(x):
    """Your weights are right, and t is detached. It depends on the scores of the support: raise one
    of them and the others sink.
    """
    z, ordered, sums, count = _sorted(x)
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    return _cut(z, sums.detach(), k)


def wrong_first_axis(x):
    """You worked along the first axis. Weights are for the last one."""
    z, ordered, sums, count = _sorted(x.movedim(0, -1))
    k = (1 + count * ordered > sums).sum(dim=-1, keepdim=True)
    return torch.nan_to_num(_cut(z, sums, k.clamp(min=1))).movedim(-1, 0)


def wrong_halved(x):
    """You computed entmax-1.5: half of the scores, and a square. Sparsemax needs neither."""
    z = (x - x.amax(dim=-1, keepdim=True)) / 2
    low = torch.full_like(z[..., :1], -1.0)
    high = torch.zeros_like(low)
    for _ in range(60):
        t = (low + high) / 2
        more = (z - t).clamp(min=0).square().sum(dim=-1, keepdim=True) > 1
        low, high = torch.where(more, t, low), torch.where(more, high, t)
    return (z - low).clamp(min=0).square()


def right_by_sorting(x):
    """sorts, counts the support, subtracts t"""
    z = x - x.amax(dim=-1, keepdim=True)
    ordered = z.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(dim=-1)
    j = torch.arange(1, x.shape[-1] + 1)
    k = (1 + j * ordered > sums).sum(dim=-1, keepdim=True)
    t = (sums.gather(-1, k - 1) - 1) / k
    return (z - t).clamp(min=0)


def right_by_dropping(x):
    """drops what is below t, and finds t anew, until nothing falls out"""
    z = x - x.amax(dim=-1, keepdim=True)
    inside = z > -1
    for _ in range(64):  # rows here are shorter, and one entry at least falls out at a time
        held = z.masked_fill(~inside, 0.0)
        t = (held.sum(dim=-1, keepdim=True) - 1) / inside.sum(dim=-1, keepdim=True)
        inside = z > t
    return torch.where(inside, z - t, 0.0)


def right_by_trying_all_supports(x):
    """t of every prefix of the sorted row: the largest of them is the right one"""
    z, _, sums, count = _sorted(x)
    return (z - ((sums - 1) / count).amax(dim=-1, keepdim=True)).clamp(min=0)


shown = right_by_sorting
