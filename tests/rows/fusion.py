"""Attention to several memories, each function with two or three of different lengths."""

import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.sharing import fusion
from attncourse.testing import gaussian
from rows import Mechanism
from rows.softmax import plain_attention


def memories(*lead, std=2.0, seed=0, e=6):
    """A query, and the keys and values of three memories of 7, 1 and 12 tokens."""
    found = [gaussian(*lead, 5, 8, std=std, seed=seed)]
    for i, m in enumerate((7, 1, 12)):
        found.append(gaussian(*lead, m, 8, std=std, seed=seed + 2 * i + 1))
        found.append(gaussian(*lead, m, e, std=2.0, seed=seed + 2 * i + 2))
    return tuple(found)


def as_wide_as_x(*lead, std=2.0, seed=0):
    return memories(*lead, std=std, seed=seed, e=8)


def with_matrix(*lead, std=2.0, seed=0):
    return *memories(*lead, std=std, seed=seed), gaussian(6, 8, std=0.3, seed=seed + 9)


def gated(*lead, std=2.0, seed=0):
    return *as_wide_as_x(*lead, std=std, seed=seed)[:3], gaussian(2, std=1.0, seed=seed + 9)


def of_three(function):
    """A function of a list of pairs as one of seven tensors and perhaps one more."""

    def run(q, k_1, v_1, k_2, v_2, k_3, v_3):
        return function(q, [(k_1, v_1), (k_2, v_2), (k_3, v_3)])

    return run


def hierarchical(q, k_1, v_1, k_2, v_2, k_3, v_3, w):
    return fusion.hierarchical_fusion(q, [(k_1, v_1), (k_2, v_2), (k_3, v_3)], w)


def plain_flat(q, *parts):
    return plain_attention(q, torch.cat(parts[::2], dim=-2), torch.cat(parts[1::2], dim=-2))


def plain_serial(x, *parts):
    for k, v in zip(parts[::2], parts[1::2], strict=True):
        x = x + plain_attention(x, k, v)
    return x


def plain_parallel(x, *parts):
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return x + sum(plain_attention(x, k, v) for k, v in pairs)


def plain_hierarchical(q, *rest):
    *parts, w = rest
    pairs = zip(parts[::2], parts[1::2], strict=True)
    contexts = torch.stack([plain_attention(q, k, v) for k, v in pairs])
    scores = torch.einsum("...nd,ed,a...ne->a...n", q, w, contexts) / q.shape[-1] ** 0.5
    return (scores.softmax(0)[..., None] * contexts).sum(0)


def of_second_gate(x, k, v, alphas):
    """The gate is a number, which has no memory layout: it is taken from two."""
    return fusion.gated_fusion(x, k, v, alphas[1])


def plain_gated(x, k, v, alphas):
    return x + alphas[1].tanh() * plain_attention(x, k, v)


MECHANISMS = {
    "fuse_memories": Mechanism(
        of_three(fusion.fuse_memories),
        plain_flat,
        memories,
        definition=of_three(fusion.fuse_memories_by_definition),
    ),
    "serial_fusion": Mechanism(of_three(fusion.serial_fusion), plain_serial, as_wide_as_x),
    "parallel_fusion": Mechanism(of_three(fusion.parallel_fusion), plain_parallel, as_wide_as_x),
    "hierarchical_fusion": Mechanism(hierarchical, plain_hierarchical, with_matrix),
    "gated_fusion": Mechanism(of_second_gate, plain_gated, gated),
}
ELSEWHERE = {
    *forms_of(fusion.fuse_memories),
    fusion.serial_fusion,
    fusion.parallel_fusion,
    fusion.hierarchical_fusion,
    fusion.gated_fusion,
}
