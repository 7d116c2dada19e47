r"""# Where the lines cross

Attention over all pairs takes time that grows with the square of the length. A linear mechanism
grows with the length, but it is made of many operators, which take some time however short the text
is, and its products are smaller, so that they run at a lower rate:

$$t_{\text{pairs}}(n) = \frac{\text{pair\_flops}\; n^2}{\text{pair\_rate}}, \qquad
t_{\text{linear}}(n) = \text{fixed} + \frac{\text{token\_flops}\; n}{\text{token\_rate}} .$$

- `pair_flops` are the FLOPs for each pair of tokens, `token_flops` those for each token;
  `pair_rate` and `token_rate` are in FLOPs a second, `fixed` is in seconds. The first four are
  above 0, `fixed` is at least 0.
- The result is the least length n, an `int` of at least 1, at which the linear mechanism takes no
  longer than all pairs. From there on it stays so.
"""

import math

from attncourse.measure.scaling import predict_crossover as solution
from attncourse.testing import assert_same, assert_that, gaussian

difficulty, minutes = 2, 20
hints = (
    "Set both times equal. It is a quadratic equation in n; which of its two roots is a length?",
    "With a = pair_flops / pair_rate and b = token_flops / token_rate the root is "
    "(b + sqrt(b^2 + 4 a fixed)) / 2a. Which whole number do you return if it is 93.2, and which "
    "if it is 93 exactly?",
)
forbidden = ("predict_crossover",)


def check_counts_alone(student):
    """one rate for both, nothing fixed: the counts decide"""
    assert_same(student(256, 65_536, 1e11, 1e11, fixed=0.0), 256)
    assert_same(student(3, 1000, 7.0, 7.0, fixed=0.0), 334, "the length for 1000 n against 3 n^2")


def check_rates_matter(student):
    """slower small products move the crossing up, faster ones down"""
    assert_same(student(256, 65_536, 64.0, 16.0, fixed=0.0), 1024, "the length at a fourth")
    assert_same(student(8, 96, 2.0, 16.0, fixed=0.0), 2, "the length at eight times the rate")


def check_fixed_time_matters(student):
    """what is paid once keeps the linear mechanism behind on short texts"""
    assert_same(student(1, 2, 1.0, 1.0, fixed=48.0), 8, "the length where n^2 = 2 n + 48")
    assert_same(student(4, 6, 2.0, 4.0, fixed=100.0), 8, "the length where 2 n^2 = 1.5 n + 100")


def check_is_the_least_length(student):
    """no longer there, longer one token before, for numbers of any size"""
    for seed in range(6):
        pair, token, wait = gaussian(3, std=1.0, seed=seed).exp().tolist()
        given = 1e2 * pair, 1e5 * token, 2e11, 3e10
        fixed = 1e-3 * wait
        n = student(*given, fixed=fixed)
        assert_that(isinstance(n, int), f"the length must be an int: got {type(n).__name__}.")
        assert_that(_reached(n, *given, fixed), f"at {n} tokens all pairs are faster still.")
        assert_that(not _reached(n - 1, *given, fixed), f"{n - 1} tokens are enough already.")


def check_is_one_at_least(student):
    """a mechanism that is cheaper for a single token wins from 1 on"""
    assert_same(student(1000, 3, 5.0, 5.0, fixed=0.0), 1)
    assert_same(student(7, 7, 2.0, 2.0, fixed=0.0), 1, "the length where both take the same at 1")


def _reached(n, pair_flops, token_flops, pair_rate, token_rate, fixed):
    return fixed + token_flops / token_rate * n <= pair_flops / pair_rate * n**2


def _first(pair, token, fixed):
    """The least n at which fixed + token n is no more than pair n^2."""
    n = max(1, int((token + (token**2 + 4 * pair * fixed) ** 0.5) / (2 * pair)))
    while fixed + token * n > pair * n**2:
        n += 1
    return n


def wrong_rates_forgotten(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You compared FLOPs and took one rate for both. Small products run at a lower rate than large
    ones: divide each count by its own.
    """
    return _first(pair_flops / pair_rate, token_flops / pair_rate, fixed)


def wrong_fixed_forgotten(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You left the fixed time out, which the linear mechanism pays at any length: on short texts it
    is all there is. Add it before you compare.
    """
    return _first(pair_flops / pair_rate, token_flops / token_rate, 0.0)


def wrong_rates_exchanged(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You gave each mechanism the other one's rate: divide pair_flops by pair_rate, and token_flops
    by token_rate.
    """
    return _first(pair_flops / token_rate, token_flops / pair_rate, fixed)


def wrong_times_the_rate(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You multiplied by the rates. A higher rate makes less time: FLOPs are divided by FLOPs a
    second.
    """
    return _first(pair_flops * pair_rate, token_flops * token_rate, fixed)


def wrong_rounded_down(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You cut the root off. At that length all pairs are still the faster ones, unless the root is
    a whole number: round up.
    """
    pair, token = pair_flops / pair_rate, token_flops / token_rate
    return max(1, int((token + (token**2 + 4 * pair * fixed) ** 0.5) / (2 * pair) + 1e-9))


def wrong_one_too_many(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You ask for less time, where no more is enough: if both are equal at a whole length, that one
    counts. Compare by *no longer than*.
    """
    pair, token = pair_flops / pair_rate, token_flops / token_rate
    n = _first(pair, token, fixed)
    return n + 1 if fixed + token * n == pair * n**2 else n


def wrong_a_power_of_two(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You tried powers of two alone. Between the last that is too short and the first that is long
    enough lie many lengths: find the least.
    """
    n = 1
    while not _reached(n, pair_flops, token_flops, pair_rate, token_rate, fixed):
        n *= 2
    return n


def wrong_fixed_for_both(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You let each token pay the fixed time. It is paid once for a text, however long: add it to
    the product, not to one of its factors.
    """
    return _first(pair_flops / pair_rate, token_flops / token_rate + fixed, 0.0)


def wrong_the_linear_part_forgotten(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """You set all pairs against the fixed time alone. The linear mechanism takes time for each
    token as well: solve the whole equation.
    """
    return max(1, -int(-((fixed * pair_rate / pair_flops) ** 0.5) // 1))


def right_by_rounding_up(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """half the root of the linear equation, completed to a square, and rounded up"""
    half = token_flops / token_rate * pair_rate / pair_flops / 2
    root = half + math.hypot(half, math.sqrt(fixed * pair_rate / pair_flops))
    return max(1, math.ceil(root * (1 - 1e-12)))


def right_by_the_root(pair_flops, token_flops, pair_rate, token_rate, *, fixed):
    """the root, rounded up, and one back if that was one too many"""
    a, b = pair_flops / pair_rate, token_flops / token_rate
    n = int((b + (b * b + 4 * a * fixed) ** 0.5) / (2 * a)) + 1
    before = n - 1
    return before if before >= 1 and fixed + b * before <= a * before**2 else n
