"""FlashAttention in Triton, forward and backward, for every mask that is a band.

Query i sees the keys j with i + offset - before <= j <= i + offset + after, offset = m - n: full,
causal and sliding-window attention differ in the two numbers `before` and `after` alone.

`forward` is `blockwise_attention` with one program for each block of queries, which it keeps in
registers while the tiles of keys go by. The backward pass computes each tile again from the
logsumexp: `backward_queries` in the same order, `backward_keys` with a block of keys kept and the
tiles of queries going by, so that no two programs write to one place. Scores are taken in units of
log 2: an exponential is then one instruction. Only tiles at the edges of the band are masked.

Matrices are contiguous, (heads, rows, width), widths powers of two. `share` query heads read one
head of keys and values.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def forward(
    q, k, v, out, lse, scale, n, m, share, before, after,
    ROWS: tl.constexpr, KEYS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The outputs of ROWS queries of one head, and the log2 of the sum of exp2 of their scores."""
    head, offset, first = tl.program_id(1).to(tl.int64), m - n, tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    k, v = k + head // share * m * D, v + head // share * m * E
    queries = load(q + head * n * D, rows, n, D)
    total = tl.zeros((ROWS,), tl.float32)
    largest = total - float("inf")
    sums = tl.zeros((ROWS, E), tl.float32)
    last = tl.minimum(first + ROWS, n) - 1
    begin, whole, cut, end = tiles(first + offset, last + offset, before, after, m, KEYS)
    for start in range(begin, end, KEYS):
        columns = start + tl.arange(0, KEYS)
        keys, edge = load(k, columns, m, D), (start < whole) | (start >= cut)
        scores = multiply(queries, keys.T, PRECISION) * (scale * LOG2_E)
        scores = hide(scores, rows + offset, columns, before, after, m, edge)
        larger = tl.maximum(largest, tl.max(scores, 1))
        finite = tl.where(larger == -float("inf"), 0.0, larger)  # a row that has seen nothing yet
        weights = tl.exp2(scores - finite[:, None])
        shrink = tl.exp2(largest - finite)
        values = load(v, columns, m, E)
        sums = sums * shrink[:, None] + multiply(weights.to(values.dtype), values, PRECISION)
        total = total * shrink + tl.sum(weights, 1)
        largest = larger
    some = total > 0
    total = tl.where(some, total, 1.0)
    store(out + head * n * E, rows, n, sums / total[:, None], E)
    # an empty row gets inf, so that all of its weights are 0 in the backward pass
    logsumexp = tl.where(some, largest + tl.log2(total), float("inf"))
    tl.store(lse + head * n + rows, logsumexp, mask=rows < n)


@triton.jit
def backward_queries(
    q, k, v, grad, lse, mean, d_q, scale, n, m, share, before, after,
    ROWS: tl.constexpr, KEYS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradients of ROWS queries of one head: dq = sum_j ds_j k_j."""
    head, offset, first = tl.program_id(1).to(tl.int64), m - n, tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    k, v = k + head // share * m * D, v + head // share * m * E
    queries, seen = load(q + head * n * D, rows, n, D), load(grad + head * n * E, rows, n, E)
    logsumexp = tl.load(lse + head * n + rows, mask=rows < n, other=float("inf"))
    means = tl.load(mean + head * n + rows, mask=rows < n, other=0.0)
    gradient = tl.zeros((ROWS, D), tl.float32)
    last = tl.minimum(first + ROWS, n) - 1
    begin, whole, cut, end = tiles(first + offset, last + offset, before, after, m, KEYS)
    for start in range(begin, end, KEYS):
        columns = start + tl.arange(0, KEYS)
        keys, values = load(k, columns, m, D), load(v, columns, m, E)
        edge = (start < whole) | (start >= cut)
        scores = multiply(queries, keys.T, PRECISION) * (scale * LOG2_E)
        scores = hide(scores, rows + offset, columns, before, after, m, edge)
        weights = tl.exp2(scores - logsumexp[:, None])
        d_scores = weights * (multiply(seen, values.T, PRECISION) - means[:, None])
        gradient += multiply(d_scores.to(keys.dtype), keys, PRECISION)
    store(d_q + head * n * D, rows, n, gradient * scale, D)


@triton.jit
def backward_keys(
    q, k, v, grad, lse, mean, d_k, d_v, scale, n, m, share, before, after,
    ROWS: tl.constexpr, KEYS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradients of KEYS keys and values of one head, from all heads of queries that read it."""
    group, offset, first = tl.program_id(1).to(tl.int64), m - n, tl.program_id(0) * KEYS
    columns = first + tl.arange(0, KEYS)
    keys, values = load(k + group * m * D, columns, m, D), load(v + group * m * E, columns, m, E)
    d_keys, d_values = tl.zeros((KEYS, D), tl.float32), tl.zeros((KEYS, E), tl.float32)
    last = tl.minimum(first + KEYS, m) - 1
    # key j is seen by the queries from j - offset - after to j - offset + before
    begin, whole, cut, end = tiles(first - offset, last - offset, after, before, n, ROWS)
    for head in range(group * share, (group + 1) * share):
        for start in range(begin, end, ROWS):
            rows = start + tl.arange(0, ROWS)
            queries = load(q + head * n * D, rows, n, D)
            seen = load(grad + head * n * E, rows, n, E)
            logsumexp = tl.load(lse + head * n + rows, mask=rows < n, other=float("inf"))
            means = tl.load(mean + head * n + rows, mask=rows < n, other=0.0)
            edge = (start < whole) | (start >= cut) | (first + KEYS > m)
            scores = multiply(queries, keys.T, PRECISION) * (scale * LOG2_E)
            scores = hide(scores, rows + offset, columns, before, after, m, edge)
            weights = tl.exp2(scores - logsumexp[:, None])
            d_values += multiply(weights.to(seen.dtype).T, seen, PRECISION)
            d_scores = weights * (multiply(seen, values.T, PRECISION) - means[:, None])
            d_keys += multiply(d_scores.to(queries.dtype).T, queries, PRECISION)
    store(d_k + group * m * D, columns, m, d_keys * scale, D)
    store(d_v + group * m * E, columns, m, d_values, E)


@triton.jit
def tiles(first, last, before, after, length, SIZE: tl.constexpr):
    """The tiles that the positions first to last see of a sequence: (begin, whole, cut, end).

    Position p sees p - before to p + after. Nothing lies outside begin to end, and between whole
    and cut every position sees everything, so that no mask is needed there.
    """
    begin = tl.maximum(first - before, 0) // SIZE * SIZE
    end = tl.maximum(tl.minimum(last + after + 1, length), begin)
    whole = tl.cdiv(tl.maximum(last - before, 0), SIZE) * SIZE
    cut = tl.maximum(tl.minimum(first + after + 1, length), 0) // SIZE * SIZE
    return begin, whole, cut, end


@triton.jit
def hide(scores, positions, columns, before, after, length, edge):
    """The scores of a tile, -inf outside of the band and past the end; only edges need a look."""
    if edge:
        distance = columns[None, :] - positions[:, None]
        visible = (distance >= -before) & (distance <= after) & (columns < length)[None, :]
        scores = tl.where(visible, scores, -float("inf"))
    return scores


@triton.jit
def multiply(a, b, PRECISION: tl.constexpr):
    """The product of two tiles, summed in float32."""
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=tl.float32)


@triton.jit
def load(matrix, rows, length, WIDTH: tl.constexpr):
    """The rows of a matrix, zeros where there are none."""
    entries = matrix + rows[:, None].to(tl.int64) * WIDTH + tl.arange(0, WIDTH)[None, :]
    return tl.load(entries, mask=(rows < length)[:, None], other=0.0)


@triton.jit
def store(matrix, rows, length, tile, WIDTH: tl.constexpr):
    """Write rows of a matrix, those that there are."""
    entries = matrix + rows[:, None].to(tl.int64) * WIDTH + tl.arange(0, WIDTH)[None, :]
    tl.store(entries, tile.to(matrix.dtype.element_ty), mask=(rows < length)[:, None])
