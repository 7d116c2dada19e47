"""Linear attention, retention, gated linear attention, the delta rule: one state, three forms.

Step by step, segment by segment, chunk by chunk and all at once they give the same; the state is
explicit, and no form looks ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid, normalize

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms.linear import delta_rule, gated_linear, linear_transformer, retention
from attncourse.testing import assert_same, gaussian, gradients
from rows.linear_transformer import tokens

D, E = 8, 6


@dataclass(frozen=True)
class Recurrent:
    """The three forms of a mechanism, and what its tokens carry besides q, k and v."""

    whole: Callable
    segment: Callable
    step: Callable
    more: Callable
    normalised: bool = False

    def inputs(self, *lead, n=19, std=1.0, seed=0):
        q, k, v = tokens(*lead, n=n, std=std, seed=seed)
        return (q, normalize(k, dim=-1), v, *self.more(*lead, n=n, seed=seed + 3))

    def zeros(self, *lead, dtype=torch.float64):
        s = torch.zeros(*lead, D, E, dtype=dtype)
        return (s, torch.zeros(*lead, D, dtype=dtype)) if self.normalised else s


def nothing(*lead, n, seed):
    return ()


def decays(*lead, n, seed):
    return (torch.sigmoid(gaussian(*lead, seed=seed)),)


def gates(*lead, n, seed):
    return (logsigmoid(gaussian(*lead, n, D, seed=seed)),)


def rates(*lead, n, seed):
    return (torch.sigmoid(gaussian(*lead, n, seed=seed)),)


RECURRENT = {
    "linear_attention": Recurrent(
        linear_transformer.causal_linear_attention,
        linear_transformer.linear_attention_segment,
        linear_transformer.linear_attention_step,
        nothing,
        normalised=True,
    ),
    "retention": Recurrent(
        retention.retention, retention.retention_segment, retention.retention_step, decays
    ),
    "gated_linear_attention": Recurrent(
        gated_linear.gated_linear_attention,
        gated_linear.gated_linear_attention_segment,
        gated_linear.gated_linear_attention_step,
        gates,
    ),
    "delta_rule": Recurrent(
        delta_rule.delta_rule, delta_rule.delta_rule_segment, delta_rule.delta_rule_step, rates
    ),
}
every_mechanism = pytest.mark.parametrize("m", RECURRENT.values(), ids=RECURRENT)
every_lead = pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)], ids=str)


def part(arguments, rows):
    """Some tokens of every sequence; a decay, which is no sequence, as it is."""
    lead = arguments[0].ndim - 2
    return [x if x.ndim == lead else x[(slice(None),) * lead + (rows,)] for x in arguments]


def step_by_step(m, *arguments):
    lead, n = arguments[0].shape[:-2], arguments[0].shape[-2]
    state, outputs = m.zeros(*lead), []
    for t in range(n):
        out, state = m.step(state, *part(arguments, t))
        outputs.append(out)
    return torch.stack(outputs, dim=-2), state


@every_lead
@every_mechanism
def test_steps_give_what_the_whole_gives_and_so_do_segments(m, lead):
    arguments = m.inputs(*lead)
    stepped, last = step_by_step(m, *arguments)
    assert_same(stepped, m.whole(*arguments, chunk=5))
    state, outputs = m.zeros(*lead), []
    for rows in (slice(0, 7), slice(7, 8), slice(8, 19)):
        out, state = m.segment(state, *part(arguments, rows), chunk=5)
        outputs.append(out)
    assert_same(torch.cat(outputs, dim=-2), stepped)
    assert_same(state, last)


@every_mechanism
def test_no_chunk_changes_value_or_gradient(m):
    """300 tokens are more than one group of chunks, and 64 does not divide them."""
    arguments = m.inputs(n=300)

    def stepped(*arguments):
        return step_by_step(m, *arguments)[0]

    value, slopes = stepped(*arguments), gradients(stepped, *arguments)
    for chunk in (1, 7, 64, 256, 299, 1000):
        assert_same(m.whole(*arguments, chunk=chunk), value)
        assert_same(gradients(m.whole, *arguments, chunk=chunk), slopes)


@every_mechanism
@given(n=st.integers(1, 20), chunk=st.integers(1, 21), cut=st.integers(0, 20))
@settings(derandomize=True, max_examples=20, deadline=None)
def test_any_length_chunk_and_cut_agree(m, n, chunk, cut):
    arguments = m.inputs(n=n, seed=n)
    whole, last = m.segment(m.zeros(), *arguments, chunk=chunk)
    assert_same(whole, step_by_step(m, *arguments)[0])
    if 0 < cut < n:
        _, state = m.segment(m.zeros(), *part(arguments, slice(0, cut)), chunk=chunk)
        later, state = m.segment(state, *part(arguments, slice(cut, n)), chunk=chunk)
        assert_same((later, state), (whole[cut:], last))


@every_mechanism
def test_the_state_has_a_gradient_in_both_directions(m):
    arguments = [x.requires_grad_() for x in m.inputs(n=3)]
    zeros = m.zeros()
    states = [s.requires_grad_() for s in (zeros if m.normalised else (zeros,))]

    def run(*tensors):
        start = tensors[: len(states)]
        out, state = m.segment(
            start if m.normalised else start[0], *tensors[len(states) :], chunk=2
        )
        return (out, *state) if m.normalised else (out, state)

    if m.normalised:  # where every weight is zero the mean has a step: begin away from it
        states = [(s.detach() + 0.5).requires_grad_() for s in states]
    assert torch.autograd.gradcheck(run, (*states, *arguments))


@every_mechanism
def test_the_future_leaves_the_past_bit_equal(m):
    arguments = m.inputs(2, n=300)
    before = m.whole(*arguments, chunk=64)
    for t in (0, 1, 63, 64, 130, 298):
        changed = [x.clone() for x in arguments]
        for x in changed:
            if x.ndim > 1:
                x[:, t + 1 :] = -x[:, t + 1 :].flip(1)
        if len(changed) == 4 and changed[3].ndim > 1:
            changed[3] = changed[3].abs() * arguments[3].sign()  # a gate stays a gate
        after = m.whole(*changed, chunk=64)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        assert not torch.equal(after[:, t + 1 :], before[:, t + 1 :])


@every_mechanism
def test_the_given_state_is_not_modified(m):
    arguments, state = m.inputs(2), m.zeros(2)
    tensors = state if m.normalised else (state,)
    m.step(state, *part(arguments, 0))
    m.segment(state, *arguments, chunk=4)
    assert all(s._version == 0 and not s.any() for s in tensors)


@every_mechanism
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_the_state_in_float32(m, dtype):
    """Segments then round only their outputs, so that they still give what the whole gives."""
    arguments = [x.to(dtype) for x in m.inputs(2)]
    whole = m.whole(*arguments, chunk=4)
    a, state = m.segment(m.zeros(2, dtype=dtype), *part(arguments, slice(0, 8)), chunk=4)
    b, last = m.segment(state, *part(arguments, slice(8, 19)), chunk=4)
    assert {s.dtype for s in (last if m.normalised else (last,))} == {torch.float32}
    assert torch.equal(torch.cat([a, b], dim=-2), whole)
    out, state = m.step(last, *part(arguments, 0))
    assert out.dtype == dtype
    assert {s.dtype for s in (state if m.normalised else (state,))} == {torch.float32}


@every_mechanism
@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_state_is_held_in_the_dtype_of_sums_whatever_dtype_it_comes_in(m, dtype, given):
    arguments, wide = [x.to(dtype) for x in m.inputs(2)], torch.promote_types(dtype, torch.float32)
    for form, inputs in ((m.step, part(arguments, 0)), (partial(m.segment, chunk=4), arguments)):
        out, state = form(m.zeros(2, dtype=given), *inputs)
        assert out.dtype == dtype
        assert {s.dtype for s in (state if m.normalised else (state,))} == {wide}
        assert_same((out, state), form(m.zeros(2, dtype=wide), *inputs))


@every_mechanism
def test_a_state_that_does_not_fit_is_told_in_one_sentence(m):
    """Of the functions themselves, behind the check of annotations that only test runs have."""
    arguments = m.inputs(2)
    name = "S" if m.normalised else "state"

    def both(state):
        given = (state, torch.zeros(2, D).double()) if m.normalised else state
        yield lambda: unwrap(m.segment)(given, *arguments, chunk=4)
        yield lambda: unwrap(m.step)(given, *part(arguments, 0))

    for call in both(torch.zeros(2, E, D)):
        with pytest.raises(
            ValueError, match=rf"^{name} must have shape \(2, 8, 6\): got \(2, 6, 8\)$"
        ):
            call()
    for call in both(torch.zeros(2, D, E).long()):
        with pytest.raises(TypeError, match=rf"^{name} must be floating point: got torch.int64$"):
            call()
    for call in both(torch.zeros(2, D, E, device="meta")):
        with pytest.raises(ValueError, match=rf"^{name} must be on cpu: got meta$"):
            call()
    for call in both([0.0]):
        with pytest.raises(TypeError, match=rf"^{name} must be a torch.Tensor: got list$"):
            call()


def test_the_normalised_state_has_two_parts():
    m = RECURRENT["linear_attention"]
    arguments = m.inputs(2)
    with pytest.raises(TypeError, match=r"^state must be a tuple \(S, z\): got Tensor$"):
        unwrap(m.segment)(torch.zeros(2, D, E).double(), *arguments, chunk=4)
    with pytest.raises(ValueError, match=r"^z must have shape \(2, 8\): got \(2, 6\)$"):
        unwrap(m.step)((torch.zeros(2, D, E), torch.zeros(2, E)), *part(arguments, 0))


@every_mechanism
@pytest.mark.parametrize("chunk", [0, -3])
def test_a_chunk_must_be_positive(m, chunk):
    with pytest.raises(ValueError, match=f"^chunk must be at least 1: got chunk={chunk}$"):
        m.whole(*m.inputs(), chunk=chunk)
    with pytest.raises(ValueError, match=f"^chunk must be at least 1: got chunk={chunk}$"):
        m.segment(m.zeros(), *m.inputs(), chunk=chunk)


@every_mechanism
def test_work_and_memory_grow_with_the_length(m):
    def forward(*arguments):
        return m.whole(*arguments, chunk=16)

    def backward(*arguments):
        return gradients(forward, *arguments)

    def inputs(n):
        return m.inputs(n=n)

    for n in (256, 512):
        assert scaling_exponent(flops, forward, inputs, n) == 1
    for form in (forward, backward):
        assert scaling_exponent(largest_tensor, form, inputs, 512) <= 1
        assert largest_tensor(form, *inputs(1024)) <= 1024 * 16


@every_mechanism
def test_a_step_costs_the_same_whatever_came_before(m):
    arguments, state = part(m.inputs(), 0), m.zeros()
    first = flops(m.step, state, *arguments), largest_tensor(m.step, state, *arguments)
    _, state = m.segment(state, *m.inputs(n=64), chunk=16)
    assert (flops(m.step, state, *arguments), largest_tensor(m.step, state, *arguments)) == first
