"""Every public function answers bad input with one sentence, of ValueError or of TypeError.

The annotations of a function say what it takes, and every way to spoil an argument follows from
them; that the annotations are right, the tests of each mechanism show. The messages themselves
are tested word for word in test_shapes.py.
"""

import inspect
import math
import pkgutil
import types
import typing
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attncourse.core
import attncourse.measure
import attncourse.mechanisms
from attncourse.core.masks import causal_mask, padding_mask
from attncourse.core.rules import PAST
from attncourse.mechanisms.dense import lookup, whiteboard
from attncourse.testing import assert_same, gaussian, random_mask
from rows import ELSEWHERE, options_by_function

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without")

# A size for each letter; h divides d_x, d_q, d_k and d_v, g divides h, and d is even.
SIZES = {"n": 5, "m": 7, "d": 6, "e": 2, "h": 4, "g": 2, "r": 3, "c": 9, "b": 11, "p": 13, "t": 15}
SIZES |= {
    "d_q": 8,
    "d_k": 16,
    "d_v": 20,
    "d_x": 12,
    "d_y": 17,
    "d_o": 14,
    "d_ff": 10,
    "s": 18,
    "layers": 19,
    "1": 1,
}


@dataclass(frozen=True)
class Takes:
    """What a function takes, by its annotations: a kind and letters ("* n d") of each tensor."""

    letters: dict[str, str]
    kinds: dict[str, str]
    result: str | None
    options: dict[str, object]

    def sizes(self, of):
        """The sizes of the letters that stand in an argument."""
        return {
            letter: of[letter]
            for axes in self.letters.values()
            for letter in axes.split()
            if letter != "*"
        }


def read(annotation):
    """The kind and letters of an annotated tensor (or None in its place); otherwise None."""
    union = isinstance(annotation, types.UnionType)
    choices = typing.get_args(annotation) if union else (annotation,)
    options = [choice for choice in choices if hasattr(choice, "dim_str")]
    if not options:
        return None
    letters = options[0].dim_str.replace("...", "*").replace("#", "")
    return options[0].__name__.split("[")[0], letters.strip()


def may_lack_axes(function, name):
    """Does the annotation let a tensor broadcast, as a mask does?"""
    return "#" in str(inspect.signature(function).parameters[name].annotation)


def may_be_left_out(function, name):
    """Is None what an argument has where it is not given?"""
    return inspect.signature(function).parameters[name].default is None


def takes(function, options):
    """Read a function's annotations; an optional tensor of any shape is left out."""
    signature = inspect.signature(function)
    found = {name: read(p.annotation) for name, p in signature.parameters.items()}
    for name, p in signature.parameters.items():
        if found[name] == ("Bool", "*") and p.default is None:
            del found[name]
    tensors = {name: tensor for name, tensor in found.items() if tensor}
    result = read(signature.return_annotation)
    return Takes(
        letters={name: letters for name, (_, letters) in tensors.items()},
        kinds={name: kind for name, (kind, _) in tensors.items()},
        result=result[1] if result else None,
        options=options,
    )


def public_functions(*packages):
    """The functions that carry `@checked`, of every module of the packages."""
    for package in packages:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, value in vars(import_module(info.name)).items():
                own = inspect.isfunction(value) and value.__module__ == info.name
                if own and name[0] != "_" and is_checked(value):
                    yield value


def is_checked(function):
    """Does it carry `@checked`? In its source, for the tests' import hook wraps every function."""
    return inspect.getsource(inspect.unwrap(function)).lstrip().startswith("@checked")


def missing(function, options):
    """The arguments without a default that are neither tensors nor options."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and not read(p.annotation)} - {
        *options
    }


OPTIONS = options_by_function()
PUBLIC = list(public_functions(attncourse.core, attncourse.mechanisms, attncourse.measure))
FUNCTIONS = {
    function: found
    for function in PUBLIC
    if (found := takes(function, OPTIONS.get(function, {}))).letters
    and not missing(function, found.options)
}


def tensor(kind, shape, dtype=torch.float64):
    """Random entries of a kind: Booleans, small whole numbers, positive numbers."""
    if kind == "Bool":
        return random_mask(math.prod(shape[:-1]), max(shape[-1], 1)).view(shape)
    if kind in ("Int", "Integer"):
        return torch.arange(math.prod(shape)).view(shape) % 3
    return gaussian(*shape).abs().to(dtype)


def shape_of(letters, lead, sizes=SIZES):
    axes = letters.split()
    if axes and axes[0] == "*":
        return (*lead, *(sizes.get(a) for a in axes[1:]))
    return tuple(sizes.get(a) for a in axes)


def right(function, lead=(2,)):
    """Tensors that `function` takes, by name."""
    this = FUNCTIONS[function]
    return {
        name: tensor(this.kinds[name], shape_of(letters, lead))
        for name, letters in this.letters.items()
    }


def in_both_ways(function, arguments):
    """Two calls: everything by keyword, and every tensor by position that may be."""
    options = FUNCTIONS[function].options
    kinds = inspect.signature(function).parameters
    positions = []
    for name, parameter in kinds.items():
        if parameter.kind is parameter.KEYWORD_ONLY or name not in arguments:
            break
        positions.append(arguments[name])
    keyword = dict(list(arguments.items())[len(positions) :]) | options
    return (lambda: function(**arguments, **options)), (lambda: function(*positions, **keyword))


def spoiled(function, name):
    """Every way to spoil one argument: (what is wrong, value, error)."""
    this, arguments = FUNCTIONS[function], right(function)
    kind, letters, x = this.kinds[name], this.letters[name], arguments[name]
    others = {n: axes for n, axes in this.letters.items() if n != name}
    for what, value, error in ways_to_spoil(kind, letters, x):
        if not (what == "an axis too few" and may_lack_axes(function, name)):
            yield what, value, error
    if others:
        yield "on another device", x.to("meta"), ValueError
        # a mask may have fewer axes in front than the scores it is laid over
        framed = [a for n, a in others.items() if "*" in a and kind == this.kinds[n]]
        if letters not in ("*", "") and "*" in letters and framed:
            yield "an axis too many in front", x.expand(3, *x.shape), ValueError
    if kind == "Float" and list(this.kinds.values()).count("Float") > 1:
        yield "of another dtype", x.float(), TypeError
    for axis, letter in enumerate(reversed(letters.split()), 1):
        if letter != "*" and any(letter in axes.split() for axes in others.values()):
            size = list(x.shape)
            size[-axis] += 1
            yield f"longer in {letter}", tensor(kind, size), ValueError


def assert_one_sentence(error, opening=""):
    """The rule, then the values; and no error of the import hook, whose type is its own."""
    assert type(error) in (ValueError, TypeError)
    rule, _, values = str(error).partition(": got ")
    assert rule.startswith(opening)
    assert " must " in rule
    assert values
    assert "\n" not in str(error)


WRONG_DTYPES = {
    "Bool": [torch.float64, torch.int64, torch.uint8],
    "Float": [torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex128],
    "Integer": [torch.float32, torch.float64, torch.bool, torch.complex64],
}


def ways_to_spoil(kind, letters, x):
    """What is wrong with a single tensor, whatever the others are."""
    for other in (3, 2.5, "tensor", [[1.0]], x.numpy(), object()):
        yield f"{type(other).__name__} instead", other, TypeError
    if kind != "Bool":
        yield "None instead", None, TypeError
    for dtype in WRONG_DTYPES[kind]:
        yield f"{dtype}", x.to(dtype), TypeError
    named = [axis for axis in letters.split() if axis != "*"]
    if named:
        yield "an axis too few", x[(0,) * (x.ndim - len(named) + 1)], ValueError
    if "*" not in letters:
        yield "an axis too many", x[None], ValueError
    for axis, letter in enumerate(reversed(named), 1):
        if letter != PAST:
            empty = x.transpose(-axis, 0)[:0].transpose(-axis, 0)
            yield f"empty in {letter}", empty, ValueError


def raised_by(call):
    """The ValueError or TypeError that a call raises; None if it returns."""
    try:
        call()
    except (ValueError, TypeError) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("function", "name"),
    [(function, name) for function, this in FUNCTIONS.items() for name in this.letters],
    ids=[f"{f.__name__}-{name}" for f, this in FUNCTIONS.items() for name in this.letters],
)
def test_bad_input_is_told_in_one_sentence(function, name):
    for what, value, error in spoiled(function, name):
        if value is None and may_be_left_out(function, name):
            continue
        for call in in_both_ways(function, right(function) | {name: value}):
            caught = raised_by(call)
            assert type(caught) is error, f"{name} {what}: {caught!r}"
            assert_one_sentence(caught)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_arguments_that_were_spoiled_are_right_before(function, lead):
    for call in in_both_ways(function, right(function, lead)):
        out = call()
        if FUNCTIONS[function].result is not None:
            this = FUNCTIONS[function]
            assert_fits(out.shape, shape_of(this.result, lead, this.sizes(SIZES)))


WITH_A_PAST = [f for f, this in FUNCTIONS.items() if PAST in this.sizes(SIZES)]


@pytest.mark.parametrize("function", WITH_A_PAST, ids=lambda function: function.__name__)
def test_a_past_may_be_empty(function):
    """So that the first segment, the first step, the first token is like every other."""
    this, sizes = FUNCTIONS[function], SIZES | {PAST: 0}
    arguments = {
        name: tensor(this.kinds[name], shape_of(letters, (2,), sizes))
        for name, letters in this.letters.items()
    }
    out = function(**arguments, **this.options)
    assert_fits(out.shape, shape_of(this.result, (2,), sizes))
    assert out.isfinite().all()


def masks_of(function):
    """The optional masks of a function, and of how many queries and keys."""
    letters = " ".join(FUNCTIONS[function].letters.values()).split()
    names = [name for name in inspect.signature(function).parameters if name.endswith("mask")]
    return names, SIZES["n"], SIZES["m" if "m" in letters else "t" if "t" in letters else "n"]


REFUSES_EMPTY_ROWS = {whiteboard.attention_with_weights}  # its own test is below
MASKED = [(f, name) for f in FUNCTIONS if f not in REFUSES_EMPTY_ROWS for name in masks_of(f)[0]]


@pytest.mark.parametrize(("function", "name"), MASKED, ids=lambda x: getattr(x, "__name__", x))
def test_a_mask_broadcasts_to_the_scores(function, name):
    """Whatever axes it has: those of queries, of keys, both or none."""
    arguments, (_, n, m) = right(function) | FUNCTIONS[function].options, masks_of(function)
    whole = random_mask(n, m, empty_row=1)
    results = []
    for mask in (whole[0], whole[:1], whole[:, :1], torch.tensor(True), torch.tensor(False)):
        results.append(function(**arguments | {name: mask}))
        assert_same(results[-1], function(**arguments | {name: mask.expand(n, m)}))
    assert all(not torch.equal(first(a), first(b)) for a, b in pairwise(results[1:]))


@pytest.mark.parametrize("function", REFUSES_EMPTY_ROWS, ids=lambda x: x.__name__)
def test_a_mask_broadcasts_where_an_empty_row_is_refused(function):
    arguments, whole = right(function), random_mask(SIZES["n"], SIZES["m"])
    for mask in (whole[0], whole[:1], whole, torch.tensor(True)):
        out = function(**arguments | {"mask": mask})
        assert_same(out, function(**arguments | {"mask": mask.expand(whole.shape)}))
    for mask in (
        whole & ~whole[:, :1] & (torch.arange(SIZES["n"]) != 1)[:, None],
        torch.tensor(False),
    ):
        with pytest.raises(ValueError, match="every row of mask must have a True"):
            function(**arguments | {"mask": mask})


def first(out):
    """The output of a function that returns something besides."""
    return out[0] if isinstance(out, tuple) else out


def assert_fits(shape, expected):
    """Is this the shape? An axis whose letter stands in no argument may have any size."""
    assert len(shape) == len(expected)
    assert all(wanted in (None, size) for size, wanted in zip(shape, expected, strict=True))


DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int8,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex64,
]
OTHERS = [None, 0, -1.5, math.nan, "q", (), [1.0], {}, np.zeros((2, 3)), object(), len]


SPOILS = ["nothing"] * 9 + ["size", "rank", "dtype", "device", "other"]


@st.composite
def calls(draw, function):
    """Arguments of a function that are right or nearly so.

    Letters are drawn anew for each call; then each argument may get another size for one axis,
    an axis more or less, another dtype or device, or give way to something else altogether.
    """
    this = FUNCTIONS[function]
    sizes = {letter: draw(st.integers(1, 4)) for letter in SIZES}
    lead = draw(st.lists(st.integers(0, 3), max_size=2))
    floating = draw(st.sampled_from(DTYPES[:4]))
    arguments = {}
    for name, letters in this.letters.items():
        shape = list(shape_of(letters, lead, sizes))
        dtype = {"Bool": torch.bool, "Float": floating}.get(this.kinds[name], torch.int64)
        spoil = draw(st.sampled_from(SPOILS))
        if spoil == "size" and shape:
            shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 4))
        if spoil == "rank":
            shape = draw(st.sampled_from([shape[1:], [1, *shape], [2, *shape], []]))
        if spoil == "dtype":
            dtype = draw(st.sampled_from(DTYPES))
        x = torch.ones(shape, dtype=dtype, device="meta" if spoil == "device" else "cpu")
        arguments[name] = draw(st.sampled_from(OTHERS)) if spoil == "other" else x
    return arguments


def result_shape(function, arguments):
    """The shape that the result must have, from the shapes that went in but for what broadcasts."""
    this = FUNCTIONS[function]
    sizes, lead = {}, None
    for name, x in arguments.items():
        if not may_lack_axes(function, name):
            starred, axes = this.letters[name].startswith("*"), this.letters[name].split()
            axes = axes[1:] if starred else axes
            sizes.update(zip(axes, x.shape[x.ndim - len(axes) :], strict=True))
            if starred and lead is None:
                lead = x.shape[: x.ndim - len(axes)]
    return shape_of(this.result, lead or (), sizes)


def holds_no_data(arguments):
    return all(x.is_meta for x in arguments.values())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_anything_at_all_gives_a_right_shape_or_a_sentence(function):
    @given(arguments=calls(function))
    @settings(derandomize=True, max_examples=30, deadline=None)
    def run(arguments):
        try:
            out = function(**arguments, **FUNCTIONS[function].options)
        except (ValueError, TypeError) as error:
            assert_one_sentence(error)
        except NotImplementedError:  # a definition may read what a meta tensor does not hold
            assert holds_no_data(arguments)
        else:
            if FUNCTIONS[function].result is not None:
                assert_fits(out.shape, result_shape(function, arguments))

    run()


numbers = st.one_of(
    st.integers(-3, 12), st.floats(), st.booleans(), st.sampled_from([None, "3", [3], 3j, len])
)


@given(n=numbers, m=numbers)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_any_size_gives_a_causal_mask_or_a_sentence(n, m):
    try:
        mask = causal_mask(n, m)
    except (ValueError, TypeError) as error:
        assert_one_sentence(error)
        assert not (type(n) is type(m) is int and min(n, m) >= 1)
    else:
        assert mask.shape == (n, m)


@given(
    lengths=st.one_of(st.lists(st.integers(-1, 6), max_size=4), numbers),
    dtype=st.sampled_from([torch.int64, torch.int32, torch.int8, torch.float32, torch.bool]),
    m=numbers,
)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_any_lengths_give_a_padding_mask_or_a_sentence(lengths, dtype, m):
    if isinstance(lengths, list):
        lengths = torch.tensor(lengths, dtype=dtype)
    try:
        mask = padding_mask(lengths, m)
    except (ValueError, TypeError) as error:
        assert_one_sentence(error)
    else:
        assert mask.shape == (*lengths.shape, 1, m)
        assert torch.equal(mask.sum(dim=(-2, -1)), lengths.to(torch.int64))


@given(temperature=numbers)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_any_temperature_gives_a_lookup_or_a_sentence(temperature):
    arguments = right(lookup.soft_lookup)
    try:
        out = lookup.soft_lookup(**arguments, temperature=temperature)
    except (ValueError, TypeError) as error:
        assert_one_sentence(error, "temperature must be ")
    else:
        assert temperature > 0
        assert out.isfinite().all()


def test_every_public_function_that_names_shapes_is_checked():
    """A public function without `@checked` would escape every test above."""
    for info in pkgutil.walk_packages(attncourse.mechanisms.__path__, "attncourse.mechanisms."):
        if info.name.rpartition(".")[2].startswith("_"):  # a family's private machinery
            continue
        module = import_module(info.name)
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                named = any(map(read, inspect.get_annotations(value).values()))
                assert name[0] == "_" or not named or is_checked(value), f"{name} is not @checked"


def test_every_function_that_takes_a_tensor_can_be_called_or_has_tests_of_its_own():
    for function in PUBLIC:
        if function not in ELSEWHERE and takes(function, {}).letters:
            needed = missing(function, OPTIONS.get(function, {}))
            assert not needed, f"tests/rows must give {needed} of {function.__name__}"
