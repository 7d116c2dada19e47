"""What is done to logits before a token is chosen: far tokens left out, those said already lowered.

`attncourse.models.generation` has the other filters (temperature, top-k, top-p) and the loops.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def typical_filter(
    logits: Float[Tensor, "... vocabulary"], *, mass: float
) -> Float[Tensor, "... vocabulary"]:
    """The logits (..., V), with -inf for tokens whose surprise is far from what is expected.

    Token i has the surprise -ln p_i, p = softmax(logits), of which the entropy H is the mean. Kept
    are the fewest tokens with the smallest |-ln p_i - H| that have the probability `mass` together,
    at least one; of equal distances the smallest token comes first. Half-precision logits are
    compared in float32. Time O(V log V) a row.

    Raises ValueError unless 0 < mass <= 1. Source: Meister et al. 2023.

    >>> p = torch.tensor([0.6, 0.2, 0.1, 0.1])  # surprises 0.51, 1.61, ..., entropy 1.09
    >>> typical_filter(p.log(), mass=0.1).isfinite().tolist()
    [False, True, False, False]
    """
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be above 0 and at most 1: got {mass}")
    log_p = logits.detach().to(accumulation_dtype(logits.dtype)).log_softmax(dim=-1)
    p = log_p.exp()
    entropy = torch.special.entr(p).sum(dim=-1, keepdim=True)
    order = (-log_p - entropy).abs().argsort(dim=-1, stable=True)
    sorted_p = p.gather(-1, order)
    before = sorted_p.cumsum(dim=-1) - sorted_p  # what is nearer than a token
    out = torch.zeros_like(order, dtype=torch.bool).scatter(-1, order, before >= mass)
    return logits.masked_fill(out, -torch.inf)


@checked
def repetition_penalty(
    logits: Float[Tensor, "... vocabulary"], tokens: Int[Tensor, "... t"], *, penalty: float
) -> Float[Tensor, "... vocabulary"]:
    """The logits (..., V), those of the tokens (..., t) made smaller, however often they came.

    A positive logit is divided by the penalty, a negative one multiplied by it: dividing would
    bring it up. 1 changes nothing. This depends on where the logits have their zero.

    Raises ValueError unless penalty > 0. Source: Keskar et al. 2019 for the division.

    >>> repetition_penalty(torch.tensor([3.0, -1.0, 2.0]), torch.tensor([1, 0, 1]), penalty=2.0)
    tensor([ 1.5000, -2.0000,  2.0000])
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be positive: got {penalty}")
    said = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, True)
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(said, lowered, logits)
