"""Cost by formula, beside the counted cost of ``measure.cost``: FLOPs, parameters, bytes."""

from attncourse.core.shapes import checked


@checked
def attention_flops(n: int, d: int) -> int:
    """FLOPs of a multi-head self-attention block with four projections, n tokens of width d.

    8 n d^2 + 4 n^2 d: 2 FLOPs for a multiply-add, element-wise work not counted. The four
    projections take 8 n d^2, scores and weighted sum 2 n^2 d each, whatever the number of heads.

    Raises ValueError unless n and d are at least 1.

    >>> attention_flops(10, 5)  # 2000 for the projections, 2000 for the pairs
    4000
    """
    _at_least_one(n=n, d=d)
    return 8 * n * d**2 + 4 * n**2 * d


@checked
def attention_parameters(d: int, *, h: int, g: int) -> int:
    """Parameters of the four projections, without biases, for h query and g key/value heads.

    2 d^2 for queries and output, 2 d (g d / h) for keys and values: 4 d^2 if g = h, and less the
    fewer heads share keys and values.

    Raises ValueError unless h divides d and g divides h.
    Source: Shazeer 2019 (g = 1), Ainslie et al. 2023.

    >>> attention_parameters(8, h=4, g=4), attention_parameters(8, h=4, g=1)
    (256, 160)
    """
    _at_least_one(d=d, h=h, g=g)
    if d % h:
        raise ValueError(f"h must divide d: got h={h} and d={d}")
    if h % g:
        raise ValueError(f"g must divide h: got g={g} and h={h}")
    return 2 * d**2 + 2 * d * g * (d // h)


@checked
def kv_cache_bytes(layers: int, n: int, g: int, d_head: int, bytes_per_element: int) -> int:
    """Bytes that the keys and values of n tokens take in all layers of a model.

    2 layers n g d_head bytes_per_element, where g is the number of key/value heads. Before the
    first token, n = 0, they take nothing. Raises ValueError unless n is at least 0 and every other
    number at least 1.

    >>> kv_cache_bytes(30, 1024, 3, 64, 2) / 2**20  # 30 layers, 3 heads of 64, half precision
    22.5
    """
    _at_least_one(layers=layers, g=g, d_head=d_head, bytes_per_element=bytes_per_element)
    if n < 0:
        raise ValueError(f"n must be at least 0: got n={n}")
    return 2 * layers * n * g * d_head * bytes_per_element


@checked
def crossover_length(d: int) -> int:
    """The length n at which scores and weighted sum cost as much as the four projections.

    It is 2 d, from 8 n d^2 = 4 n^2 d. Shorter inputs pay mostly for projections, longer ones for
    pairs. Raises ValueError unless d is at least 1.

    >>> n = crossover_length(64)
    >>> n, 8 * n * 64**2 == 4 * n**2 * 64
    (128, True)
    """
    _at_least_one(d=d)
    return 2 * d


@checked
def plain_attention_bytes(n: int, m: int, d: int, e: int, bytes_per_element: int) -> int:
    """Bytes that attention moves when each of its four steps reads and writes memory.

    q, k and v are read and the output is written, (n d + m d + m e + n e); the scores are written
    and read again, scaled, and the weights written and read, four times n m (two matrix products
    and a softmax that holds its row: 4 n m). Raises ValueError unless every number is at least 1.

    Source: Dao et al. 2022, section 2.2, algorithm 0.

    >>> plain_attention_bytes(1024, 1024, 64, 64, 2) / 2**20  # 8 MiB for the pairs
    8.5
    """
    _at_least_one(n=n, m=m, d=d, e=e, bytes_per_element=bytes_per_element)
    return (n * d + m * d + m * e + n * e + 4 * n * m) * bytes_per_element


@checked
def tiled_attention_bytes(
    n: int, m: int, d: int, e: int, bytes_per_element: int, *, block: int
) -> int:
    """Bytes that attention in tiles moves, with `block` queries at a time held in the processor.

    Queries are read and outputs written once; for each block of queries all keys and values are
    read: n d + n e + ceil(n / block) m (d + e). No score is ever in memory. With block = n that is
    the least there can be, `sdpa_floor_bytes`. Raises ValueError unless every number is at least 1.

    Source: Dao et al. 2022, section 3.2, with the loops as in FlashAttention-2 (Dao 2023).

    >>> tiled_attention_bytes(1024, 1024, 64, 64, 2, block=128) / 2**20
    2.25
    """
    _at_least_one(n=n, m=m, d=d, e=e, bytes_per_element=bytes_per_element, block=block)
    return (n * (d + e) + -(-n // block) * m * (d + e)) * bytes_per_element


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1: got {name}={number}")
