r"""# An encoder layer

Two parts, each with its norm before it and its sum after it:

$$x' = x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
y = x' + \mathrm{network}(\mathrm{norm}_2(x')) .$$

- `x` is (..., n, d); the result has its shape and its dtype, and x itself stays as it is.
- `params` is a dict of tensors: `w_q`, `w_k`, `w_v`, `w_o` (d, d) of a multi-head attention with
  `h` heads; `gain_1`, `bias_1`, `gain_2`, `bias_2` (d,) of two layer norms with an eps of 1e-5;
  `w_1` (d, d_ff), `b_1`, `w_2` (d_ff, d), `b_2` of a network with ReLU.
- `mask`, if given, is Boolean, True where a query may attend, and broadcasts to the scores
  (..., h, n, n). A query that may attend to nothing gets zeros from the attention.
- Use your own `multi_head_attention`, `layer_norm` and `feed_forward`, or write them here.
"""

import math

import torch
from torch.nn import functional

from attncourse.exercises import Borrow
from attncourse.exercises.transformer import feed_forward, layer_norm
from attncourse.mechanisms.dense.layers import encoder_layer as solution
from attncourse.mechanisms.dense.layers import encoder_layer_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients, random_mask

difficulty, minutes = 3, 25
hints = (
    "Four steps: a tidied copy, a note from it, the sum; and once more. What does the second norm "
    "read: the x that came in, or the sum?",
    "Queries, keys and values all come from the tidied copy. The sum takes the x that was *not* "
    "tidied.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention", "layer_norm")

D, D_FF, H = 12, 20, 3


def check_matches_the_definition(student):
    """equals the layer made of the definitions of its parts, whatever the sizes"""
    for n, d, d_ff, h in ((5, D, D_FF, H), (7, 10, 9, 2)):
        x, params = _inputs(n, d=d, d_ff=d_ff, seed=n)
        assert_same(student(x, params, h=h), encoder_layer_by_definition(x, params, h=h))


def check_depends_on_the_number_of_heads(student):
    """one head, two, four and six give four results"""
    x, params = _inputs(5, seed=1)
    for h in (1, 2, 4, 6):
        assert_same(student(x, params, h=h), solution(x, params, h=h), f"the result for h={h}")


def check_obeys_the_mask(student):
    """a masked pair has no influence; a mask of all heads, of each, of padding; empty rows"""
    x, params = _inputs(5, seed=2)
    batch, _ = _inputs(2, 5, seed=3)
    each = torch.stack([random_mask(5, 5, empty_row=i, seed=i) for i in range(H)])
    padding = random_mask(2, 5, seed=8)[:, None, None, :]
    cases = [(x, random_mask(5, 5, seed=3)), (x, each), (batch, padding)]
    cases += [(x[None], each[None]), (x, torch.tensor(False))]
    for tokens, mask in cases:
        ours = student(tokens, params, h=H, mask=mask)
        assert_same(ours, solution(tokens, params, h=H, mask=mask))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, and equals its rows one by one"""
    batch, params = _inputs(2, 4, seed=4)
    out = student(batch, params, h=H)
    assert_same(out, solution(batch, params, h=H))
    assert_same(student(batch[1], params, h=H), out[1], "a text of the batch alone")
    single, _ = _inputs(1, 1, 1, seed=5)
    assert_same(student(single, params, h=H), solution(single, params, h=H))


def check_normalises_with_the_right_eps(student):
    """tokens of a small spread are normalised with an eps of 1e-5, large ones as well"""
    x, params = _inputs(5, seed=6)
    for size in (1e-3, 1e4):
        assert_same(student(size * x, params, h=H), solution(size * x, params, h=H))


def check_has_the_right_gradient(student):
    """the gradients of the tokens and of all twelve parameters are right"""
    x, params = _inputs(5, seed=7)
    told = {"h": H, "mask": random_mask(5, 5, empty_row=1, seed=9)}
    ours = gradients(student, x, params, **told)
    theirs = gradients(solution, x, params, **told)
    for name, a, b in zip(("x", *params), ours, theirs, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens and parameters give a float32 result"""
    x, params = _inputs(5, seed=8)
    single = {name: value.float() for name, value in params.items()}
    exact = solution(x.float().double(), {n: v.double() for n, v in single.items()}, h=H)
    out = student(x.float(), single, h=H)
    assert_that(out.dtype == torch.float32, "float32 tokens must give a float32 result.")
    assert_that((out - exact).abs().max() < 1e-3, "float32 gives about the same as float64.")


def _inputs(*shape, d=D, d_ff=D_FF, seed):
    """Tokens (*shape, d) with means of their own, and parameters."""
    sizes = dict.fromkeys(("w_q", "w_k", "w_v", "w_o"), (d, d))
    sizes |= {f"{kind}_{i}": (d,) for i in (1, 2) for kind in ("gain", "bias")}
    sizes |= {"w_1": (d, d_ff), "b_1": (d_ff,), "w_2": (d_ff, d), "b_2": (d,)}
    std = {name: 1.5 * size[0] ** -0.5 if len(size) == 2 else 0.5 for name, size in sizes.items()}
    params = {n: gaussian(*s, std=std[n], seed=20 + i) for i, (n, s) in enumerate(sizes.items())}
    return gaussian(*shape, d, seed=seed) + gaussian(*shape, 1, seed=seed + 50), params


def _norm(x, params, i, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    size = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return params[f"gain_{i}"] * centred / size + params[f"bias_{i}"]


def _attend(x, memory, params, h, mask, names=("w_q", "w_k", "w_v", "w_o")):
    """A right multi-head attention."""
    w_q, w_k, w_v, w_o = (params[name] for name in names)
    q, k, v = (y.unflatten(-1, (h, -1)).transpose(-3, -2)
               for y in (x @ w_q, memory @ w_k, memory @ w_v))  # fmt: skip
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    return (weights @ v).transpose(-3, -2).flatten(-2) @ w_o


def _feed(x, params):
    return (x @ params["w_1"] + params["b_1"]).relu() @ params["w_2"] + params["b_2"]


def _with_norm(layer_norm):
    """The layer whose norms are the learner's."""

    def encoder_layer(x, params, *, h, mask=None):
        def norm(x, i):
            return layer_norm(x, params[f"gain_{i}"], params[f"bias_{i}"])

        y = norm(x, 1)
        x = x + _attend(y, y, params, h, mask)
        return x + _feed(norm(x, 2), params)

    return encoder_layer


def _with_network(feed_forward):
    """The layer whose network is the learner's."""

    def encoder_layer(x, params, *, h, mask=None):
        y = _norm(x, params, 1)
        x = x + _attend(y, y, params, h, mask)
        weights = (params[name] for name in ("w_1", "b_1", "w_2", "b_2"))
        return x + feed_forward(_norm(x, params, 2), *weights)

    return encoder_layer


borrowed = (
    Borrow(
        layer_norm,
        _with_norm,
        (
            "wrong_mean_left",
            "wrong_unbiased_variance",
            "wrong_over_the_tokens",
            "wrong_gain_forgotten",
            "wrong_bias_forgotten",
        ),
    ),
    Borrow(
        feed_forward,
        _with_network,
        ("wrong_no_bend", "wrong_gelu", "wrong_first_bias_forgotten", "wrong_residual_added"),
    ),
)


def wrong_norm_after_the_sum(x, params, *, h, mask=None):
    """You normalised after each sum, as the paper of 2017 does. Here the norm stands before the
    part, and nothing stands on the stream.
    """
    x = _norm(x + _attend(x, x, params, h, mask), params, 1)
    return _norm(x + _feed(x, params), params, 2)


def wrong_no_residual(x, params, *, h, mask=None):
    """You replaced x by what the parts return. Add it: x + attention, then x + network."""
    y = _norm(x, params, 1)
    x = _attend(y, y, params, h, mask)
    return _feed(_norm(x, params, 2), params)


def wrong_no_residual_around_the_attention(x, params, *, h, mask=None):
    """You added the network's note and replaced x by the attention's. Both are added to the
    stream.
    """
    y = _norm(x, params, 1)
    x = _attend(y, y, params, h, mask)
    return x + _feed(_norm(x, params, 2), params)


def wrong_no_residual_around_the_network(x, params, *, h, mask=None):
    """You added the attention's note and returned the network's alone. Both are added to the
    stream.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, mask)
    return _feed(_norm(x, params, 2), params)


def wrong_residual_of_the_norm(x, params, *, h, mask=None):
    """You added each note to the *normalised* token. Keep x as it is for the sum, and give the copy
    another name.
    """
    x = _norm(x, params, 1)
    x = x + _attend(x, x, params, h, mask)
    x = _norm(x, params, 2)
    return x + _feed(x, params)


def wrong_second_sum_from_the_input(x, params, *, h, mask=None):
    """You added the network's note to the x that came in, so that the attention's is lost from the
    stream. Add it to the first sum.
    """
    y = _norm(x, params, 1)
    first = x + _attend(y, y, params, h, mask)
    return x + _feed(_norm(first, params, 2), params)


def wrong_side_by_side(x, params, *, h, mask=None):
    """You let the network read the x that came in, beside the attention. It reads the sum: the
    attention's note comes first.
    """
    y = _norm(x, params, 1)
    return x + _attend(y, y, params, h, mask) + _feed(_norm(x, params, 2), params)


def wrong_network_first(x, params, *, h, mask=None):
    """You put the network first. The attention comes first, with norm 1, and the network reads what
    it has added.
    """
    x = x + _feed(_norm(x, params, 2), params)
    y = _norm(x, params, 1)
    return x + _attend(y, y, params, h, mask)


def wrong_no_norm(x, params, *, h, mask=None):
    """You left the norms out. Each part reads a normalised copy of the stream."""
    x = x + _attend(x, x, params, h, mask)
    return x + _feed(x, params)


def wrong_no_second_norm(x, params, *, h, mask=None):
    """You gave the network the stream as it is. It reads a normalised copy, with norm 2."""
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, mask)
    return x + _feed(x, params)


def wrong_one_norm_for_both(x, params, *, h, mask=None):
    """You used the gain and bias of norm 1 for both. The network has its own: `gain_2` and
    `bias_2`.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, mask)
    return x + _feed(_norm(x, params, 1), params)


def wrong_norms_exchanged(x, params, *, h, mask=None):
    """You exchanged the two norms. Norm 1 belongs to the attention, norm 2 to the network."""
    y = _norm(x, params, 2)
    x = x + _attend(y, y, params, h, mask)
    return x + _feed(_norm(x, params, 1), params)


def wrong_queries_normalised_only(x, params, *, h, mask=None):
    """You normalised the queries' tokens and let keys and values read the stream as it is. All
    three come from the normalised copy.
    """
    x = x + _attend(_norm(x, params, 1), x, params, h, mask)
    return x + _feed(_norm(x, params, 2), params)


def wrong_normalised_again_at_the_end(x, params, *, h, mask=None):
    """You normalised the result once more. The norm at the end belongs behind the last layer of a
    stack, not to each: return the sum.
    """
    return _norm(solution(x, params, h=h, mask=mask), params, 2)


def wrong_mask_ignored(x, params, *, h, mask=None):
    """You did not use the mask. Hand it on to the attention."""
    return solution(x, params, h=h)


def wrong_mask_inverted(x, params, *, h, mask=None):
    """You hid what may be attended to, as `nn.TransformerEncoderLayer` reads a mask. Here True
    means may attend: leave out the `~`.
    """
    return solution(x, params, h=h, mask=None if mask is None else ~mask)


def wrong_causal(x, params, *, h, mask=None):
    """You hid the future. An encoder's tokens see each other in both directions: leave the causal
    mask out, and use the one that is given.
    """
    n = x.shape[-2]
    past = torch.ones(n, n, dtype=torch.bool).tril()
    return solution(x, params, h=h, mask=past if mask is None else mask & past)


def wrong_one_head(x, params, *, h, mask=None):
    """Your result is the same for any h: you attended once over the whole width. Hand `h` on to the
    attention, which splits the features into heads.
    """
    if mask is not None and mask.ndim > 2:
        mask = mask[..., :1, :, :]
    return solution(x, params, h=1, mask=mask)


def wrong_eps_too_small(x, params, *, h, mask=None):
    """You normalised with another eps, BERT's 1e-12. Here it is 1e-5."""
    y = _norm(x, params, 1, eps=1e-12)
    x = x + _attend(y, y, params, h, mask)
    return x + _feed(_norm(x, params, 2, eps=1e-12), params)


def wrong_parameters_transposed(x, params, *, h, mask=None):
    """You multiplied with the transposes of the projections, as PyTorch stores them. Here a weight
    is (d_in, d_out): `x @ w_q`.
    """
    turned = {n: p.mT if n in ("w_q", "w_k", "w_v", "w_o") else p for n, p in params.items()}
    return solution(x, turned, h=h, mask=mask)


def wrong_float64_returned(x, params, *, h, mask=None):
    """You computed in float64 and returned float64. The result has the dtype of `x`: cast it back,
    `.to(x.dtype)`.
    """
    return solution(x.double(), {n: p.double() for n, p in params.items()}, h=h, mask=mask)


def right_by_parts(x, params, *, h, mask=None):
    """the parts written out"""
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, mask)
    return x + _feed(_norm(x, params, 2), params)


def right_head_by_head(x, params, *, h, mask=None):
    """a loop over heads, each with its own rows of w_o"""
    y = _norm(x, params, 1)
    note = torch.zeros_like(x)
    chunks = (params[name].chunk(h, dim=-1) for name in ("w_q", "w_k", "w_v"))
    for i, (w_q, w_k, w_v) in enumerate(zip(*chunks, strict=True)):
        scores = (y @ w_q) @ (y @ w_k).mT / math.sqrt(w_q.shape[-1])
        if mask is not None:
            few = mask.ndim < 3
            seen = mask if few else mask[..., i if mask.shape[-3] > 1 else 0, :, :]
            scores = scores.masked_fill(~seen, -math.inf)
        note = note + scores.softmax(-1).nan_to_num(0.0) @ (y @ w_v) @ params["w_o"].chunk(h)[i]
    x = x + note
    hidden = functional.relu(
        functional.linear(_norm(x, params, 2), params["w_1"].mT, params["b_1"])
    )
    return x + functional.linear(hidden, params["w_2"].mT, params["b_2"])


shown = right_by_parts
