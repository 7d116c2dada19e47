r"""# Several memories, one softmax

A query reads several memories, each a pair of keys and values: what it has heard, a document, an
image. Fuse them *flat*: the result is that of one softmax over the keys of all memories together.

$$o_i = \sum_m g_{im} \, o_{im}, \qquad
g_{im} = \frac{e^{\mathrm{lse}_{im}}}{\sum_l e^{\mathrm{lse}_{il}}}, \qquad
\mathrm{lse}_{im} = \ln \sum_j e^{s_{imj}},$$

where $o_{im}$ is attention to memory m alone, and $s_{imj} = q_i \cdot k_{mj} / \sqrt d$.

- `q` is (..., n, d); `memories` is a sequence of pairs `(k, v)`, k (..., m, d) and v (..., m, e),
  at least one pair. Their lengths m may differ, d and e do not.
- The result is (..., n, e), in the dtype of `q`. Any way to it is right: by gates, by merging two
  at a time, or by putting all keys together.
- Your `merge_attention` of the chapter on tiles may be of use.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.mechanisms.sharing.fusion import fuse_memories as solution
from attncourse.mechanisms.sharing.fusion import fuse_memories_by_definition as by_definition
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 20
hints = (
    "Two memories, the scores of one are 0 and 0, that of the other is ln 6. What are their sums "
    "of exponentials, and which share of the weight has each?",
    "Attend to each memory by itself and keep the logsumexp of its scores. A softmax over those, "
    "one number for each memory, gives the gates.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")

LENGTHS = (3, 9, 1)


def check_equals_one_softmax(student):
    """equals attention to all keys together, for memories of different lengths"""
    for sizes, lengths in (((5, 8, 6), LENGTHS), ((4, 3, 7), (6, 2))):
        q, memories = _inputs(sizes=sizes, lengths=lengths)
        assert_same(student(q, memories), by_definition(q, memories))


def check_takes_one_memory(student):
    """one memory is plain attention, and so are its pieces"""
    q, (memory,) = _inputs(lengths=(7,), seed=10)
    assert_same(student(q, (memory,)), by_definition(q, [memory]))
    k, v = memory
    pieces = ((k[:2], v[:2]), (k[2:3], v[2:3]), (k[3:], v[3:]))
    assert_same(student(q, pieces), by_definition(q, [memory]), "one memory in three pieces")


def check_minds_no_order(student):
    """the memories in another order give the same"""
    q, memories = _inputs(seed=20)
    out = by_definition(q, memories)
    for order in ((2, 0, 1), (1, 0, 2)):
        assert_same(student(q, tuple(memories[i] for i in order)), out)


def check_counts_keys(student):
    """where all scores are equal each key counts alike, and a longer memory more"""
    q, memories = _inputs(seed=30)
    assert_same(student(q * 0, memories), by_definition(q * 0, memories))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one query"""
    for lead, sizes in (((2, 3), (5, 8, 6)), ((1,), (4, 3, 7)), ((4, 1), (1, 3, 7))):
        q, memories = _inputs(*lead, sizes=sizes, seed=40)
        assert_same(student(q, memories), by_definition(q, memories))


def check_survives_large_scores(student):
    """scores in the thousands, or one memory far above the others, do not overflow"""
    q, memories = _inputs(std=60.0, seed=50)
    assert_same(student(q, memories), by_definition(q, memories))
    q, memories = _inputs(seed=55)
    q[:, 0] = 1.0
    for height, (k, _) in zip((2000.0, -2000.0, 1995.0), memories, strict=True):
        k[:, 0] = height
    assert_same(student(q, memories), by_definition(q, memories))


def check_has_the_right_gradient(student):
    """the gradients of q and of each memory are right"""
    for sizes, lengths in (((5, 8, 6), LENGTHS), ((4, 3, 7), (6, 2))):
        q, memories = _inputs(sizes=sizes, lengths=lengths, seed=60)
        ours, theirs = gradients(student, q, memories), gradients(by_definition, q, memories)
        names = ("q", *(f"{part} of memory {i}" for i in range(len(lengths)) for part in "kv"))
        for name, a, b in zip(names, ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 queries give float32 outputs"""
    q, memories = _inputs(std=1.0, seed=70)
    q, memories = q.float(), tuple((k.float(), v.float()) for k, v in memories)
    exact = by_definition(q.double(), [(k.double(), v.double()) for k, v in memories])
    assert_same(student(q, memories), exact.float())


def _inputs(*lead, sizes=(5, 8, 6), lengths=LENGTHS, std=2.0, seed=0):
    """Queries (..., n, d) and memories of different lengths."""
    n, d, e = sizes
    memories = tuple(
        (
            gaussian(*lead, m, d, std=std, seed=seed + 2 * i + 1),
            gaussian(*lead, m, e, std=std, seed=seed + 2 * i + 2),
        )
        for i, m in enumerate(lengths)
    )
    return gaussian(*lead, n, d, std=std, seed=seed), memories


def _parts(q, memories):
    """The outputs (..., n, M, e) and logsumexps (..., n, M) of all memories."""
    parts = [attention_and_lse(q, k, v) for k, v in memories]
    return torch.stack([out for out, _ in parts], dim=-2), torch.stack(
        [lse for _, lse in parts], -1
    )


def _gated(q, memories, gates):
    """The outputs of the memories, weighed by gates (..., n, M) that a function makes of lse."""
    outs, lse = _parts(q, memories)
    return (gates(lse)[..., None] * outs).sum(dim=-2).to(q.dtype)


def wrong_memories_count_alike(q, memories):
    """You took the plain mean of what the memories gave. Then one with a single key counts as much
    as one with nine, however well it fits: weigh them by the sums of their exponentials.
    """
    return _gated(q, memories, lambda lse: torch.full_like(lse, 1 / lse.shape[-1]))


def wrong_outputs_added(q, memories):
    """You added what the memories gave. Each is a mean already, and a sum of means is too large:
    the gates of a query sum to one.
    """
    return _gated(q, memories, torch.ones_like)


def wrong_weighed_by_the_number_of_keys(q, memories):
    """You weighed the memories by how many keys they have. That is right where all scores are
    equal; else the sum of the exponentials says how much a memory has for this query.
    """
    counts = torch.tensor([float(k.shape[-2]) for k, _ in memories], dtype=q.dtype)
    return _gated(q, memories, lambda lse: (counts / counts.sum()).expand_as(lse))


def wrong_gates_by_the_best_key(q, memories):
    """Your gates are a softmax of the largest score of each memory. Many keys that fit fairly well
    outweigh one that fits best: take the logsumexp of all scores.
    """
    top = [(q @ k.mT / math.sqrt(q.shape[-1])).amax(dim=-1) for k, _ in memories]
    return _gated(q, memories, lambda lse: torch.softmax(torch.stack(top, dim=-1), dim=-1))


def wrong_gates_by_the_mean_score(q, memories):
    """Your gates are a softmax of the mean score of each memory. It is the exponentials that are
    summed: take the logsumexp of the scores.
    """
    mean = [(q @ k.mT / math.sqrt(q.shape[-1])).mean(dim=-1) for k, _ in memories]
    return _gated(q, memories, lambda lse: torch.softmax(torch.stack(mean, dim=-1), dim=-1))


def wrong_logsumexp_as_gate(q, memories):
    """You used the logsumexps as gates, divided by their sum. They are logarithms, and may be
    negative: their softmax gives the gates.
    """
    return _gated(q, memories, lambda lse: lse / lse.sum(dim=-1, keepdim=True))


def wrong_gates_not_divided(q, memories):
    """Your gates are the sums of exponentials themselves. Divide them by their sum over the
    memories.
    """
    return _gated(q, memories, torch.exp)


def wrong_no_maximum_subtracted(q, memories):
    """You summed the exponentials as they are, and in the hundreds they overflow. Take the largest
    score of all memories away first, or a softmax of the logsumexps, which does.
    """
    sums = []
    for k, v in memories:
        raised = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
        sums.append((raised @ v, raised.sum(dim=-1, keepdim=True)))
    return sum(above for above, _ in sums) / sum(below for _, below in sums)


def wrong_one_gate_for_all_queries(q, memories):
    """You gave all queries the same gates, the mean over them. What a memory has to say depends on
    who asks: a row of gates for each query.
    """

    def gates(lse):
        return torch.softmax(lse, dim=-1).mean(dim=-2, keepdim=True).expand_as(lse)

    return _gated(q, memories, gates)


def wrong_gates_over_the_queries(q, memories):
    """Your gates are a softmax over the queries. They share out one query's weight among the
    memories: the axis that has one entry for each.
    """
    return _gated(q, memories, lambda lse: torch.softmax(lse, dim=-2))


def wrong_one_after_the_other(q, memories):
    """You merged each memory into the mean of those before it, half and half, so that the last one
    weighs most. Weigh by the sums of exponentials, and carry their sum along.
    """
    outs, _ = _parts(q, memories)
    found = outs[..., 0, :]
    for i in range(1, len(memories)):
        found = (found + outs[..., i, :]) / 2
    return found.to(q.dtype)


def wrong_logsumexp_not_carried(q, memories):
    """You merged two at a time by their logsumexps, and forgot the first one after the first
    merge. What is merged has the logsumexp of both: carry it along.
    """
    outs, lse = _parts(q, memories)
    found = outs[..., 0, :]
    for i in range(1, len(memories)):
        gate = torch.sigmoid(lse[..., i] - lse[..., i - 1])[..., None]
        found = found + gate * (outs[..., i, :] - found)
    return found.to(q.dtype)


def wrong_best_memory_alone(q, memories):
    """You read the memory that fits best and no other. Each has its share: the softmax of the
    logsumexps, not the largest of them.
    """

    def gates(lse):
        return torch.nn.functional.one_hot(lse.argmax(dim=-1), lse.shape[-1]).to(lse.dtype)

    return _gated(q, memories, gates)


def wrong_last_memory_alone(q, memories):
    """You kept the result of the last memory, and overwrote those before. Keep all of them, then
    weigh them.
    """
    return attention.solution(q, *memories[-1])


def wrong_gates_cut_off(q, memories):
    """Your values are right, but no gradient goes through the gates, so that a memory never learns
    to be asked. Leave the `detach` out.
    """
    return _gated(q, memories, lambda lse: torch.softmax(lse, dim=-1).detach())


def _of_all_keys(attention):
    """The learner's attention to all keys together."""

    def fuse_memories(q, memories):
        keys, values = (torch.cat(list(part), dim=-2) for part in zip(*memories, strict=True))
        return attention(q, keys, values)

    return fuse_memories


borrowed = (
    Borrow(
        attention, _of_all_keys, ("wrong_no_scale", "wrong_scale_by_d", "wrong_float64_returned")
    ),
)


def right_by_gates(q, memories):
    """attention to each memory, weighed by the softmax of their logsumexps"""
    outs, sums = [], []
    for k, v in memories:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        outs.append(scores.softmax(dim=-1) @ v)
        sums.append(scores.logsumexp(dim=-1, keepdim=True))
    gates = torch.cat(sums, dim=-1).softmax(dim=-1)
    return sum(gates[..., i, None] * out for i, out in enumerate(outs))


def right_by_putting_keys_together(q, memories):
    """one attention to all keys and values"""
    keys = torch.cat([k for k, _ in memories], dim=-2)
    values = torch.cat([v for _, v in memories], dim=-2)
    return torch.softmax(q @ keys.mT / math.sqrt(q.shape[-1]), dim=-1) @ values


def right_two_at_a_time(q, memories):
    """merges one memory after the other, with the logsumexp of all so far"""
    total, out = None, 0
    for k, v in memories:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        more = scores.logsumexp(dim=-1, keepdim=True)
        both = more if total is None else torch.logaddexp(total, more)
        old = 0 if total is None else (total - both).exp() * out
        out = old + (scores - both).exp() @ v
        total = both
    return out


shown = right_by_gates
