"""Grouped-query attention: four query heads, two heads of keys and values."""

from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.sharing import grouped_query
from attncourse.testing import gaussian
from rows import Mechanism


def grouped(*lead, std=2.0, seed=0):
    return (
        gaussian(*lead, 4, 5, 8, std=std, seed=seed),
        gaussian(*lead, 2, 37, 8, std=std, seed=seed + 1),
        gaussian(*lead, 2, 37, 6, std=std, seed=seed + 2),
    )


def pytorch(q, k, v):
    return scaled_dot_product_attention(q, k, v, enable_gqa=True)


def of_repeated_heads(q, k, v):
    """PyTorch's form over any leading axes, and eager, so that half precision has a budget."""
    k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], dim=-3) for x in (k, v))
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


MECHANISMS = {
    "grouped_query_attention": Mechanism(
        grouped_query.grouped_query_attention,
        of_repeated_heads,
        grouped,
    ),
}
ELSEWHERE = {grouped_query.attend_in_groups, grouped_query.check_groups}
