r"""# A decoder layer

Three parts, each with its norm before it and its sum after it:

$$x' = x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
x'' = x' + \mathrm{attention}(\mathrm{norm}_2(x'),\, \mathrm{memory}), \qquad
y = x'' + \mathrm{network}(\mathrm{norm}_3(x'')) .$$

- `x` is (..., n, d), what is written so far; `memory` is (..., m, d_y), what an encoder has made of
  the source. The result has the shape and the dtype of x.
- The first attention is causal: a token sees itself and those before it. In the second, queries
  come from x, keys and values from `memory`, which is not normalised here. `memory_mask`, if given,
  is Boolean, True where a query may attend, and broadcasts to *its* scores (..., h, n, m).
- `params` is a dict of tensors: `self_w_q`, `self_w_k`, `self_w_v`, `self_w_o` (d, d); `cross_w_q`
  and `cross_w_o` (d, d), `cross_w_k` and `cross_w_v` (d_y, d); both with `h` heads; `gain_i` and
  `bias_i` for i = 1, 2, 3, of layer norms with an eps of 1e-5; `w_1`, `b_1`, `w_2`, `b_2` of a
  network with ReLU.
"""

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.transformer import encoder_layer, layer_norm
from attncourse.exercises.transformer.encoder_layer import _attend, _feed, _norm
from attncourse.mechanisms.dense.layers import decoder_layer as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, random_mask

difficulty, minutes = 4, 30
hints = (
    "It is your `encoder_layer` with one part more in the middle, and your `causal_mask` in the "
    "first attention. Which two tensors does the middle part read?",
    "The source is known whole from the first word on. So only one of the two attentions has a "
    "causal mask, and only the other one a `memory_mask`.",
)
forbidden = encoder_layer.forbidden

D, D_Y, D_FF, H = 12, 9, 20, 3
SELF = ("self_w_q", "self_w_k", "self_w_v", "self_w_o")
CROSS = ("cross_w_q", "cross_w_k", "cross_w_v", "cross_w_o")


def check_equals_the_formula(student):
    """equals the formula, for a source longer and shorter than what is written, of any width"""
    for n, m, d, d_y, h in ((5, 5, D, D, H), (6, 3, 10, 8, 2)):
        x, memory, params = _inputs(n, m, d=d, d_y=d_y, seed=n)
        assert_same(student(x, memory, params, h=h), solution(x, memory, params, h=h))


def check_hides_the_future(student):
    """a later word changes nothing before it: bit-equal; the first word sees itself alone"""
    x, memory, params = _inputs(5, 7, seed=1)
    other = x.clone()
    other[3:] += 3
    ours, changed = student(x, memory, params, h=4), student(other, memory, params, h=4)
    expected = solution(x, memory, params, h=4)
    assert_same(ours[:1], expected[:1], "the first token's result")
    assert_that(torch.equal(ours[:3], changed[:3]), "tokens 0 to 2 changed with tokens 3 and 4.")
    assert_same(changed, solution(other, memory, params, h=4))


def check_listens_to_the_memory(student):
    """every word may see the whole source, its last token too"""
    x, memory, params = _inputs(5, 7, seed=2)
    other = torch.cat([memory[:6], 3 - memory[6:]])
    assert_same(student(x, other, params, h=6), solution(x, other, params, h=6))


def check_obeys_the_memory_mask(student):
    """a masked token of the source has no influence; a mask of all heads, of each, of padding"""
    x, memory, params = _inputs(5, 7, seed=3)
    batch, memories, _ = _inputs(5, 7, lead=(2,), seed=4)
    each = torch.stack([random_mask(5, 7, empty_row=i, seed=i) for i in range(H)])
    padding = random_mask(2, 7, seed=8)[:, None, None, :]
    cases = [(x, memory, random_mask(5, 7, seed=3)), (batch, memories, padding)]
    cases += [(x[None], memory[None], each[None]), (x, memory, torch.tensor(False))]
    for tokens, source, mask in cases:
        ours = student(tokens, source, params, h=H, memory_mask=mask)
        assert_same(ours, solution(tokens, source, params, h=H, memory_mask=mask))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too"""
    x, memory, params = _inputs(4, 3, lead=(2,), seed=5)
    assert_same(student(x, memory, params, h=H), solution(x, memory, params, h=H))
    x, memory, params = _inputs(1, 1, lead=(1, 1), seed=6)
    assert_same(student(x, memory, params, h=1), solution(x, memory, params, h=1))


def check_has_the_right_gradient(student):
    """the gradients of tokens, memory and all eighteen parameters are right"""
    x, memory, params = _inputs(5, 7, seed=7)
    told = {"h": H, "memory_mask": random_mask(5, 7, empty_row=1, seed=9)}
    ours = gradients(student, x, memory, params, **told)
    theirs = gradients(solution, x, memory, params, **told)
    for name, a, b in zip(("x", "memory", *params), ours, theirs, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens and parameters give a float32 result, with an eps of 1e-5"""
    x, memory, params = _inputs(5, 7, seed=8)
    small = 1e-3 * x
    assert_same(student(small, memory, params, h=H), solution(small, memory, params, h=H))
    single = {name: value.float() for name, value in params.items()}
    out = student(x.float(), memory.float(), single, h=H)
    assert_that(out.dtype == torch.float32, "float32 tokens must give a float32 result.")
    exact = solution(x, memory, params, h=H)
    assert_that((out - exact).abs().max() < 1e-3, "float32 gives about the same as float64.")


def _inputs(n, m, *, lead=(), d=D, d_y=D_Y, seed):
    """Tokens with means of their own, a memory, and parameters."""
    sizes = dict.fromkeys(SELF + CROSS, (d, d))
    sizes |= {"cross_w_k": (d_y, d), "cross_w_v": (d_y, d)}
    sizes |= {f"{kind}_{i}": (d,) for i in (1, 2, 3) for kind in ("gain", "bias")}
    sizes |= {"w_1": (d, D_FF), "b_1": (D_FF,), "w_2": (D_FF, d), "b_2": (d,)}
    std = {name: 1.5 * size[0] ** -0.5 if len(size) == 2 else 0.5 for name, size in sizes.items()}
    params = {n: gaussian(*s, std=std[n], seed=20 + i) for i, (n, s) in enumerate(sizes.items())}
    x = gaussian(*lead, n, d, seed=seed) + gaussian(*lead, n, 1, seed=seed + 50)
    return x, gaussian(*lead, m, d_y, std=1.0, seed=seed + 60), params


def _layer(
    x, memory, params, h, memory_mask, *, causal=True, order=(1, 2, 3), read=None, names=CROSS
):
    """The layer with one thing changed: the norms in another order, or what the middle reads."""
    y = _norm(x, params, order[0])
    x = x + _attend(y, y, params, h, _past(x) if causal else None, SELF)
    y = _norm(x, params, order[1])
    source = memory if read is None else read
    x = x + _attend(y, source, params, h, memory_mask, names)
    return x + _feed(_norm(x, params, order[2]), params)


def _past(x, m=None):
    """The causal mask of the tokens, or one over m tokens of a source."""
    n = x.shape[-2]
    m = n if m is None else m
    return torch.ones(n, m, dtype=torch.bool).tril(m - n)


def _with_norm(layer_norm):
    """The layer whose norms are the learner's."""

    def decoder_layer(x, memory, params, *, h, memory_mask=None):
        def norm(x, i):
            return layer_norm(x, params[f"gain_{i}"], params[f"bias_{i}"])

        y = norm(x, 1)
        x = x + _attend(y, y, params, h, _past(x), SELF)
        x = x + _attend(norm(x, 2), memory, params, h, memory_mask, CROSS)
        return x + _feed(norm(x, 3), params)

    return decoder_layer


borrowed = (Borrow(layer_norm, _with_norm, ("wrong_mean_left", "wrong_unbiased_variance")),)


def wrong_not_causal(x, memory, params, *, h, memory_mask=None):
    """You let a token see what is written after it. The first attention is causal: give it your
    `causal_mask(n, n)`.
    """
    return _layer(x, memory, params, h, memory_mask, causal=False)


def wrong_causal_across(x, memory, params, *, h, memory_mask=None):
    """You gave the causal mask to the cross-attention as well. The source is known whole: word 0
    may see its last token, so there only `memory_mask` hides.
    """
    past = _past(x, memory.shape[-2])
    mask = past if memory_mask is None else memory_mask & past
    return _layer(x, memory, params, h, mask)


def wrong_causal_across_alone(x, memory, params, *, h, memory_mask=None):
    """You gave the causal mask to the wrong attention. It belongs to the first, over what is
    written; the source is known whole.
    """
    past = _past(x, memory.shape[-2])
    mask = past if memory_mask is None else memory_mask & past
    return _layer(x, memory, params, h, mask, causal=False)


def wrong_memory_mask_ignored(x, memory, params, *, h, memory_mask=None):
    """You did not use `memory_mask`. Hand it on to the cross-attention."""
    return _layer(x, memory, params, h, None)


def wrong_memory_mask_inverted(x, memory, params, *, h, memory_mask=None):
    """You hid what may be attended to, as `nn.TransformerDecoderLayer` reads a mask. Here True
    means may attend: leave out the `~`.
    """
    return _layer(x, memory, params, h, None if memory_mask is None else ~memory_mask)


def wrong_memory_mask_on_the_words(x, memory, params, *, h, memory_mask=None):
    """You gave `memory_mask` to the first attention. It is about tokens of the source: it
    belongs to the cross-attention, and the first has the causal mask.
    """
    y = _norm(x, params, 1)
    mask = _past(x) if memory_mask is None else memory_mask
    x = x + _attend(y, y, params, h, mask, SELF)
    x = x + _attend(_norm(x, params, 2), memory, params, h, None, CROSS)
    return x + _feed(_norm(x, params, 3), params)


def wrong_no_cross_attention(x, memory, params, *, h, memory_mask=None):
    """You left the cross-attention out, so that the source is never read. Its part stands in the
    middle, with norm 2.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    return x + _feed(_norm(x, params, 3), params)


def wrong_cross_first(x, memory, params, *, h, memory_mask=None):
    """You put the cross-attention first. The order is: the words written so far, the memory, the
    network.
    """
    x = x + _attend(_norm(x, params, 2), memory, params, h, memory_mask, CROSS)
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    return x + _feed(_norm(x, params, 3), params)


def wrong_values_of_the_words(x, memory, params, *, h, memory_mask=None):
    """You read keys and values of the cross-attention from x. They come from `memory`; only the
    queries come from x.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    y = _norm(x, params, 2)
    return _layer_end(x + _attend(y, y, params, h, memory_mask, CROSS), params)


def wrong_queries_of_the_memory(x, memory, params, *, h, memory_mask=None):
    """You let the memory ask and x answer. Queries come from x, keys and values from `memory`, so
    that there is a result for each word.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    return _layer_end(x + _attend(memory, _norm(x, params, 2), params, h, None, CROSS), params)


def wrong_self_weights_for_both(x, memory, params, *, h, memory_mask=None):
    """You used the projections of the first attention in the second, too. It has its own,
    `cross_w_q` to `cross_w_o`.
    """
    return _layer(x, memory, params, h, memory_mask, names=SELF)


def wrong_memory_normalised(x, memory, params, *, h, memory_mask=None):
    """You normalised the memory. Its encoder has done so, and the norm here is for x alone: give
    the cross-attention the memory as it is.
    """
    centred = memory - memory.mean(-1, keepdim=True)
    size = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return _layer(x, memory, params, h, memory_mask, read=centred / size)


def wrong_cross_attention_reads_the_stream(x, memory, params, *, h, memory_mask=None):
    """You took the queries of the cross-attention from the stream as it is. They come from a
    normalised copy, with norm 2.
    """
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    return _layer_end(x + _attend(x, memory, params, h, memory_mask, CROSS), params)


def wrong_no_residual(x, memory, params, *, h, memory_mask=None):
    """You replaced the stream by what each part returns. Add it each time: x + attention, x +
    attention, x + network.
    """
    y = _norm(x, params, 1)
    x = _attend(y, y, params, h, _past(x), SELF)
    x = _attend(_norm(x, params, 2), memory, params, h, memory_mask, CROSS)
    return _feed(_norm(x, params, 3), params)


def wrong_residual_of_the_norm(x, memory, params, *, h, memory_mask=None):
    """You added each note to the *normalised* token. Keep x as it is for the sum, and give the copy
    another name.
    """
    x = _norm(x, params, 1)
    x = x + _attend(x, x, params, h, _past(x), SELF)
    x = _norm(x, params, 2)
    x = x + _attend(x, memory, params, h, memory_mask, CROSS)
    x = _norm(x, params, 3)
    return x + _feed(x, params)


def wrong_norm_after_the_sum(x, memory, params, *, h, memory_mask=None):
    """You normalised after each sum, as the paper of 2017 does. Here the norm stands before the
    part, and nothing stands on the stream.
    """
    x = _norm(x + _attend(x, x, params, h, _past(x), SELF), params, 1)
    x = _norm(x + _attend(x, memory, params, h, memory_mask, CROSS), params, 2)
    return _norm(x + _feed(x, params), params, 3)


def wrong_norms_two_and_three_exchanged(x, memory, params, *, h, memory_mask=None):
    """You exchanged norms 2 and 3. They stand in the order of the parts: the words, the memory, the
    network.
    """
    return _layer(x, memory, params, h, memory_mask, order=(1, 3, 2))


def wrong_no_network(x, memory, params, *, h, memory_mask=None):
    """You left the network out. It is the third part, with norm 3."""
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), SELF)
    return x + _attend(_norm(x, params, 2), memory, params, h, memory_mask, CROSS)


def wrong_one_head(x, memory, params, *, h, memory_mask=None):
    """Your result is the same for any h: you attended once over the whole width. Hand `h` on to
    both attentions, which split the features into heads.
    """
    if memory_mask is not None and memory_mask.ndim > 2:
        memory_mask = memory_mask[..., :1, :, :]
    return solution(x, memory, params, h=1, memory_mask=memory_mask)


def wrong_float64_returned(x, memory, params, *, h, memory_mask=None):
    """You computed in float64 and returned float64. The result has the dtype of `x`: cast it back,
    `.to(x.dtype)`.
    """
    wide = {name: value.double() for name, value in params.items()}
    return solution(x.double(), memory.double(), wide, h=h, memory_mask=memory_mask)


def _layer_end(x, params):
    return x + _feed(_norm(x, params, 3), params)


def right_by_parts(x, memory, params, *, h, memory_mask=None):
    """the parts written out"""
    of_self, of_cross = ([f"{part}_w_{x}" for x in "qkvo"] for part in ("self", "cross"))
    y = _norm(x, params, 1)
    x = x + _attend(y, y, params, h, _past(x), of_self)
    x = x + _attend(_norm(x, params, 2), memory, params, h, memory_mask, of_cross)
    return x + _feed(_norm(x, params, 3), params)


def right_by_blocks(x, memory, params, *, h, memory_mask=None):
    """one function for all three parts: a norm, a part, a sum"""

    def block(x, i, part):
        return x + part(_norm(x, params, i))

    x = block(x, 1, lambda y: _attend(y, y, params, h, _past(x), SELF))
    x = block(x, 2, lambda y: _attend(y, memory, params, h, memory_mask, CROSS))
    return block(x, 3, lambda y: _feed(y, params))


shown = right_by_parts
