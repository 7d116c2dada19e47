"""Products with a factored matrix; the decomposition itself is tested in its own file."""

import torch

from attncourse.mechanisms.low_rank import factors as low_rank
from attncourse.testing import gaussian
from rows import Mechanism


def plain_factored(x, left, right):
    inner = torch.nn.functional.linear(x, left.mT)
    return torch.nn.functional.linear(inner, right.mT)


def factored(*lead, std=2.0, seed=0):
    x = gaussian(*lead, 5, 9, std=std, seed=seed)
    return x, gaussian(9, 3, std=0.5, seed=seed + 1), gaussian(3, 7, std=0.5, seed=seed + 2)


MECHANISMS = {
    "factored_linear": Mechanism(low_rank.factored_linear, plain_factored, factored),
}
OPTIONS = {low_rank.truncated_svd: {"r": 3}, low_rank.truncated_svd_by_definition: {"r": 3}}
