"""The causal product out_i = sum_{j <= i} (a_i . b_j) c_j in Triton, chunk by chunk, in two steps.

`write` gives every chunk its own sum b^T c, all chunks at once; a running sum over the chunks (not
here: it is one call of PyTorch's) makes of them what each chunk finds; `read` adds to what the
chunk finds the pairs within it, a quadratic form with a triangular mask. Forwards, linear
attention is this with (q, k, v), and each of its gradients is this with the three in another
order, backwards in time for those of keys and values.

Matrices are contiguous, (heads, rows, width), widths powers of two.
"""

import triton
import triton.language as tl

from attncourse.kernels.band import load, multiply, store


@triton.jit
def write(
    b, c, states, n,
    CHUNK: tl.constexpr, A: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The sum b^T c over one chunk of one head: an (A, C) matrix."""
    head, chunk = tl.program_id(1).to(tl.int64), tl.program_id(0)
    rows = chunk * CHUNK + tl.arange(0, CHUNK)
    keys, values = load(b + head * n * A, rows, n, A), load(c + head * n * C, rows, n, C)
    place = states + (head * tl.num_programs(0) + chunk) * A * C
    store(place, tl.arange(0, A), A, multiply(keys.T, values, PRECISION), C)


@triton.jit
def read(
    a, b, c, states, out, n,
    CHUNK: tl.constexpr, A: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr,
    BACKWARDS: tl.constexpr,
):  # fmt: skip
    """The outputs of one chunk of one head: what it finds, and the pairs within it."""
    head, chunk = tl.program_id(1).to(tl.int64), tl.program_id(0)
    place = tl.arange(0, CHUNK)
    rows = chunk * CHUNK + place
    queries, keys = load(a + head * n * A, rows, n, A), load(b + head * n * A, rows, n, A)
    values = load(c + head * n * C, rows, n, C)
    pairs = multiply(queries, keys.T, PRECISION)
    if BACKWARDS:
        pairs = tl.where(place[:, None] <= place[None, :], pairs, 0.0)
    else:
        pairs = tl.where(place[:, None] >= place[None, :], pairs, 0.0)
    found = load(states + (head * tl.num_programs(0) + chunk) * A * C, tl.arange(0, A), A, C)
    result = multiply(pairs.to(values.dtype), values, PRECISION)
    result += multiply(queries, found.to(queries.dtype), PRECISION)
    store(out + head * n * C, rows, n, result, C)
