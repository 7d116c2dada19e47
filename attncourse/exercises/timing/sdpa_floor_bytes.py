r"""# The bytes that cannot be avoided

Attention of one head reads its queries, keys and values, and writes its outputs. A fused form keeps
scores and weights to itself and never writes them to memory. Each number is moved at least once:

$$Q\ (n, d), \quad K\ (m, d), \quad V\ (m, e) \quad \longrightarrow \quad O\ (n, e) .$$

- `n` queries, `m` keys, `d` wide, values `e` wide; a number takes `bytes_per_element` bytes: 4 in
  float32, 2 in half precision. All are at least 1.
- The result is an `int`, in bytes.
"""

import torch

from attncourse.measure.roofline import sdpa_floor_bytes as solution
from attncourse.testing import assert_same

difficulty, minutes = 1, 5
hints = (
    "Write the shapes of the four tensors beneath each other. How many numbers has each?",
    "Three are read, one is written. The table of scores, n by m, is none of them.",
)
forbidden = ("sdpa_floor_bytes",)


def check_measures_real_tensors(student):
    """equals what the four tensors take, whatever their dtype"""
    dtypes = (torch.float32, torch.float16, torch.float64, torch.int8)
    for (n, m, d, e), dtype in zip(SIZES, dtypes, strict=True):
        q, k, v = torch.zeros(n, d), torch.zeros(m, d), torch.zeros(m, e)
        moved = [x.to(dtype) for x in (q, k, v, q @ k.mT @ v)]
        held = sum(x.numel() * x.element_size() for x in moved)
        given = student(n, m, d, e, moved[0].element_size())
        assert_same(given, held, f"the bytes in {str(dtype).removeprefix('torch.')}")


def check_one_query(student):
    """one query against a long text, as in decoding"""
    assert_same(student(1, 8192, 64, 64, 2), 2_097_408, "the bytes for 8192 keys")
    assert_same(student(1, 1, 1, 1, 1), 4, "the bytes for one number each")


def check_grows_with_the_length(student):
    """a text twice as long moves twice as many bytes"""
    assert_same(student(1024, 1024, 64, 64, 2), 524_288, "the bytes for 1024 tokens")
    assert_same(student(2048, 2048, 64, 64, 2), 1_048_576, "the bytes for 2048 tokens")


def check_is_exact(student):
    """exact to the last digit where a float is not"""
    large = 10**15 + 37
    assert_same(student(large, 10**9 + 7, 129, 255, 4), solution(large, 10**9 + 7, 129, 255, 4))


SIZES = ((5, 37, 8, 6), (11, 9, 3, 7), (4, 6, 10, 5), (13, 2, 7, 9))  # n, m, d, e


def wrong_scores_counted(n, m, d, e, bytes_per_element):
    """You counted the scores as well. A fused form has them in registers, a tile at a time, and
    never writes them: leave n times m out.
    """
    return (n * d + m * d + m * e + n * e + n * m) * bytes_per_element


def wrong_scores_and_weights_counted(n, m, d, e, bytes_per_element):
    """You counted scores and weights, which the plain form writes and reads again. This is the
    floor: count the inputs and the output alone.
    """
    return (n * d + m * d + m * e + n * e + 4 * n * m) * bytes_per_element


def wrong_output_forgotten(n, m, d, e, bytes_per_element):
    """You counted what is read. The output is written, too, and takes the same road: add it."""
    return (n * d + m * d + m * e) * bytes_per_element


def wrong_keys_and_values_alone(n, m, d, e, bytes_per_element):
    """You counted keys and values, nearly all in decoding. With n queries there are queries and
    outputs, too: add them.
    """
    return (m * d + m * e) * bytes_per_element


def wrong_values_as_wide_as_keys(n, m, d, e, bytes_per_element):
    """You took d for the width of the values. Values and outputs are e wide: use e for both."""
    return 2 * (n + m) * d * bytes_per_element


def wrong_as_many_keys_as_queries(n, m, d, e, bytes_per_element):
    """You took n for the number of keys. Keys and values have m rows: use m for both."""
    return 2 * n * (d + e) * bytes_per_element


def wrong_output_as_wide_as_queries(n, m, d, e, bytes_per_element):
    """You gave the output the shape of the queries. It is a mean of values, so it is e wide: count
    n times e.
    """
    return (2 * n * d + m * d + m * e) * bytes_per_element


def wrong_numbers(n, m, d, e, bytes_per_element):
    """You counted numbers, not bytes. Each number has `bytes_per_element` of them: multiply."""
    return n * d + m * d + m * e + n * e


def wrong_read_and_written(n, m, d, e, bytes_per_element):
    """You counted each tensor twice. Inputs are read, outputs are written, each once: leave the two
    out.
    """
    return 2 * (n * d + m * d + m * e + n * e) * bytes_per_element


def wrong_operations(n, m, d, e, bytes_per_element):
    """You counted operations, which grow with n times m. Bytes are moved: count the entries of the
    four tensors.
    """
    return 2 * n * m * (d + e)


def right_tensor_by_tensor(n, m, d, e, bytes_per_element):
    """the four tensors, one after the other"""
    queries, keys, values, outputs = n * d, m * d, m * e, n * e
    return (queries + keys + values + outputs) * bytes_per_element


def right_by_rows(n, m, d, e, bytes_per_element):
    """every token brings a row of d and a row of e"""
    return (n + m) * (d + e) * bytes_per_element


shown = right_tensor_by_tensor
