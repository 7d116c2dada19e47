"""What holds for every mechanism: its forms agree, PyTorch agrees, and its arguments are safe.

One table names each function, its definition, the same formula in PyTorch's operators, and
ragged inputs; the tests below run over the table.
"""

import inspect
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

import attncourse.mechanisms
from attncourse.measure.weights import entropy
from attncourse.mechanisms import (
    additive,
    backward,
    bilinear,
    blockwise,
    cosine,
    heads,
    layers,
    lookup,
    self_attention,
    softmax,
)
from attncourse.testing import (
    assert_same,
    attention_inputs,
    gaussian,
    gradients,
    random_mask,
)

N, M, D, E, D_K, R = 5, 37, 8, 6, 7, 3
LEADS = [(), (3,), (2, 3)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@dataclass(frozen=True)
class Mechanism:
    """A function, the definition it must equal, PyTorch's form, and inputs of any leading axes."""

    fast: Callable[..., Any]
    definition: Callable[..., Any]
    plain: Callable[..., Any]
    inputs: Callable[..., tuple[torch.Tensor, ...]]


def plain_attention(q, k, v):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def plain_masked_softmax(scores, mask):
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def plain_additive(q, k, w_q, w_k, u):
    return torch.tanh((q @ w_q).unsqueeze(-2) + (k @ w_k).unsqueeze(-3)) @ u


def plain_bilinear(q, k, w):
    return torch.einsum("...na,ab,...mb->...nm", q, w, k)


def plain_cosine(q, k):
    return cosine_similarity(q.unsqueeze(-2), k.unsqueeze(-3), dim=-1)


def plain_lookup(query, keys, values):
    weights = torch.softmax(torch.einsum("...md,...d->...m", keys, query), dim=-1)
    return torch.einsum("...m,...me->...e", weights, values)


def plain_weighted_mean(weights, values):
    return (weights.unsqueeze(-1) * values).sum(dim=-2) / weights.sum(dim=-1, keepdim=True)


def plain_entropy(weights):
    return -(weights * weights.log()).sum(dim=-1)


def scores(*lead, std=2.0, seed=0):
    return (gaussian(*lead, N, M, std=std, seed=seed),)


def masked_scores(*lead, std=2.0, seed=0):
    return (*scores(*lead, std=std, seed=seed), random_mask(N, M, empty_row=2, seed=seed))


def pairs(*lead, std=2.0, seed=0):
    return attention_inputs(*lead, std=std, seed=seed)[:2]


def ragged_pairs(*lead, std=2.0, seed=0):
    q = gaussian(*lead, N, D, std=std, seed=seed)
    return q, gaussian(*lead, M, D_K, std=std, seed=seed + 1)


def additive_inputs(*lead, std=2.0, seed=0):
    w_q, w_k = gaussian(D, R, std=0.3, seed=seed + 2), gaussian(D_K, R, std=0.3, seed=seed + 3)
    return (*ragged_pairs(*lead, std=std, seed=seed), w_q, w_k, gaussian(R, seed=seed + 4))


def bilinear_inputs(*lead, std=2.0, seed=0):
    return (*ragged_pairs(*lead, std=std, seed=seed), gaussian(D, D_K, seed=seed + 2))


def table(*lead, std=2.0, seed=0):
    q, k, v = attention_inputs(*lead, std=std, seed=seed)
    return q[..., 0, :], k, v


def weights_and_values(*lead, std=2.0, seed=0):
    return gaussian(*lead, M, std=std, seed=seed).abs(), gaussian(*lead, M, E, seed=seed + 1)


def weights_alone(*lead, std=2.0, seed=0):
    return (torch.softmax(gaussian(*lead, M, std=min(std, 2.0), seed=seed), dim=-1),)


def projected(*lead, std=2.0, seed=0):
    """x, memory and the weights of one head."""
    x, memory = gaussian(*lead, N, 9, std=std, seed=seed), gaussian(*lead, M, 4, seed=seed + 1)
    shapes = (9, D), (4, D), (4, E)
    weights = (gaussian(*shape, std=0.5, seed=seed + 2 + i) for i, shape in enumerate(shapes))
    return x, memory, *weights


def plain_cross(x, memory, w_q, w_k, w_v):
    return plain_attention(x @ w_q, memory @ w_k, memory @ w_v)


def of_heads(*lead, std=2.0, seed=0):
    """x, memory and the weights of two heads of width 8, values of width 6."""
    x, memory = gaussian(*lead, N, 9, std=std, seed=seed), gaussian(*lead, M, 4, seed=seed + 1)
    shapes = (9, 2 * D), (4, 2 * D), (4, 2 * E), (2 * E, 7)
    weights = (gaussian(*shape, std=0.5, seed=seed + 2 + i) for i, shape in enumerate(shapes))
    return x, memory, *weights


def plain_heads(x, memory, w_q, w_k, w_v, w_o):
    q, k, v = (
        y.unflatten(-1, (2, -1)).transpose(-3, -2) for y in (x @ w_q, memory @ w_k, memory @ w_v)
    )
    return plain_attention(q, k, v).transpose(-3, -2).flatten(-2) @ w_o


MECHANISMS = {
    "attention": Mechanism(softmax.attention, softmax.FORMS[0], plain_attention, attention_inputs),
    "softmax": Mechanism(
        softmax.softmax, lambda x: torch.softmax(x, dim=-1), lambda x: torch.softmax(x, -1), scores
    ),
    "masked_softmax": Mechanism(
        softmax.masked_softmax, plain_masked_softmax, plain_masked_softmax, masked_scores
    ),
    "additive_scores": Mechanism(
        additive.additive_scores, additive.FORMS[0], plain_additive, additive_inputs
    ),
    "bilinear_scores": Mechanism(
        bilinear.bilinear_scores, bilinear.FORMS[0], plain_bilinear, bilinear_inputs
    ),
    "cosine_scores": Mechanism(cosine.cosine_scores, cosine.FORMS[0], plain_cosine, pairs),
    "soft_lookup": Mechanism(lookup.soft_lookup, lookup.FORMS[0], plain_lookup, table),
    "weighted_mean": Mechanism(
        lookup.weighted_mean, plain_weighted_mean, plain_weighted_mean, weights_and_values
    ),
    "cross_attention": Mechanism(
        self_attention.cross_attention, self_attention.FORMS[0], plain_cross, projected
    ),
    "blockwise_attention": Mechanism(
        partial(blockwise.blockwise_attention, block=4),
        partial(blockwise.blockwise_attention_by_definition, block=4),
        plain_attention,
        attention_inputs,
    ),
    "multi_head_attention": Mechanism(
        partial(heads.multi_head_attention, h=2),
        partial(heads.multi_head_attention_by_definition, h=2),
        plain_heads,
        of_heads,
    ),
    "entropy": Mechanism(entropy, plain_entropy, plain_entropy, weights_alone),
}

every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
every_lead = pytest.mark.parametrize("lead", LEADS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def assert_agree(ours, theirs, arguments):
    """The two functions have one value and one gradient for every argument."""
    assert_same(ours(*arguments), theirs(*arguments))
    found = zip(gradients(ours, *arguments), gradients(theirs, *arguments), strict=True)
    for number, (a, b) in enumerate(found):
        assert_same(a, b, f"the gradient of floating-point argument {number}")


def cast(arguments, dtype):
    """The arguments with every floating-point tensor in `dtype`."""
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in arguments)


@every_lead
@every_mechanism
def test_the_fast_form_equals_the_definition_in_value_and_gradient(mechanism, lead):
    assert_agree(mechanism.fast, mechanism.definition, mechanism.inputs(*lead, seed=5))


@every_lead
@every_mechanism
def test_the_fast_form_equals_pytorch_in_value_and_gradient(mechanism, lead):
    assert_agree(mechanism.fast, mechanism.plain, mechanism.inputs(*lead, seed=15))


@every_mechanism
def test_entries_in_the_hundreds_change_nothing_about_that(mechanism):
    arguments = mechanism.inputs(std=100.0, seed=25)
    assert_agree(mechanism.fast, mechanism.definition, arguments)
    assert_agree(mechanism.fast, mechanism.plain, arguments)


@every_mechanism
def test_the_result_is_finite_and_not_the_same_everywhere(mechanism):
    """The inputs must be able to tell a right function from a constant one."""
    out = mechanism.fast(*mechanism.inputs(3, seed=35))
    assert out.isfinite().all()
    assert out.std() > 1e-3


@every_mechanism
def test_float32_equals_pytorch_in_float32(mechanism):
    arguments = cast(mechanism.inputs(3, std=1.0, seed=45), torch.float32)
    assert_same(mechanism.fast(*arguments), mechanism.plain(*arguments))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_mechanism
def test_half_precision_errs_at_most_twice_as_much_as_pytorch(mechanism, dtype):
    arguments = cast(mechanism.inputs(2, 3, std=1.0, seed=55), dtype)
    exact = mechanism.plain(*cast(arguments, torch.float64))

    def error(function):
        return float((function(*arguments).to(torch.float64) - exact).abs().max())

    assert error(mechanism.fast) <= 2 * error(mechanism.plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [name for name in MECHANISMS if name != "entropy"])
def test_half_precision_is_float32_rounded_once_at_the_end(name, dtype):
    fast, arguments = MECHANISMS[name].fast, cast(MECHANISMS[name].inputs(3, seed=58), dtype)
    assert torch.equal(fast(*arguments), fast(*cast(arguments, torch.float32)).to(dtype))


@every_dtype
@every_mechanism
def test_dtype_and_device_are_kept_and_so_are_those_of_the_gradient(mechanism, dtype):
    arguments = cast(mechanism.inputs(3), dtype)
    out = mechanism.fast(*arguments)
    assert (out.dtype, out.device.type) == (dtype, "cpu")
    assert {g.dtype for g in gradients(mechanism.fast, *arguments)} == {dtype}


@every_dtype
@every_mechanism
def test_the_meta_device_gives_the_same_shape_and_dtype(mechanism, dtype):
    arguments = cast(mechanism.inputs(2, 3), dtype)
    out, abstract = mechanism.fast(*arguments), mechanism.fast(*[x.to("meta") for x in arguments])
    assert abstract.is_meta
    assert (abstract.shape, abstract.dtype) == (out.shape, out.dtype)


@pytest.mark.parametrize("form", ["fast", "definition"])
@every_mechanism
def test_no_argument_is_modified(mechanism, form):
    arguments = mechanism.inputs(3)
    before = [(x.clone(), x._version) for x in arguments]
    getattr(mechanism, form)(*arguments)
    for x, (copy, version) in zip(arguments, before, strict=True):
        assert torch.equal(x, copy)
        assert x._version == version


@every_mechanism
def test_a_batch_equals_its_rows(mechanism):
    arguments = mechanism.inputs(2, 3, seed=65)
    whole = mechanism.fast(*arguments)
    for i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        row = [x[i, j] if x.shape[:2] == (2, 3) else x for x in arguments]
        assert_same(whole[i, j], mechanism.fast(*row))


@every_mechanism
def test_an_empty_batch_gives_an_empty_result(mechanism):
    arguments = mechanism.inputs(0)
    assert mechanism.fast(*arguments).shape == mechanism.definition(*arguments).shape
    assert mechanism.fast(*arguments).shape[0] == 0


@every_mechanism
def test_memory_layout_does_not_matter(mechanism):
    arguments = mechanism.inputs(3, seed=75)
    strided = [torch.stack([x, x], dim=-1)[..., 0] for x in arguments]
    assert not any(x.is_contiguous() for x in strided)
    assert_same(mechanism.fast(*strided), mechanism.fast(*arguments))


@every_mechanism
def test_a_second_call_is_bit_equal(mechanism):
    arguments = mechanism.inputs(3)
    assert torch.equal(mechanism.fast(*arguments), mechanism.fast(*arguments))


@every_mechanism
def test_names_work_as_well_as_positions(mechanism):
    arguments = mechanism.inputs(3)
    parameters = list(inspect.signature(mechanism.fast).parameters)[: len(arguments)]
    named = dict(zip(parameters, arguments, strict=True))
    assert torch.equal(mechanism.fast(**named), mechanism.fast(*arguments))


MODULES = [
    import_module(f"attncourse.mechanisms.{module.name}")
    for module in pkgutil.iter_modules(attncourse.mechanisms.__path__)
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_form_of_the_library_stands_in_the_table(module):
    tested = {getattr(f, "func", f) for m in MECHANISMS.values() for f in (m.fast, m.definition)}
    elsewhere = {*backward.FORMS, *layers.FORMS}  # in files of their own
    assert set(module.FORMS) - elsewhere <= tested


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_forms_open_with_the_definition_and_end_with_the_public_function(module):
    first, *_, last = module.FORMS
    assert first.__name__ == f"{last.__name__}_by_definition"
