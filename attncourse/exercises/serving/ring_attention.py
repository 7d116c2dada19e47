r"""# A ring of workers

A text is cut into P shards, and worker i has the queries, keys and values of shard i. Keys and
values go round: in step s worker i attends to the shard of worker i - s (mod P), then hands it on.
After P steps each query has seen all keys, and its output is

$$\mathrm{softmax}\!\left(\frac{q\, K^\top}{\sqrt d}\right) V , \qquad
K = \begin{pmatrix} K_0 \\ \vdots \\ K_{P-1} \end{pmatrix}, \quad
V = \begin{pmatrix} V_0 \\ \vdots \\ V_{P-1} \end{pmatrix}.$$

- `qs`, `ks` and `vs` are lists (or tuples) of P tensors: `qs[i]` is (..., n_i, d), `ks[i]` is
  (..., m_i, d), `vs[i]` is (..., m_i, e). Lengths may differ from worker to worker. Not causal.
- The result is a list of P outputs, (..., n_i, e), in the dtype of `vs`, and its gradient is right.
- No tensor is larger than the scores of one shard against one shard: keys are not put together. The
  workers may take turns, in a loop.
- Your `merge_attention` joins what two steps have found; `attention_and_lse` gives a part.
"""

import math

import torch

from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.exact.merging import attention_and_lse, merge_attention
from attncourse.mechanisms.serving.ring import ring_attention as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients_of_list

difficulty, minutes = 3, 25
hints = (
    "Begin with one worker and two shards of keys. What must be known of each part, beside its "
    "output, to join the two?",
    "Two loops: over workers, over steps. Start from the worker's own shard, and merge the output "
    "and the logsumexp of the shard (i - s) mod P into what is there.",
)
forbidden = (
    "ring_attention",
    "ring_attention_by_definition",
    "causal_ring_attention",
    "ring_attention_distributed",
)

LENGTHS = ((3, 3, 3), (5, 5, 5)), ((4, 1, 3, 2), (2, 5, 1, 6))  # of queries and of keys


def check_equals_attention_to_all(student):
    """three workers with shards of one length give attention over the whole text"""
    _assert_ring(student, _shards(LENGTHS[0], d=8, e=6, seed=10))


def check_takes_shards_of_any_length(student):
    """shards may differ in length, down to one key or one query"""
    _assert_ring(student, _shards(LENGTHS[1], d=3, e=7, seed=20))


def check_one_or_two_workers(student):
    """one worker alone is plain attention, two see each other"""
    _assert_ring(student, _shards(((4,), (7,)), d=5, e=3, seed=30))
    _assert_ring(student, _shards(((2, 3), (4, 6)), d=5, e=3, seed=35))


def check_one_shard_may_have_all_the_weight(student):
    """scores hundreds apart from shard to shard neither overflow nor vanish"""
    for heights in ((0.0, 900.0, -900.0), (-2000.0, -1500.0, -2500.0)):
        qs, ks, vs = _shards(LENGTHS[0], d=8, e=6, seed=40)
        qs = [q.clone() for q in qs]
        ks = [k.clone() for k in ks]
        for q, k, height in zip(qs, ks, heights, strict=True):
            q[..., 0], k[..., 0] = math.sqrt(8), height
        _assert_ring(student, (qs, ks, vs))


def check_takes_leading_axes(student):
    """works for any batch and head axes, and for those of length one"""
    for lead in ((2,), (1,), (2, 1, 3)):
        _assert_ring(student, _shards(((2, 3), (4, 3)), *lead, d=5, e=3, seed=50))


def check_has_the_right_gradient(student):
    """the gradients of every shard are right"""
    shards = _shards(LENGTHS[1], d=3, e=7, seed=60)
    _assert_ring(student, shards)
    given = [tuple(each) for each in shards]
    found, expected = gradients_of_list(student, *given), gradients_of_list(_whole, *given)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b, "the gradient of a shard")


def check_keeps_the_dtype(student):
    """float32 shards give float32 outputs"""
    shards = [[x.float() for x in each] for each in _shards(LENGTHS[0], d=8, e=6, seed=70)]
    _assert_ring(student, shards)


def check_no_worker_holds_all_keys(student):
    """no tensor is larger than the scores of a shard against a shard"""
    shards = _shards(((24,) * 8, (32,) * 8), d=6, e=3, seed=80)
    _assert_ring(student, shards)
    largest = largest_tensor(student, *shards)
    assert_that(
        largest <= 24 * 32,
        f"the largest tensor has {largest} numbers, and a shard against a shard has {24 * 32}.",
    )


def _shards(lengths, *lead, d, e, seed):
    """Lists of queries, keys and values, a shard for each worker."""
    queries, keys = lengths
    whole = (
        gaussian(*lead, sum(queries), d, seed=seed),
        gaussian(*lead, sum(keys), d, seed=seed + 1),
        gaussian(*lead, sum(keys), e, seed=seed + 2),
    )
    cuts = zip(whole, (queries, keys, keys), strict=True)
    return [list(torch.split(x, sizes, dim=-2)) for x, sizes in cuts]


def _whole(qs, ks, vs):
    """Attention to all keys in one piece."""
    keys, values = torch.cat(list(ks), dim=-2), torch.cat(list(vs), dim=-2)
    return [(q @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1) @ values for q in qs]


def _assert_ring(student, shards):
    actual, expected = student(*shards), _whole(*shards)
    whole = isinstance(actual, list) and len(actual) == len(expected)
    assert_that(whole, f"the result must be a list of {len(expected)} outputs, one a worker.")
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert_same(a, b, f"the output of worker {i}")


def _parts(qs, ks, vs, i, order):
    return [attention_and_lse(qs[i], ks[j], vs[j]) for j in order]


def _merged(parts):
    out, lse = parts[0]
    for part in parts[1:]:
        out, lse = merge_attention(out, lse, *part)
    return out


def wrong_own_shard_alone(qs, ks, vs):
    """You let each worker attend to its own shard, and nothing goes round. P steps are needed, each
    with the shard of another worker.
    """
    return [_merged(_parts(qs, ks, vs, i, [i])) for i in range(len(qs))]


def wrong_one_step_too_few(qs, ks, vs):
    """You stop one step too early, so that each worker misses the shard of the next one. There are
    P steps, the own shard among them.
    """
    size = len(qs)
    orders = ([(i - s) % size for s in range(max(1, size - 1))] for i in range(size))
    return [_merged(_parts(qs, ks, vs, i, order)) for i, order in enumerate(orders)]


def wrong_own_shard_twice(qs, ks, vs):
    """You count a worker's own shard twice, at the start and when it comes round again. After P - 1
    messages all were there: stop.
    """
    size = len(qs)
    orders = ([(i - s) % size for s in range(size + 1)] for i in range(size))
    return [_merged(_parts(qs, ks, vs, i, order)) for i, order in enumerate(orders)]


def wrong_plain_mean(qs, ks, vs):
    """You took the mean of what the steps found, as if every shard weighed the same. Each counts by
    its sum of exponentials: merge by the logsumexps.
    """
    outs = ([out for out, _ in _parts(qs, ks, vs, i, range(len(ks)))] for i in range(len(qs)))
    return [sum(each) / len(each) for each in outs]


def wrong_sum_of_the_outputs(qs, ks, vs):
    """You added what the steps found. Each is a mean already, and a sum of means is none: merge
    them by their logsumexps.
    """
    return [sum(o for o, _ in _parts(qs, ks, vs, i, range(len(ks)))) for i in range(len(qs))]


def wrong_mean_by_length(qs, ks, vs):
    """You weighed the shards by their number of keys. What counts are the exponentials of the
    scores, not how many there are: merge by the logsumexps.
    """
    total = sum(k.shape[-2] for k in ks)
    shares = [k.shape[-2] / total for k in ks]
    parts = (_parts(qs, ks, vs, i, range(len(ks))) for i in range(len(qs)))
    return [sum(w * o for w, (o, _) in zip(shares, p, strict=True)) for p in parts]


def wrong_logsumexp_not_carried(qs, ks, vs):
    """You merge the outputs and keep the logsumexp of the first shard, so that later shards count
    too much. `merge_attention` gives both: carry both on.
    """
    size, found = len(qs), []
    for i in range(size):
        (out, lse), *others = _parts(qs, ks, vs, i, [(i - s) % size for s in range(size)])
        for part in others:
            out, _ = merge_attention(out, lse, *part)
        found.append(out)
    return found


def wrong_largest_shard_alone(qs, ks, vs):
    """You kept the shard with the largest logsumexp for each query and dropped the others. All have
    a share: merge them.
    """
    found = []
    for i in range(len(qs)):
        outs, lses = zip(*_parts(qs, ks, vs, i, range(len(ks))), strict=True)
        best = torch.stack(lses).argmax(dim=0)[None, ..., None]
        stacked = torch.stack(outs)
        found.append(stacked.gather(0, best.expand(1, *stacked.shape[1:])).squeeze(0))
    return found


def wrong_keys_put_together(qs, ks, vs):
    """You put all keys together, and then every worker holds the whole text: what the ring is there
    to avoid. Attend to one shard after the other, and merge.
    """
    return _whole(qs, ks, vs)


def wrong_not_scaled(qs, ks, vs):
    """You did not divide by the root of d. The scores are those of attention, whichever worker
    computes them: q . k / sqrt(d).
    """
    return _whole_ring([q * math.sqrt(q.shape[-1]) for q in qs], ks, vs)


def wrong_no_maximum_subtracted(qs, ks, vs):
    """You add up exponentials as they are, and from a score of 710 on they are infinite, far below
    zero all of them vanish. Carry the logsumexp, or a running maximum.
    """
    found = []
    for q in qs:
        total, out = q.new_zeros(*q.shape[:-1], 1), 0.0
        for k, v in zip(ks, vs, strict=True):
            raised = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
            total, out = total + raised.sum(dim=-1, keepdim=True), out + raised @ v
        found.append(out / total)
    return found


def wrong_one_tensor(qs, ks, vs):
    """You returned one tensor with the rows of all workers. Each worker has its own output: return
    a list of P.
    """
    return torch.cat(_whole_ring(qs, ks, vs), dim=-2)


def _whole_ring(qs, ks, vs):
    return [_merged(_parts(qs, ks, vs, i, range(len(ks)))) for i in range(len(qs))]


def right_by_carrying_the_logsumexp(qs, ks, vs):
    """step by step: output and logsumexp of what was seen, and of the shard that has come"""
    size = len(qs)
    outs = []
    for i in range(size):
        out, lse = 0.0, qs[i].new_full((*qs[i].shape[:-1], 1), -math.inf)
        for step in range(size):
            j = (i - step) % size  # whose shard has reached worker i
            scores = qs[i] @ ks[j].mT / math.sqrt(qs[i].shape[-1])
            new = torch.logaddexp(lse, scores.logsumexp(dim=-1, keepdim=True))
            out = (lse - new).exp() * out + (scores - new).exp() @ vs[j]
            lse = new
        outs.append(out)
    return outs


def right_by_merging(qs, ks, vs):
    """step by step: the part of the shard that has come, merged into what is there"""
    size = len(qs)
    outs = []
    for i in range(size):
        out, lse = attention_and_lse(qs[i], ks[i], vs[i])
        for step in range(1, size):
            j = (i - step) % size  # whose shard has reached worker i
            part = attention_and_lse(qs[i], ks[j], vs[j])
            out, lse = merge_attention(out, lse, *part)
        outs.append(out)
    return outs


def right_by_a_running_maximum(qs, ks, vs):
    """maximum, sum and weighted sum of values, rescaled as shards come in"""
    outs = []
    for q in qs:
        top = q.new_full((*q.shape[:-1], 1), -torch.finfo(q.dtype).max)
        total, out = torch.zeros_like(top), torch.zeros_like(top)
        for k, v in zip(ks, vs, strict=True):
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            higher = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
            shrink, raised = (top - higher).exp(), (scores - higher).exp()
            total = total * shrink + raised.sum(dim=-1, keepdim=True)
            out, top = out * shrink + raised @ v, higher
        outs.append(out / total)
    return outs


def right_by_a_softmax_over_the_shards(qs, ks, vs):
    """all parts of a worker at once: their shares are a softmax of the logsumexps"""
    found = []
    for i in range(len(qs)):
        outs, lses = zip(*_parts(qs, ks, vs, i, range(len(ks))), strict=True)
        shares = torch.stack(lses).softmax(dim=0)
        found.append(sum(w[..., None] * out for w, out in zip(shares, outs, strict=True)))
    return found


shown = right_by_carrying_the_logsumexp
