"""One step of decoding equals a row of causal attention, and leaves the given cache as it was."""

import pytest
import torch

from attncourse.measure.cost import flops
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving.decoding import (
    decode_step,
    grouped_decode_step,
)
from attncourse.testing import assert_same, gradients
from rows.decoding import causal, sequence, token

every_step = pytest.mark.parametrize("step", forms_of(decode_step))
all_steps = pytest.mark.parametrize("step", [*forms_of(decode_step), grouped_decode_step])


def empty(k, v):
    return k[..., :0, :], v[..., :0, :]


def decode(step, q, k, v):
    """The outputs of all tokens, one after the other, and the last cache."""
    cache, outputs = empty(k, v), []
    for t in range(q.shape[-2]):
        out, cache = step(cache, *token(t, q, k, v))
        outputs.append(out)
    return torch.cat(outputs, dim=-2), cache


@every_step
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("lead", [(), (2,)], ids=str)
def test_steps_equal_the_rows_of_pytorchs_causal_attention(step, lead, std):
    q, k, v = sequence(*lead, h=2, g=2, std=std)
    out, (keys, values) = decode(step, q, k, v)
    assert_same(out, causal(q, k, v))
    assert torch.equal(keys, k)
    assert torch.equal(values, v)


@every_step
def test_steps_have_the_gradient_of_the_whole(step):
    arguments = sequence(h=2, g=2, n=5)
    ours = gradients(lambda *x: decode(step, *x)[0], *arguments)
    assert_same(ours, gradients(causal, *arguments))


@pytest.mark.parametrize("g", [1, 2, 4])
def test_grouped_steps_equal_the_rows_of_pytorchs_grouped_attention(g):
    q, k, v = sequence(2, g=g)
    out, (keys, values) = decode(grouped_decode_step, q, k, v)
    assert_same(out, causal(q, k, v))
    assert torch.equal(keys, k)
    assert torch.equal(values, v)


@all_steps
def test_the_given_cache_stays_as_it_was_and_two_futures_may_follow_it(step):
    q, k, v = sequence(h=2, g=2)
    cache = k[..., :7, :].clone(), v[..., :7, :].clone()
    before = [x.clone() for x in cache]
    one, (keys, _) = step(cache, *token(7, q, k, v))
    two, _ = step(cache, *token(8, q, k, v))
    again, (same, _) = step(cache, *token(7, q, k, v))
    assert all(torch.equal(a, b) for a, b in zip(cache, before, strict=True))
    assert torch.equal(one, again)
    assert torch.equal(keys, same)
    assert not torch.equal(one, two)


def test_a_step_costs_one_row_of_the_whole():
    q, k, v = sequence(h=2, g=2, n=64)
    cache, new = (k[..., :63, :], v[..., :63, :]), token(63, q, k, v)
    assert flops(lambda *x: decode_step(cache, *x)[0], *new) == 2 * 2 * 64 * (8 + 6)
    assert flops(causal_by_product, q, k, v) == 64 * 2 * 2 * 64 * (8 + 6)


def causal_by_product(q, k, v):
    return (q @ k.mT).softmax(-1) @ v


@all_steps
def test_a_step_takes_one_token(step):
    q, k, v = sequence(h=2, g=2)
    with pytest.raises(ValueError, match="^q, k and v must hold one new token, n = 1: got n=2$"):
        step(empty(k, v), *(x[..., :2, :] for x in (q, k, v)))


@all_steps
def test_a_cache_that_does_not_fit_is_told(step):
    q, k, v = sequence(h=2, g=2)
    new = token(0, q, k, v)
    rule = "^{} must fit the cache in all axes but that of tokens, the second-to-last: got "
    with pytest.raises(
        ValueError, match=rule.format("k") + r"\(2, 1, 8\) for k and tokens of \(2, 5\) in"
    ):
        step((k[..., :5], v), *new)
    with pytest.raises(ValueError, match=rule.format("v")):
        step((k, v[:1]), *new)
    with pytest.raises(ValueError, match=rule.format("k")):
        step((k[0], v), *new)
    message = "^cache must hold as many values as keys: got 11 keys and 9 values$"
    with pytest.raises(ValueError, match=message):
        step((k, v[:, :9]), *new)
    with pytest.raises(
        TypeError, match="^k must share dtype and device with the cache: got torch.f"
    ):
        step((k.float(), v.float()), *new)
    for wrong in (None, 3, k, (k,), (k, v, v), (k, 3)):
        with pytest.raises(TypeError):
            step(wrong, *new)
