"""From measured times to what they say: how they grow, what they are made of, where they cross."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def growth_exponent(
    lengths: Float[Tensor, " s"], seconds: Float[Tensor, "... s"]
) -> Float[Tensor, "..."]:
    """The exponent p of the power law c n^p that is nearest to measured times.

    The slope of the least-squares line through the points (ln length, ln seconds), so that a factor
    counts the same at every length. Units do not matter: they move c. Time and memory O(s).

    Raises ValueError where there are not at least two lengths, all different and positive.

    >>> lengths = torch.tensor([512.0, 1024.0, 2048.0], dtype=torch.float64)
    >>> round(growth_exponent(lengths, 1e-9 * lengths**2).item(), 6)
    2.0
    """
    given = lengths.tolist()
    if len(given) < 2 or len(set(given)) < len(given) or min(given) <= 0:
        raise ValueError(f"lengths must be at least 2, all different and above 0: got {given}")
    x = lengths.log()
    away = x - x.mean()
    return (seconds.log() * away).sum(dim=-1) / (away * away).sum()


@checked
def fit_cost(counts: Float[Tensor, "s c"], seconds: Float[Tensor, " s"]) -> Float[Tensor, " c"]:
    """What each kind of work costs, if a time is the sum of its kinds: seconds = counts @ prices.

    A row of counts holds how much of each kind a call does (operators, FLOPs, bytes). The prices
    are those with the least sum of squared *relative* errors, sum_i ((counts_i . prices) /
    seconds_i - 1)^2: a microsecond that is off by a tenth counts as much as a second that is. They
    may come out negative, which says that the kinds do not explain the times.

    Time O(s c^2). Raises ValueError where there are fewer calls than kinds.

    >>> counts = torch.tensor([[1.0, 0.0], [2.0, 10.0], [5.0, 3.0]])
    >>> fit_cost(counts, counts @ torch.tensor([3.0, 0.5]))
    tensor([3.0000, 0.5000])
    """
    calls, kinds = counts.shape
    if calls < kinds:
        raise ValueError(f"there must be a call for each kind of work: got {calls} for {kinds}")
    wide = accumulation_dtype(counts.dtype)  # LAPACK has no half precision
    relative = counts.to(wide) / seconds.to(wide)[:, None]
    ones = torch.ones_like(relative[:, :1])
    return torch.linalg.lstsq(relative, ones).solution.squeeze(-1).to(counts.dtype)


@checked
def predict_crossover(
    pair_flops: float, token_flops: float, pair_rate: float, token_rate: float, *, fixed: float
) -> int:
    """The least length n at which a linear mechanism takes no longer than one over all pairs.

    All pairs take pair_flops n^2 / pair_rate seconds. The other takes token_flops n / token_rate,
    and `fixed` seconds whatever the length. Rates are in FLOPs a second: that of large products is
    higher than that of small ones.

    Raises ValueError unless all numbers are finite, fixed at least 0, and the others above 0.

    >>> predict_crossover(256, 65_536, 1e11, 1e11, fixed=0.0)  # counts alone
    256
    >>> predict_crossover(256, 65_536, 1e11, 5e10, fixed=0.001)
    932
    """
    numbers = {
        "pair_flops": pair_flops,
        "token_flops": token_flops,
        "pair_rate": pair_rate,
        "token_rate": token_rate,
    }
    for name, number in (numbers | {"fixed": fixed}).items():
        least = number >= 0 if name == "fixed" else number > 0
        if not (least and math.isfinite(number)):
            rule = "at least 0" if name == "fixed" else "above 0"
            raise ValueError(f"{name} must be {rule} and finite: got {name}={number}")
    pair, token = pair_flops / pair_rate, token_flops / token_rate
    near = math.floor((token + math.sqrt(token**2 + 4 * pair * fixed)) / (2 * pair))
    around = range(max(1, near - 1), near + 3)  # the root is rounded
    return next(n for n in around if fixed + token * n <= pair * n**2)


def choose_mechanism(
    n: int, memory: float, offers: Sequence[tuple[Sequence[float], Sequence[float]]]
) -> int:
    """The place of the fastest of some mechanisms whose memory is enough for n tokens, or -1.

    offers has what each mechanism takes in time and in memory, both as (fixed, for each token, for
    each pair): fixed + token n + pair n^2. It fits where its memory is at most `memory`, in the
    unit of the offers. Of several that are equally fast the first counts. Time O(offers).

    >>> table, state = ((0, 0, 2), (0, 0, 1)), ((9, 5, 0), (16, 1, 0))
    >>> choose_mechanism(3, 100, [table, state]), choose_mechanism(8, 100, [table, state])
    (0, 1)
    >>> choose_mechanism(20, 30, [table, state])  # 400 and 36 numbers
    -1
    """
    best, least = -1, math.inf
    for place, (time, room) in enumerate(offers):
        seconds, numbers = (a + b * n + c * n**2 for a, b, c in (time, room))
        if numbers <= memory and seconds < least:
            best, least = place, seconds
    return best
