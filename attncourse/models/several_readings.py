"""How much h heads can report at once: a table of which token goes into which output."""

import torch
from torch import Generator, Tensor

from attncourse.mechanisms.dense.softmax import softmax


def best_report(
    wanted: Tensor, h: int, *, steps: int = 600, tries: int = 4, seed: int = 0
) -> tuple[Tensor, float]:
    """The table (r, m) of h heads that is nearest to a wanted one, and its squared distance.

    Row a says how much of each token's value goes into output a: sum_i o_i w_i^T, with a row w_i
    of softmax weights and outputs o_i (r,) for each head. Both are found by gradient descent, the
    best of several tries. A head's table has rank 1, so that those of h heads have at most rank h:
    for the identity (every token reported by itself) at least m - h is missing, whatever the
    scores (Eckart and Young 1936). Weights are not negative: for a difference of two tokens, one
    row of rank 1, one head misses at least 1, two miss nothing.

    >>> table, missing = best_report(torch.eye(2), 1)
    >>> round(missing, 2), round(best_report(torch.eye(2), 2)[1], 2)
    (1.0, 0.0)
    """
    generator = torch.Generator().manual_seed(seed)
    found = (_fitted(wanted, h, steps, generator) for _ in range(tries))
    return min(found, key=lambda pair: pair[1])


def _fitted(wanted: Tensor, h: int, steps: int, generator: Generator) -> tuple[Tensor, float]:
    r, m = wanted.shape
    scores = torch.randn(h, m, generator=generator).requires_grad_()
    outputs = torch.randn(r, h, generator=generator).requires_grad_()
    adam = torch.optim.Adam([scores, outputs], lr=0.05)
    for _ in range(steps):
        missing = (outputs @ softmax(scores) - wanted).square().sum()
        adam.zero_grad()
        missing.backward()  # type: ignore[no-untyped-call]
        adam.step()
    table = (outputs @ softmax(scores)).detach()
    return table, (table - wanted).square().sum().item()
