"""What holds for every mechanism: its forms agree, PyTorch agrees, and its arguments are safe.

The table in tests/rows names each function, its definition, a form that nobody here wrote, and
ragged inputs; the tests below run over it.
"""

import inspect
import pkgutil
from functools import partial
from importlib import import_module

import pytest
import torch

import attncourse.mechanisms
from attncourse.mechanisms import definition_of, forms_of
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.exact import blockwise
from attncourse.mechanisms.linear import linear_transformer
from attncourse.testing import assert_same, gradients
from rows import ELSEWHERE, MECHANISMS, bare, options_by_function

LEADS = [(), (3,), (2, 3)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]

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
@pytest.mark.parametrize("name", [n for n, row in MECHANISMS.items() if row.rounded_once])
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
    import_module(module.name)
    for module in pkgutil.walk_packages(attncourse.mechanisms.__path__, "attncourse.mechanisms.")
    if not module.name.rpartition(".")[2].startswith("_")  # a family's private machinery
]


TESTED = {bare(form) for row in MECHANISMS.values() for form in row.forms()}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_stands_in_the_table(module):
    own = {
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
    assert own - TESTED - set(options_by_function()) <= ELSEWHERE


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_list_of_forms_opens_with_the_definition_of_another_form(module):
    first, *others = getattr(module, "FORMS", [None])
    assert first in map(definition_of, others) or not others


def test_the_definition_of_a_function_stands_beside_it_and_a_partial_takes_its_arguments_along():
    assert definition_of(softmax.attention) is softmax.attention_by_definition
    assert definition_of(softmax.softmax) is None
    assert definition_of(partial(softmax.softmax, x=1)) is None
    in_tiles = definition_of(partial(blockwise.blockwise_attention, block=4))
    assert in_tiles.func is blockwise.blockwise_attention_by_definition
    assert in_tiles.keywords == {"block": 4}


def test_the_forms_of_a_function_are_those_of_its_list_or_it_and_its_definition():
    assert forms_of(softmax.attention) == (softmax.attention_by_definition, softmax.attention)
    assert forms_of(softmax.softmax) == (softmax.softmax,)
    assert forms_of(blockwise.blockwise_attention) == blockwise.FORMS
    assert forms_of(linear_transformer.linear_attention) == (
        linear_transformer.linear_attention_by_definition,
        linear_transformer.linear_attention,
    )
