"""Attention by rules equals attention under the mask or bias that they stand for.

On the CPU and uncompiled: FlexAttention has no backward pass there, and warns that it is slow.
"""

import pytest
import torch
from torch.nn.attention.flex_attention import and_masks

from attncourse.core import flex
from attncourse.core.masks import causal_mask, padding_mask
from attncourse.core.patterns import random_blocks, sliding_window_mask
from attncourse.core.positions import alibi_bias
from attncourse.core.relative import relative_bias
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns.bigbird import bigbird_attention
from attncourse.mechanisms.patterns.flexible import flexible_attention
from attncourse.mechanisms.patterns.longformer import longformer_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention
from attncourse.mechanisms.patterns.strided import dilated_attention, strided_attention
from attncourse.testing import assert_same, attention_inputs, gaussian

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without")
every_form = pytest.mark.parametrize("form", forms_of(flexible_attention))

N = 301
TABLE = random_blocks(10, 2, generator=torch.Generator().manual_seed(0))


def one_length(*lead, n=N):
    return tuple(gaussian(*lead, n, width, seed=s) for s, width in enumerate((8, 8, 6)))


# a rule, and the mechanism that it makes
RULES = {
    "window": (
        flex.sliding_window_mod(N, 20),
        lambda *x: sliding_window_attention(*x, window=20),
    ),
    "dilated": (flex.dilated_mod(N, 7), lambda *x: dilated_attention(*x, stride=7)),
    "strided": (flex.strided_mod(N, 17), lambda *x: strided_attention(*x, stride=17)),
    "longformer": (
        flex.longformer_mod(N, 20, (0, 150)),
        lambda *x: longformer_attention(*x, window=20, global_tokens=(0, 150)),
    ),
    "bigbird": (
        flex.bigbird_mod(N, 31, TABLE),
        lambda *x: bigbird_attention(*x, block=31, random=TABLE),
    ),
    "causal window": (
        and_masks(flex.sliding_window_mod(N, 20), flex.causal_mod(N, N)),
        lambda *x: attention(*x, mask=sliding_window_mask(N, 20, causal=True)),
    ),
}


@every_form
@pytest.mark.parametrize(("rule", "mechanism"), RULES.values(), ids=RULES)
def test_the_rule_makes_the_mechanism(form, rule, mechanism):
    x = one_length(2, 3)
    assert_same(form(*x, mask_mod=rule), mechanism(*x))


@every_form
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 1, 2, 3), (0, 3), (3, 0)], ids=str)
def test_without_rules_it_is_attention(form, lead):
    x = attention_inputs(*lead)
    assert_same(form(*x), attention(*x))


@every_form
def test_a_query_that_sees_nothing_gets_zeros(form):
    q, k, v = one_length(2, n=37)
    k, v = k[:, :5], v[:, :5]
    out = form(q, k, v, mask_mod=flex.causal_mod(37, 5))
    assert_same(out, attention(q, k, v, mask=causal_mask(37, 5)))
    assert (out[:, :32] == 0).all()


@every_form
def test_each_sequence_has_its_own_padding(form):
    x, lengths = attention_inputs(3, 2), torch.tensor([0, 20, 37])
    out = form(*x, mask_mod=flex.padding_mod(lengths, 37))
    assert_same(out, attention(*x, mask=padding_mask(lengths, 37)[:, None]))
    assert (out[0] == 0).all()


def biased(q, k, v, bias):
    """PyTorch's attention with a bias (h, n, m) on its scores."""
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))


@every_form
def test_alibi_is_a_rule_of_scores(form):
    x = tuple(y.float() for y in attention_inputs(2, 3, std=1.0))
    assert_same(form(*x, score_mod=flex.alibi_mod(3, 5, 37)), biased(*x, alibi_bias(3, 5, 37)))


@every_form
def test_a_relative_bias_under_a_causal_mask(form):
    x, table = attention_inputs(2, 3), gaussian(32, 3, seed=9)
    bias = relative_bias(table, 5, 37, causal=True)
    bias = bias.masked_fill(~causal_mask(5, 37), -torch.inf)
    rules = {
        "mask_mod": flex.causal_mod(5, 37),
        "score_mod": flex.relative_mod(table, 5, 37, causal=True),
    }
    assert_same(form(*x, **rules), biased(*x, bias))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_errs_at_most_twice_as_much_as_pytorch(dtype):
    x = tuple(y.to(dtype) for y in one_length(2, 3))
    wide = tuple(y.double() for y in x)
    exact = sliding_window_attention(*wide, window=20)
    found = flexible_attention(*x, mask_mod=flex.sliding_window_mod(N, 20))
    mask = sliding_window_mask(N, 20)
    theirs = torch.softmax((x[0] @ x[1].mT / 8**0.5).masked_fill(~mask, -torch.inf), dim=-1) @ x[2]
    assert found.dtype == dtype
    assert (found - exact).abs().max() <= 2 * (theirs - exact).abs().max()


def test_no_argument_is_modified_and_layout_does_not_matter():
    x = one_length(2, 3)
    strided = [torch.stack([y, y], dim=-1)[..., 0] for y in x]
    copies = [y.clone() for y in strided]
    rule = flex.sliding_window_mod(N, 20)
    assert_same(flexible_attention(*strided, mask_mod=rule), flexible_attention(*x, mask_mod=rule))
    assert all(torch.equal(y, copy) for y, copy in zip(strided, copies, strict=True))


def test_gradients_on_the_cpu_are_refused():
    q, k, v = one_length(2)
    with pytest.raises(NotImplementedError, match="backward on CPU"):
        flexible_attention(q.requires_grad_(), k, v)


def test_torch_func_maps_and_differentiates_it():
    q, k, v = one_length(2, n=5)
    rule = {"mask_mod": flex.sliding_window_mod(5, 2)}

    def narrow(*x):
        return flexible_attention(*x, **rule)

    assert_same(torch.func.vmap(narrow)(q, k, v), narrow(q, k, v))
    found = torch.func.grad(lambda x: narrow(x, k, v).sum())(q)
    wanted = torch.func.grad(lambda x: sliding_window_attention(x, k, v, window=2).sum())(q)
    assert_same(found, wanted)
