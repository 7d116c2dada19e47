r"""# Mend the fused projection

One matrix makes queries, keys and values at once, since one large product is faster than three.
In the checkpoint its columns lie **group after group**: for each of g groups first the h/g query
heads that share a key, then their key head, then their value head, all of width d. For six query
heads and two groups that is

$$q_0\; q_1\; q_2\; k_0\; v_0\; \big|\; q_3\; q_4\; q_5\; k_1\; v_1 .$$

With one group this function is right, and so it was tested. Find out what it takes for a key where
there are more, and mend it.

- `x` is (..., n, c) and `w` is (c, r) with r = (h + 2g) d; g divides h.
- The result is the triple of q (..., h, n, d), k (..., g, n, d) and v (..., g, n, d), in the dtype
  of `x`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 3, 15
hints = (
    "Let x be the row (1) and the matrix one row of numbers: 0 in the columns of the first head, 1 "
    "in those of the second, and so on. Print which number ends up in k.",
    "Cut the last axis into groups first: it becomes (g, h/g + 2, d). What of the middle axis is "
    "queries?",
)


def split_groups(
    x: Float[Tensor, "... n c"], w: Float[Tensor, "c r"], h: int, g: int
) -> tuple[Float[Tensor, "... h n d"], Float[Tensor, "... g n d"], Float[Tensor, "... g n d"]]:
    """Queries, keys and values out of one product whose columns lie group after group.

    >>> q, k, v = split_groups(torch.ones(1, 1), torch.arange(8.0)[None], 4, 2)
    >>> q.flatten().tolist(), k.flatten().tolist(), v.flatten().tolist()
    ([0.0, 1.0, 4.0, 5.0], [2.0, 6.0], [3.0, 7.0])
    """
    made = (x @ w).unflatten(-1, (g, h // g + 2, -1))  # (..., n, g, h/g + 2, d)
    q = made[..., :-2, :].flatten(-3, -2)
    k, v = made[..., -2, :], made[..., -1, :]
    return q.transpose(-3, -2), k.transpose(-3, -2), v.transpose(-3, -2)


solution = split_groups


def check_columns_by_hand(student):
    """columns that are numbers: each head gets those of its place in its group"""
    columns = torch.arange(10.0).double().repeat_interleave(2)[None]  # six heads, two groups
    places = ([0, 1, 2, 5, 6, 7], [3, 8], [4, 9])
    expected = tuple(
        torch.tensor(place).double()[:, None, None].expand(-1, 1, 2).contiguous()
        for place in places
    )
    found = student(torch.ones(1, 1, dtype=torch.float64), columns, 6, 2)
    assert_same(tuple(y.contiguous() for y in found), expected)


def check_several_groups(student):
    """two groups, three, and four, of several heads each"""
    for h, g, d in ((6, 2, 5), (9, 3, 2), (8, 4, 3)):
        args = _inputs(h=h, g=g, d=d, seed=10)
        _assert_split(student(*args, h, g), split_groups(*args, h, g))


def check_one_group_and_one_head_each(student):
    """one group for all heads, and one group for each head"""
    for h, g, d in ((4, 1, 5), (3, 3, 2)):
        args = _inputs(h=h, g=g, d=d, seed=20)
        _assert_split(student(*args, h, g), split_groups(*args, h, g))


def check_takes_leading_axes(student):
    """works for a batch, for one of length one, and for float32"""
    for lead in ((2, 3), (1,)):
        x, w = _inputs(*lead, h=6, g=2, d=5, seed=30)
        _assert_split(student(x, w, 6, 2), split_groups(x, w, 6, 2))
        _assert_split(student(x.float(), w.float(), 6, 2), split_groups(x.float(), w.float(), 6, 2))


def check_has_the_right_gradient(student):
    """the gradients of x and of the matrix are right"""
    args = _inputs(h=6, g=2, d=5, seed=40)
    expected = gradients(split_groups, *args, 6, 2)
    assert_same(gradients(student, *args, 6, 2), expected, "the gradient")


def wrong_queries_then_keys_then_values(x, w, h, g):
    """You take all queries first, then all keys, then all values. The columns lie group after
    group, so that your keys are queries of the second one: cut into groups first.
    """
    d = w.shape[-1] // (h + 2 * g)
    q, k, v = (x @ w).split([h * d, g * d, g * d], dim=-1)
    split = [y.unflatten(-1, (-1, d)).transpose(-3, -2) for y in (q, k, v)]
    return split[0], split[1], split[2]


stub = wrong_queries_then_keys_then_values


def _by_groups(x, w, h, g, *, turned=False):
    made = (x @ w).unflatten(-1, (g, h // g + 2, -1))
    q, k, v = made[..., :-2, :], made[..., -2, :], made[..., -1, :]
    q = (q.transpose(-3, -2) if turned else q).flatten(-3, -2)
    return tuple(y.transpose(-3, -2) for y in (q, k, v))


def wrong_a_key_for_each_query(x, w, h, g):
    """You cut the columns into a query, a key and a value in turn, as where each head has its own.
    Here h / g queries come before a key: cut into g groups of h / g + 2.
    """
    d = w.shape[-1] // (h + 2 * g)
    heads = (x @ w).unflatten(-1, (-1, d)).transpose(-3, -2)
    place = torch.arange(h + 2 * g)
    keys, values = place[1::3][:g], place[2::3][:g]
    rest = torch.tensor([i for i in place.tolist() if i not in {*keys.tolist(), *values.tolist()}])
    return heads[..., rest, :, :], heads[..., keys, :, :], heads[..., values, :, :]


def wrong_values_before_keys(x, w, h, g):
    """You take the second to last head of a group for the value and the last for the key. It is
    the other way round: exchange them.
    """
    q, k, v = _by_groups(x, w, h, g)
    return q, v, k


def wrong_key_and_value_first(x, w, h, g):
    """You take the first two heads of a group for key and value. The queries come first: key and
    value are the last two.
    """
    made = (x @ w).unflatten(-1, (g, h // g + 2, -1))
    q, k, v = made[..., 2:, :].flatten(-3, -2), made[..., 0, :], made[..., 1, :]
    return tuple(y.transpose(-3, -2) for y in (q, k, v))


def wrong_heads_of_the_groups_in_turn(x, w, h, g):
    """You put the queries in the order first of each group, second of each group. Head i reads
    group i // (h / g), so that the heads of a group stay side by side: groups first, then heads.
    """
    return _by_groups(x, w, h, g, turned=True)


def wrong_groups_inside(x, w, h, g):
    """You cut the columns into h / g + 2 parts of g heads, as if the groups lay inside. They are
    the outermost order: the first axis that you make has length g.
    """
    made = (x @ w).unflatten(-1, (h // g + 2, g, -1)).transpose(-3, -2)
    q, k, v = made[..., :-2, :].flatten(-3, -2), made[..., -2, :], made[..., -1, :]
    return tuple(y.transpose(-3, -2) for y in (q, k, v))


def right_by_lists_of_heads(x, w, h, g):
    """the number of each head's place, group by group"""
    share = h // g
    heads = (x @ w).unflatten(-1, (h + 2 * g, -1)).transpose(-3, -2)
    place = torch.arange(h + 2 * g).reshape(g, share + 2)
    wanted = place[:, :share].flatten(), place[:, share], place[:, share + 1]
    return tuple(heads[..., one, :, :] for one in wanted)


def right_group_by_group(x, w, h, g):
    """a matrix for each group, cut into its heads"""
    share = h // g
    heads = [
        (x @ part).unflatten(-1, (share + 2, -1)).transpose(-3, -2) for part in w.chunk(g, dim=-1)
    ]
    q = torch.cat([part[..., :share, :, :] for part in heads], dim=-3)
    k, v = (torch.stack([part[..., i, :, :] for part in heads], dim=-3) for i in (share, share + 1))
    return q, k, v


def _assert_split(found, expected):
    names = ("the tensor of queries", "the tensor of keys", "the tensor of values")
    for mine, theirs, name in zip(found, expected, names, strict=True):
        assert_same(mine, theirs, name)


def _inputs(*lead, h, g, d, seed):
    n, c = (7, 4) if h % 2 else (5, 3)
    return gaussian(*lead, n, c, seed=seed), gaussian(c, (h + 2 * g) * d, seed=seed + 1)
