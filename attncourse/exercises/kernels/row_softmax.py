r"""# A row, a program

The softmax of every row of a table, by one program for each row:

$$w_{ij} = \frac{e^{x_{ij} - \max_l x_{il}}}{\sum_{j' < n} e^{x_{ij'} - \max_l x_{il}}}
\quad (j < n), \qquad w_{ij} = 0 \quad (j \ge n).$$

Of each row only the first `n` numbers count. Write it as `masked_copy` is written: a program under
`@triton.jit`, and the line that starts it, once for each row. There are `tl.max(x, 0)`,
`tl.sum(x, 0)` and `tl.exp(x)`.

- `x` is (r, b), b a power of two, n at most b; the result has its shape and dtype.
- What lies past n may be anything, NaN too, and counts nothing; the result is 0 there.
- Numbers may be in the thousands, or minus that.
- No gradient is asked for: a kernel has none of its own.

Where Triton is missing (it is published for Linux), the checks are skipped: neither right nor
wrong.
"""

import torch

from attncourse.core.interpreted import tl, triton
from attncourse.kernels.first import row_softmax as solution
from attncourse.testing import assert_same, assert_that, gaussian, needs_triton

difficulty, minutes = 2, 20
hints = (
    "A row begins at the number of the program times the width of the table, b, not times n. What "
    "should a place past n hold, so that it changes neither the maximum nor the sum?",
    "`tl.load(..., mask=columns < n, other=...)` says what a place has that is not read. The "
    "exponential of minus infinity is 0, and a maximum never chooses it.",
)
forbidden = ("row_softmax", "softmax", "log_softmax", "logsumexp", "_softmax")

SIZES = ((3, 5, 8), (7, 11, 16))  # r, n, b


def check_equals_the_definition(student):
    """each row is the softmax of its first numbers, and 0 past them"""
    needs_triton()
    for r, n, b in SIZES:
        x = gaussian(r, b, seed=10)
        assert_same(student(x, n), _expected(x, n))


def check_padding_counts_nothing(student):
    """what lies past n may be large, or NaN"""
    needs_triton()
    for filling in (1000.0, torch.nan):
        for r, n, b in SIZES:
            x = gaussian(r, b, seed=20)
            x[:, n:] = filling
            assert_same(student(x, n), _expected(x, n))


def check_survives_large_numbers(student):
    """numbers in the thousands, above and below zero, neither overflow nor vanish"""
    needs_triton()
    for shift in (-3000.0, 3000.0):
        x = gaussian(4, 16, std=100.0, seed=30) + shift
        x[1] = shift
        ours = student(x, 13)
        assert_that(ours.isfinite().all(), "there is a NaN or an infinity in the result.")
        assert_same(ours, _expected(x, 13))


def check_one_row_and_one_number(student):
    """one row alone; rows of one number, and rows without padding"""
    needs_triton()
    for r, n, b in ((1, 6, 8), (5, 1, 4), (3, 8, 8)):
        x = gaussian(r, b, seed=40)
        assert_same(student(x, n), _expected(x, n))


def check_keeps_the_dtype(student):
    """float32 rows give float32 weights"""
    needs_triton()
    x = gaussian(5, 32, seed=50).float()
    assert_same(student(x, 19), _expected(x, 19))


def _expected(x, n):
    target = torch.zeros_like(x)
    target[:, :n] = _weights(x[:, :n])
    return target


def _weights(x, dim=-1):
    raised = (x - x.amax(dim=dim, keepdim=True)).exp()
    return raised / raised.sum(dim=dim, keepdim=True)


def wrong_padding_counts(x, n):
    """Your sum runs over the padding, too. Read with a mask, `columns < n`, and let what is not
    read be minus infinity.
    """
    return torch.where(torch.arange(x.shape[-1]) < n, _weights(x), 0.0)


def wrong_padding_is_zero(x, n):
    """Places past n are 0 for you, and e to the 0 is 1: they count in the sum, and may be the
    maximum. Let them be minus infinity: `other=-float("inf")`.
    """
    scores = torch.where(torch.arange(x.shape[-1]) < n, x, 0.0)
    return torch.where(torch.arange(x.shape[-1]) < n, _weights(scores), 0.0)


def wrong_padding_written(x, n):
    """Your first n numbers are right, and something is left past them. Write 0 there: the weight of
    a score of minus infinity.
    """
    scores = torch.where(torch.arange(x.shape[-1]) < n, x, 0.0)
    scores = scores - x[:, :n].amax(dim=-1, keepdim=True)
    weights = scores.exp()
    return weights / weights[:, :n].sum(dim=-1, keepdim=True)


def wrong_no_maximum_subtracted(x, n):
    """You took the exponentials as they are, and those of large numbers are infinite. Subtract the
    maximum of the row first: `tl.max(scores, 0)`.
    """
    weights = torch.where(torch.arange(x.shape[-1]) < n, x, -torch.inf).exp()
    return weights / weights.sum(dim=-1, keepdim=True)


def wrong_not_divided(x, n):
    """You did not divide by the sum: the weights of a row sum to one only after that."""
    scores = torch.where(torch.arange(x.shape[-1]) < n, x, -torch.inf)
    return (scores - scores.amax(dim=-1, keepdim=True)).exp()


def wrong_rows_as_far_as_n(x, n):
    """You let row number p begin at p times n. The rows lie b numbers apart, whatever counts of
    them: it begins at p times b.
    """
    places = torch.arange(x.shape[0])[:, None] * n + torch.arange(n)
    scores = x.flatten()[places]
    target = torch.zeros_like(x)
    target[:, :n] = _weights(scores)
    return target


def wrong_every_program_the_first_row(x, n):
    """All of your programs work on the first row. Each learns from `tl.program_id(0)` which one is
    its own: add that number times the width.
    """
    target = torch.zeros_like(x)
    target[:1] = _expected(x[:1], n)
    return target


def wrong_down_the_columns(x, n):
    """Your weights sum to one down each column. A program has a row: maximum and sum run over its n
    numbers.
    """
    target = torch.zeros_like(x)
    target[:, :n] = _weights(x[:, :n], dim=0)
    return target


def right_by_a_program_for_each_row(x, n):
    """one row in one block, minus infinity past n"""

    @triton.jit
    def program(source, target, n, WIDTH: tl.constexpr):
        columns = tl.arange(0, WIDTH)
        places = tl.program_id(0) * WIDTH + columns
        scores = tl.load(source + places, mask=columns < n, other=-float("inf"))
        weights = tl.exp(scores - tl.max(scores, 0))
        tl.store(target + places, weights / tl.sum(weights, 0))

    target = torch.empty_like(x)
    program[(x.shape[0],)](x, target, n, WIDTH=x.shape[1])
    return target


def right_by_two_programs(x, n):
    """two programs that take every other row"""

    @triton.jit
    def program(source, target, r, n, WIDTH: tl.constexpr):
        columns = tl.arange(0, WIDTH)
        for row in range(tl.program_id(0), r, 2):
            scores = tl.load(source + row * WIDTH + columns, mask=columns < n, other=-float("inf"))
            weights = tl.exp(scores - tl.max(scores, 0))
            weights = weights / tl.sum(weights, 0)
            tl.store(target + row * WIDTH + columns, weights, mask=columns < n)

    target = torch.zeros_like(x)
    program[(2,)](x, target, x.shape[0], n, WIDTH=x.shape[1])
    return target


def right_by_a_logarithm(x, n):
    """the exponential of score minus logsumexp, all rows in one program"""

    @triton.jit
    def program(source, target, n, ROWS: tl.constexpr, WIDTH: tl.constexpr):
        columns = tl.arange(0, WIDTH)[None, :]
        rows = tl.arange(0, ROWS)[:, None]
        places = rows * WIDTH + columns
        inside = (columns < n) & (rows < ROWS)
        scores = tl.load(source + places, mask=inside, other=-float("inf"))
        scores = scores - tl.max(scores, 1)[:, None]
        total = tl.log(tl.sum(tl.exp(scores), 1))
        tl.store(target + places, tl.exp(scores - total[:, None]))

    rows = 2 ** (x.shape[0] - 1).bit_length()
    padded = torch.zeros(rows, x.shape[1], dtype=x.dtype)
    padded[: x.shape[0]] = x
    target = torch.empty_like(padded)
    program[(1,)](padded, target, n, ROWS=rows, WIDTH=x.shape[1])
    return target[: x.shape[0]]


shown = right_by_a_program_for_each_row
