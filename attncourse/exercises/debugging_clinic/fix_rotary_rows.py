r"""# Mend the converter

A checkpoint was trained with a rotation that turns **neighbours**, the features 2a and 2a + 1 of a
head, together. `rotary` turns **halves**, a and a + d/2. Both give the same scores if the rows of
the projections are reordered when the checkpoint is read, within each head:

$$\text{row } 2a \;\to\; \text{row } a, \qquad \text{row } 2a + 1 \;\to\; \text{row } a + d/2 .$$

Queries have h heads; keys have g, each read by h/g of those. This converter was tested with a model
of 64 and 8 heads, and with every model whose heads share nothing. A model of 32 and 4 writes
gibberish. Find out for which counts of heads it is right, and mend it.

- `w_q` is (hd, x) and `w_k` is (gd, x), of head width d, head after head; g divides h.
- The result is the pair of both, reordered, of the same shapes and dtype.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.positions import rotary
from attncourse.core.rotary_forms import interleaved_rotary
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 3, 15
hints = (
    "Into how many heads does the function cut the rows of the keys? Compute it for 64 and 8 "
    "heads, and for 32 and 4.",
    "h // g says how many query heads share a key head. How many key heads are there?",
)


def rows_for_halves(
    w_q: Float[Tensor, "hd x"], w_k: Float[Tensor, "gd x"], h: int, g: int
) -> tuple[Float[Tensor, "hd x"], Float[Tensor, "gd x"]]:
    """The rows of query and key projections, from neighbouring pairs to halves.

    >>> w = torch.arange(4.0)[:, None]
    >>> rows_for_halves(w, w, 1, 1)[0].flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    reordered = []
    for w, heads in ((w_q, h), (w_k, g)):
        pairs = w.unflatten(0, (heads, -1, 2))
        reordered.append(pairs.transpose(1, 2).reshape(w.shape))
    return reordered[0], reordered[1]


solution = rows_for_halves

HEADS = ((8, 2), (6, 3), (4, 1), (9, 3), (5, 5))  # h, g


def check_shared_heads(student):
    """the keys of heads that are shared, for several counts of heads"""
    for h, g in HEADS[:3]:
        args = _inputs(h=h, g=g, seed=10)
        assert_same(student(*args, h, g), rows_for_halves(*args, h, g))


def check_rows_by_hand(student):
    """rows that are numbers: within each head the even ones first, then the odd ones"""
    w_q = torch.arange(36.0)[:, None].double()
    w_k = 100 + torch.arange(18.0)[:, None].double()
    expected = [[*range(s, s + 6, 2), *range(s + 1, s + 6, 2)] for s in range(0, 36, 6)]
    q = torch.tensor(expected).double().reshape(-1, 1)
    assert_same(student(w_q, w_k, 6, 3), (q, 100 + q[:18]))


def check_scores_are_those_of_the_checkpoint(student):
    """halves turned after your reordering give the scores of neighbours turned before it"""
    for (h, g), n in (((8, 2), 7), ((6, 3), 5), ((9, 3), 4)):
        w_q, w_k = _inputs(h=h, g=g, seed=20)
        x = gaussian(n, w_q.shape[1], std=1.0, seed=22)
        theirs = _scores(x, w_q, w_k, h, g, interleaved_rotary)
        assert_same(_scores(x, *student(w_q, w_k, h, g), h, g, rotary), theirs, "the scores")


def check_heads_that_share_nothing(student):
    """as many key heads as query heads, and counts whose quotient is the number of groups"""
    for h, g in HEADS[3:]:
        args = _inputs(h=h, g=g, seed=30)
        assert_same(student(*args, h, g), rows_for_halves(*args, h, g))


def check_keeps_dtype_and_gradient(student):
    """float32 rows stay float32, and gradients go back to the rows that they came from"""
    args = _inputs(h=8, g=2, seed=40)
    single = [w.float() for w in args]
    assert_same(student(*single, 8, 2), rows_for_halves(*single, 8, 2))
    expected = gradients(rows_for_halves, *args, 8, 2)
    assert_same(gradients(student, *args, 8, 2), expected, "the gradient")


def wrong_heads_that_share_a_key(w_q, w_k, h, g):
    """You cut the keys into h // g heads, which is how many queries share one of them. There are g
    key heads: with 64 and 8 the two are the same number, and with 32 and 4 they are not.
    """
    key_heads = h if g == h else h // g

    def in_halves(w, heads):
        return w.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(w.shape)

    return in_halves(w_q, h), in_halves(w_k, key_heads)


stub = wrong_heads_that_share_a_key


def wrong_as_many_key_heads_as_query_heads(w_q, w_k, h, g):
    """You cut the keys into h heads, as the queries. They have g, and each is as wide as a head of
    the queries: cut them into g.
    """
    return _halves(w_q, h), _halves(w_k, h)


def wrong_keys_left_as_they_were(w_q, w_k, h, g):
    """You reorder the queries alone. A score multiplies feature by feature, so that the keys need
    the same order: reorder them, too, in their g heads.
    """
    return _halves(w_q, h), w_k.clone()


def wrong_the_other_way_round(w_q, w_k, h, g):
    """You reorder from halves to neighbours. Row 2a is to become row a: cut a head into pairs,
    and lay all first ones before all second ones.
    """
    made = [
        w.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(w.shape)
        for w, heads in ((w_q, h), (w_k, g))
    ]
    return made[0], made[1]


def wrong_across_the_heads(w_q, w_k, h, g):
    """You reorder all rows as if they were one head, so that heads get each other's features. Cut
    the rows into heads first, then reorder within each.
    """
    return _halves(w_q, 1), _halves(w_k, 1)


def right_by_slices(w_q, w_k, h, g):
    """every second row of each head"""
    made = [
        torch.cat([torch.cat([head[0::2], head[1::2]]) for head in w.chunk(heads)])
        for w, heads in ((w_q, h), (w_k, g))
    ]
    return made[0], made[1]


def right_by_a_list_of_rows(w_q, w_k, h, g):
    """the number of the row that goes into each place"""
    d = len(w_q) // h
    order = torch.arange(d).reshape(-1, 2).mT.flatten()
    return tuple(w[(torch.arange(0, len(w), d)[:, None] + order).flatten()] for w in (w_q, w_k))


def _halves(w, heads):
    return w.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(w.shape)


def _scores(x, w_q, w_k, h, g, turn):
    """The scores of h heads whose queries and keys are turned by their positions."""
    places = torch.arange(len(x))
    q = turn((x @ w_q.mT).unflatten(-1, (h, -1)).transpose(0, 1), places)
    k = turn((x @ w_k.mT).unflatten(-1, (g, -1)).transpose(0, 1), places)
    return q @ k.repeat_interleave(h // g, dim=0).mT


def _inputs(*, h, g, seed):
    d = 6 if h in (5, 9) else 8
    width = 5 if h % 2 else 7
    return gaussian(h * d, width, seed=seed), gaussian(g * d, width, seed=seed + 1)
