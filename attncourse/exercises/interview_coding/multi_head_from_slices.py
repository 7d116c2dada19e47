r"""# Heads as slices

Multi-head attention without projections: the heads are slices of the columns. Head i compares the
columns i d/h to (i + 1) d/h of queries and keys, and averages the matching columns of the values:

$$\mathrm{head}_i = \mathrm{softmax}\!\left(\frac{Q_i K_i^\top}{\sqrt{d/h}}\right) V_i, \qquad
\mathrm{output} = [\mathrm{head}_1, \dots, \mathrm{head}_h] \, W_O .$$

- `query` is (..., n, d), `keys` (..., m, d), `values` (..., m, e), and h is `num_heads`. The
  outputs stand side by side in the order of the heads: (..., n, e).
- `w_o`, if given, is (e, d_o) and is multiplied from the right; without it nothing is.
- One head is plain attention. Each head sees all positions.
- ValueError where `num_heads` is below 1 or does not divide d and e: three columns make no two
  heads. TypeError where it is no integer; True is none.
"""

import math

import torch

from attncourse.exercises.scores_and_scaling import attention
from attncourse.measure.small_models import refusal
from attncourse.mechanisms.dense.whiteboard import multi_head_from_slices as solution
from attncourse.testing import assert_same, assert_that, attention_inputs, gaussian, gradients

difficulty, minutes = 3, 20
hints = (
    "Write one head first, as a function of its slices. Then the loop over heads, then what joins "
    "their outputs: along which axis?",
    "In place of the loop: (..., n, d) is viewed as (..., n, h, d/h), and then two axes change "
    "places, so that a head is a leading axis. On the way back, in the opposite order.",
)
forbidden = (
    "multi_head_from_slices",
    "multi_head_attention",
    "MultiheadAttention",
    "split_heads",
    "merge_heads",
)

SIZES = ((5, 7, 8, 12), (4, 6, 12, 18))  # n, m, d, e


def check_equals_head_by_head(student):
    """equals the loop over heads, for 2, 3, 4 and 6 of them"""
    for sizes, h in ((SIZES[0], 2), (SIZES[1], 3), (SIZES[0], 4), (SIZES[1], 6)):
        args = attention_inputs(sizes=sizes, seed=10)
        assert_same(student(*args, h), _by_definition(*args, h), f"the output of {h} heads")


def check_one_head_is_attention(student):
    """one head is attention over all columns"""
    for sizes in SIZES:
        args = attention_inputs(sizes=sizes, seed=20)
        assert_same(student(*args, 1), attention.right_by_einsum(*args), "the output of one head")


def check_mixes_by_the_output_matrix(student):
    """w_o is multiplied from the right, after the heads stand side by side"""
    for sizes, h, width in ((SIZES[0], 2, 5), (SIZES[1], 3, 18)):
        args = attention_inputs(sizes=sizes, seed=30)
        w_o = gaussian(sizes[3], width, std=0.5, seed=33)
        assert_same(student(*args, h, w_o), _by_definition(*args, h, w_o), "the output through w_o")


def check_takes_leading_axes(student):
    """works for any batch axes, and for those of length one"""
    for lead, sizes, h in (((2, 3), SIZES[0], 2), ((1,), SIZES[1], 3), ((4, 1), SIZES[0], 4)):
        args = attention_inputs(*lead, sizes=sizes, seed=40)
        assert_same(student(*args, h), _by_definition(*args, h))


def check_survives_large_scores(student):
    """scores in the thousands do not overflow"""
    for sizes, h in ((SIZES[0], 2), (SIZES[1], 6)):
        args = attention_inputs(sizes=sizes, std=60.0, seed=50)
        assert_same(student(*args, h), _by_definition(*args, h))


def check_has_the_right_gradient(student):
    """the gradients of queries, keys, values and of w_o are right"""
    for sizes, h in ((SIZES[0], 2), (SIZES[1], 3)):
        args = (*attention_inputs(sizes=sizes, seed=60), h, gaussian(sizes[3], 5, seed=64))
        ours, theirs = gradients(student, *args), gradients(_by_definition, *args)
        for name, a, b in zip(("query", "keys", "values", "w_o"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give a float32 output"""
    args = attention_inputs(sizes=SIZES[1], std=1.0, seed=70)
    w_o = gaussian(18, 7, std=0.3, seed=74)
    exact = _by_definition(*args, 3, w_o).float()
    assert_same(student(*(x.float() for x in args), 3, w_o.float()), exact)


def check_refuses_heads_that_do_not_fit(student):
    """errors where the number of heads does not divide the widths, or is no number"""
    args = attention_inputs(sizes=SIZES[0], seed=80)
    assert_same(student(*args, 2), _by_definition(*args, 2))
    three = attention_inputs(sizes=(2, 5, 3, 6), seed=81)
    for given, h, kind, what in (
        (three, 2, "ValueError", "2 heads of queries 3 wide"),
        (args, 8, "ValueError", "8 heads of values 12 wide"),
        (args, 0, "ValueError", "num_heads = 0"),
        (args, -2, "ValueError", "num_heads = -2"),
        (args, 2.0, "TypeError", "num_heads = 2.0"),
        (args, True, "TypeError", "num_heads = True"),
    ):
        found = refusal(student, *given, h)
        assert_that(found == kind, f"{what} must raise {kind}: got {found or 'no error'}.")


def _checked(query, values, num_heads):
    if isinstance(num_heads, bool) or not isinstance(num_heads, int):
        raise TypeError("num_heads is an integer")
    if num_heads < 1 or query.shape[-1] % num_heads or values.shape[-1] % num_heads:
        raise ValueError("num_heads is at least 1 and divides d and e")


def _attend(q, k, v, *, scale=None, dim=-1):
    scores = q @ k.mT / (scale or math.sqrt(q.shape[-1]))
    return scores.softmax(dim=dim) @ v


def _slices(x, h):
    """The columns as a list of heads."""
    return list(x.chunk(h, dim=-1))


def _heads(query, keys, values, num_heads, w_o, *, head=_attend, cut=_slices, join=None):
    """Heads cut in another way, or joined in another way."""
    _checked(query, values, num_heads)
    parts = zip(*(cut(x, num_heads) for x in (query, keys, values)), strict=True)
    outs = [head(*part) for part in parts]
    out = torch.cat(outs, dim=-1) if join is None else join(outs)
    return out if w_o is None else out @ w_o


def _by_definition(query, keys, values, num_heads, w_o=None):
    return _heads(query, keys, values, num_heads, w_o)


def wrong_one_head_whatever_is_asked(query, keys, values, num_heads, w_o=None):
    """Your result does not depend on `num_heads`: one head over all columns. Cut the columns into
    heads, and let each compare its own.
    """
    _checked(query, values, num_heads)
    out = _attend(query, keys, values)
    return out if w_o is None else out @ w_o


def wrong_heads_only_in_the_scale(query, keys, values, num_heads, w_o=None):
    """You divide by the root of d/h and still compare all columns in one product. The heads are the
    slices, not the scale.
    """
    _checked(query, values, num_heads)
    scale = math.sqrt(query.shape[-1] / num_heads)
    out = _attend(query, keys, values, scale=scale)
    return out if w_o is None else out @ w_o


def wrong_one_head_a_column(query, keys, values, num_heads, w_o=None):
    """You make a head of every column, whatever `num_heads` says. There are `num_heads` of them,
    each d/h columns wide.
    """
    _checked(query, values, num_heads)
    d = query.shape[-1]
    columns = torch.arange(values.shape[-1]) * d // values.shape[-1]
    q, k = query.unsqueeze(-1).transpose(-3, -2), keys.unsqueeze(-1).transpose(-3, -2)
    weights = (q @ k.mT).softmax(dim=-1).index_select(-3, columns)
    out = (weights @ values.mT.unsqueeze(-1)).squeeze(-1).mT
    return out if w_o is None else out @ w_o


def wrong_positions_cut(query, keys, values, num_heads, w_o=None):
    """You cut the text and not the columns: each head sees a part of the positions. Every head sees
    all of them; cut along the last axis.
    """
    _checked(query, values, num_heads)
    outs = []
    for part in zip(
        *(x.tensor_split(num_heads, dim=-2) for x in (query, keys, values)), strict=True
    ):
        outs.append(_attend(*part))
    out = torch.cat(outs, dim=-2)
    return out if w_o is None else out @ w_o


def wrong_scale_of_the_whole_width(query, keys, values, num_heads, w_o=None):
    """You divide by the root of d. A head compares d/h columns: its scores have that variance, so
    divide by the root of d/h.
    """
    scale = math.sqrt(query.shape[-1])
    return _heads(
        query, keys, values, num_heads, w_o, head=lambda q, k, v: _attend(q, k, v, scale=scale)
    )


def wrong_not_scaled(query, keys, values, num_heads, w_o=None):
    """You forgot the scale. Each head divides its scores by the root of d/h."""
    return _heads(
        query, keys, values, num_heads, w_o, head=lambda q, k, v: _attend(q, k, v, scale=1.0)
    )


def _viewed(x, h):
    """(..., n, d) read as (..., h, n, d/h) without moving a number."""
    *lead, n, d = x.shape
    return list(x.reshape(*lead, h, n, d // h).unbind(dim=-3))


def wrong_view_without_transpose(query, keys, values, num_heads, w_o=None):
    """You viewed (n, d) as (h, n, d/h). The shape is right and the numbers are not: a head gets
    some tokens whole. View as (n, h, d/h), then exchange the axes.
    """
    return _heads(query, keys, values, num_heads, w_o, cut=_viewed)


def wrong_no_transpose_back(query, keys, values, num_heads, w_o=None):
    """You went back with `reshape` alone: (h, n, e/h) becomes (n, e) and tokens mix. Exchange the
    axes first, to (n, h, e/h).
    """

    def join(outs):
        heads = torch.stack(outs, dim=-3)
        *lead, h, n, e = heads.shape
        return heads.reshape(*lead, n, h * e)

    return _heads(query, keys, values, num_heads, w_o, join=join)


def wrong_heads_averaged(query, keys, values, num_heads, w_o=None):
    """You average the heads. Each has columns of its own in the output: put them side by side."""

    def join(outs):
        mean = sum(outs) / len(outs)
        return torch.cat([mean] * len(outs), dim=-1)

    return _heads(query, keys, values, num_heads, w_o, join=join)


def wrong_softmax_over_the_heads(query, keys, values, num_heads, w_o=None):
    """Your softmax runs over the heads, so that they share what each has alone. Every head has its
    own weights, which sum to one over the keys.
    """
    _checked(query, values, num_heads)
    q, k, v = (torch.stack(_slices(x, num_heads), dim=-3) for x in (query, keys, values))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-3)
    out = torch.cat((weights @ v).unbind(dim=-3), dim=-1)
    return out if w_o is None else out @ w_o


def wrong_every_hth_column(query, keys, values, num_heads, w_o=None):
    """You gave head i the columns i, i + h, i + 2h. Heads are neighbouring columns: i d/h up to
    (i + 1) d/h.
    """
    return _heads(
        query,
        keys,
        values,
        num_heads,
        w_o,
        cut=lambda x, h: [x[..., i::h] for i in range(h)],
        join=lambda outs: torch.stack(outs, dim=-1).flatten(-2),
    )


def wrong_every_head_the_first(query, keys, values, num_heads, w_o=None):
    """Every head of yours compares the first slice. Head i has its own, of queries and keys: use i
    in the slice.
    """
    _checked(query, values, num_heads)
    q, k = _slices(query, num_heads)[0], _slices(keys, num_heads)[0]
    outs = [_attend(q, k, v) for v in _slices(values, num_heads)]
    out = torch.cat(outs, dim=-1)
    return out if w_o is None else out @ w_o


def wrong_heads_in_reverse(query, keys, values, num_heads, w_o=None):
    """You join the heads from the last to the first. Head 0 has the first columns of the output."""
    return _heads(
        query, keys, values, num_heads, w_o, join=lambda outs: torch.cat(outs[::-1], dim=-1)
    )


def wrong_maps_averaged(query, keys, values, num_heads, w_o=None):
    """You average the heads' weights and use one map for all values. What is put together are
    outputs, not weights.
    """
    _checked(query, values, num_heads)
    pairs = zip(_slices(query, num_heads), _slices(keys, num_heads), strict=True)
    maps = [(q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1) for q, k in pairs]
    out = sum(maps) / num_heads @ values
    return out if w_o is None else out @ w_o


def wrong_output_matrix_ignored(query, keys, values, num_heads, w_o=None):
    """You leave `w_o` aside. Where it is given, the heads that stand side by side are mixed by it:
    out @ w_o.
    """
    return _heads(query, keys, values, num_heads, None)


def wrong_rest_left_over(query, keys, values, num_heads, w_o=None):
    """You divide the width by the number of heads with //, and what is left over vanishes or makes
    one head more. Where it does not divide, raise ValueError.
    """
    if isinstance(num_heads, bool) or not isinstance(num_heads, int):
        raise TypeError("num_heads is an integer")
    if num_heads < 1:
        raise ValueError("num_heads is at least 1")
    a, b = query.shape[-1] // num_heads, values.shape[-1] // num_heads
    outs = [
        _attend(*(x[..., i * w : (i + 1) * w] for x, w in ((query, a), (keys, a), (values, b))))
        for i in range(num_heads)
    ]
    out = torch.cat(outs, dim=-1)
    return out if w_o is None else out @ w_o


def right_by_transposing(query, keys, values, num_heads, w_o=None):
    """heads as a leading axis, there and back"""
    if isinstance(num_heads, bool) or not isinstance(num_heads, int):
        raise TypeError("num_heads must be an integer")
    for x in (query, values):
        if num_heads < 1 or x.shape[-1] % num_heads:
            raise ValueError("num_heads must be at least 1 and divide d and e")

    def cut(x):
        return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)

    q, k, v = cut(query), cut(keys), cut(values)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    out = torch.softmax(scores, dim=-1) @ v
    out = out.transpose(-3, -2).flatten(-2)
    return out if w_o is None else out @ w_o


def right_by_a_loop(query, keys, values, num_heads, w_o=None):
    """one head after the other, by slices"""
    _checked(query, values, num_heads)
    a, b = query.shape[-1] // num_heads, values.shape[-1] // num_heads
    outs = []
    for i in range(num_heads):
        q, k = (x[..., i * a : (i + 1) * a] for x in (query, keys))
        v = values[..., i * b : (i + 1) * b]
        outs.append(torch.nn.functional.scaled_dot_product_attention(q, k, v))
    out = torch.cat(outs, dim=-1)
    return out if w_o is None else torch.matmul(out, w_o)


def right_by_einsum(query, keys, values, num_heads, w_o=None):
    """the heads as an axis of einsum"""
    _checked(query, values, num_heads)
    q, k, v = (x.unflatten(-1, (num_heads, -1)) for x in (query, keys, values))
    scores = torch.einsum("...nhd,...mhd->...hnm", q, k) * q.shape[-1] ** -0.5
    out = torch.einsum("...hnm,...mhe->...nhe", scores.softmax(dim=-1), v).flatten(-2)
    return out if w_o is None else out @ w_o


shown = right_by_transposing
