r"""# The size of a cache

A model that writes keeps the keys and values of all tokens so far. How many bytes are that?

$$K^{(l)},\ V^{(l)} \quad \text{each}\ (g,\ n,\ c), \qquad l = 1 \ldots \text{layers}, \qquad
c = d_{\mathrm{head}} .$$

- `layers` layers, `n` tokens so far, `g` heads of keys and values in each layer, each `d_head`
  wide, and `bytes_per_element` bytes for a number: 4 in float32, 2 in half precision, 1 in int8.
- The result is an `int`, in bytes. Before the first token, n = 0, it is 0.
"""

import torch

from attncourse.measure.analytic import kv_cache_bytes as solution
from attncourse.testing import assert_same

difficulty, minutes = 1, 5
hints = (
    "How many numbers does one layer keep of one token?",
    "A key and a value for each of the g heads. Then tokens, layers and bytes are factors.",
)


def check_measures_real_caches(student):
    """equals what the tensors of a cache take, whatever their dtype"""
    sizes = ((3, 11, 2, 8), (5, 7, 4, 6), (2, 9, 1, 16), (4, 6, 5, 10))
    dtypes = (torch.float32, torch.float16, torch.int8, torch.float64)
    for (layers, n, g, d_head), dtype in zip(sizes, dtypes, strict=True):
        each = torch.zeros(g, n, d_head, dtype=dtype)
        cache = [(each, each) for _ in range(layers)]
        held = sum(x.numel() * x.element_size() for pair in cache for x in pair)
        given = student(layers, n, g, d_head, each.element_size())
        assert_same(given, held, f"the size in {str(dtype).removeprefix('torch.')}")


def check_is_empty_at_first(student):
    """before the first token there is nothing"""
    assert_same(student(30, 0, 3, 64, 2), 0)


def check_grows_by_the_same_for_each_token(student):
    """each token adds as much as the one before"""
    assert_same(student(30, 1, 3, 64, 2), 23_040, "the size for one token")
    assert_same(student(30, 8192, 3, 64, 2), 8192 * 23_040, "the size for 8192 tokens")


def check_serves_real_models(student):
    """right for Llama 2 7B and 70B and GPT-3, in half precision"""
    for layers, n, g, d_head, expected in (
        (32, 4096, 32, 128, 2_147_483_648),
        (80, 4096, 8, 128, 1_342_177_280),
        (96, 2048, 96, 128, 9_663_676_416),
    ):
        assert_same(student(layers, n, g, d_head, 2), expected, f"the size for {layers} layers")


def wrong_keys_only(layers, n, g, d_head, bytes_per_element):
    """You counted the keys and forgot the values, which are as large: double it."""
    return layers * n * g * d_head * bytes_per_element


def wrong_one_layer(layers, n, g, d_head, bytes_per_element):
    """You counted one layer. Every layer has keys and values of its own: multiply by `layers`."""
    return 2 * n * g * d_head * bytes_per_element


def wrong_elements(layers, n, g, d_head, bytes_per_element):
    """You counted numbers, not bytes. Each takes `bytes_per_element`: multiply by it."""
    return 2 * layers * n * g * d_head


def wrong_bits(layers, n, g, d_head, bytes_per_element):
    """You counted bits. A byte has eight, and the size is asked in bytes: divide by 8."""
    return 16 * layers * n * g * d_head * bytes_per_element


def wrong_one_head(layers, n, g, d_head, bytes_per_element):
    """You counted one head. A layer keeps g of them, each with its keys and values: multiply by
    `g`.
    """
    return 2 * layers * n * d_head * bytes_per_element


def wrong_always_half_precision(layers, n, g, d_head, bytes_per_element):
    """You took 2 bytes for a number, whatever the caller says. A cache may be in float32 or in
    int8: multiply by `bytes_per_element`.
    """
    return 4 * layers * n * g * d_head


def wrong_the_weights_kept(layers, n, g, d_head, bytes_per_element):
    """You counted a table of n^2 weights. Nothing needs it once the output is there: a cache keeps
    keys and values, and grows with n.
    """
    return layers * g * n**2 * bytes_per_element


def wrong_queries_kept(layers, n, g, d_head, bytes_per_element):
    """You counted three tensors a layer. No later token asks for an old query: keep keys and
    values, which are two.
    """
    return 3 * layers * n * g * d_head * bytes_per_element


def wrong_one_token_more(layers, n, g, d_head, bytes_per_element):
    """You counted one token too many. n tokens are there, and before the first there are none: take
    n as it is.
    """
    return 2 * layers * (n + 1) * g * d_head * bytes_per_element


def right_by_the_token(layers, n, g, d_head, bytes_per_element):
    """what one token takes, times the tokens"""
    keys = layers * g * d_head * bytes_per_element
    return n * (keys + keys)


def right_by_adding_layers(layers, n, g, d_head, bytes_per_element):
    """a loop over the layers, keys and values in turn"""
    total = 0
    for _ in range(layers):
        for _ in ("keys", "values"):
            total += g * n * d_head * bytes_per_element
    return total
