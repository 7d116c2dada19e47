"""Block-term attention, and its tensor of all triples."""

import torch

from attncourse.mechanisms.low_rank import block_term
from attncourse.testing import gaussian
from rows import Mechanism


def plain_block_term(q, k, v, cores, w_o):
    weights = torch.einsum("hx,...ix,...jx,...lx->...ijl", cores, q, k, v) / len(cores)
    return torch.einsum("...ijl,jle->...ie", weights, w_o)


def factors(*lead, std=2.0, seed=0):
    q = gaussian(*lead, 5, 8, std=std, seed=seed)
    k, v = (gaussian(*lead, 7, 8, std=std, seed=seed + i) for i in (1, 2))
    return q, k, v, gaussian(3, 8, seed=seed + 3), gaussian(7, 7, 6, std=0.1, seed=seed + 4)


MECHANISMS = {
    "block_term_attention": Mechanism(block_term.block_term_attention, plain_block_term, factors),
}
OPTIONS = {block_term.block_term_tensor: {}, block_term.block_term_parameters: {}}
