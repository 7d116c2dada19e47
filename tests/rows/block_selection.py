"""Coarse-to-fine block selection."""

import math
from functools import partial

import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.content import block_selection
from attncourse.testing import attention_inputs
from rows import Mechanism

BLOCK, TOP = 3, 2


def plain_blocks(q, k, v, *, causal=False):
    """One block at a time, told apart by the label of each key; PyTorch's attention with a mask."""
    n, m = q.shape[-2], k.shape[-2]
    label = torch.arange(m) // BLOCK
    share = torch.nn.functional.one_hot(label).to(q.dtype)
    coarse = q @ (k.mT @ (share / share.sum(dim=0)))
    place = torch.arange(m - n, m)[:, None]
    if causal:
        own = torch.arange(share.shape[1]) == place // BLOCK
        later = torch.arange(share.shape[1]) > place // BLOCK
        coarse = coarse.masked_fill(own, math.inf).masked_fill(later, -math.inf)
    picked = torch.topk(coarse, TOP).indices
    mask = (label == picked[..., None]).any(dim=-2)
    if causal:
        mask = mask & (torch.arange(m) <= place)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


MECHANISMS = {
    f"block_selection_attention{name}": Mechanism(
        partial(block_selection.block_selection_attention, block=BLOCK, top=TOP, **option),
        partial(plain_blocks, **option),
        attention_inputs,
    )
    for name, option in (("", {}), ("_causal", {"causal": True}))
}
