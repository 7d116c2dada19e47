"""Every public function answers bad input with one sentence, of ValueError or of TypeError.

One table gives the arguments of each function, as letters; every way to spoil them follows from
it. The messages themselves are tested word for word in test_shapes.py.
"""

import inspect
import math
import pkgutil
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attncourse.mechanisms
from attncourse.core.masks import causal_mask, padding_mask
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
from attncourse.testing import gaussian, random_mask

SIZES = {"n": 5, "m": 7, "d": 3, "e": 2, "d_q": 6, "d_k": 9, "r": 4, "1": 1}
SIZES |= {"d_x": 10, "d_y": 11, "d_v": 8, "d_o": 13}

ATTENTION = {"q": "* n d", "k": "* m d", "v": "* m e", "mask": "* n m"}, "* n e"
NORM = {"x": "* d", "gain": "d", "bias": "d"}
FEED_FORWARD = {"x": "* d_x", "w_1": "d_x r", "b_1": "r", "w_2": "r d_x", "b_2": "d_x"}
UNMASKED = {"q": "* n d", "k": "* m d", "v": "* m e"}
ADDITIVE = {"q": "* n d_q", "k": "* m d_k", "w_q": "d_q r", "w_k": "d_k r", "u": "r"}, "* n m"
BILINEAR = {"q": "* n d_q", "k": "* m d_k", "w": "d_q d_k"}, "* n m"
COSINE = {"q": "* n d", "k": "* m d"}, "* n m"
LOOKUP = {"query": "* d", "keys": "* m d", "values": "* m e"}, "* e"
CROSS = {"x": "* n d_x", "memory": "* m d_y", "w_q": "d_x d", "w_k": "d_y d", "w_v": "d_y e"}
SELF = {"x": "* n d_x", "w_q": "d_x d", "w_k": "d_x d", "w_v": "d_x e"}
HEADS = {"x": "* n d_x", "memory": "* m d_y", "w_q": "d_x d_q", "w_k": "d_y d_q"}
HEADS |= {"w_v": "d_y d_v", "w_o": "d_v d_o"}


def bound(function, **options):
    """The function with its options, under its own name."""
    with_options = partial(function, **options)
    with_options.__name__ = function.__name__
    return with_options


FUNCTIONS = {
    softmax.attention_by_definition: ATTENTION,
    softmax.attention: ATTENTION,
    softmax.softmax: ({"x": "* n"}, "* n"),
    softmax.masked_softmax: ({"scores": "* n m", "mask": "* n m"}, "* n m"),
    additive.additive_scores_by_definition: ADDITIVE,
    additive.additive_scores: ADDITIVE,
    bilinear.bilinear_scores_by_definition: BILINEAR,
    bilinear.bilinear_scores: BILINEAR,
    cosine.cosine_scores_by_definition: COSINE,
    cosine.cosine_scores: COSINE,
    lookup.soft_lookup_by_definition: LOOKUP,
    lookup.soft_lookup: LOOKUP,
    lookup.weighted_mean: ({"weights": "* m", "values": "* m e"}, "* e"),
    entropy: ({"weights": "* m"}, "*"),
    bound(blockwise.blockwise_attention_by_definition, block=2): (UNMASKED, "* n e"),
    bound(blockwise.blockwise_attention, block=2): (UNMASKED, "* n e"),
    layers.layer_norm_by_definition: (NORM, "* d"),
    layers.layer_norm: (NORM, "* d"),
    layers.feed_forward: (FEED_FORWARD, "* d_x"),
    backward.softmax_backward: ({"weights": "* n", "grad": "* n"}, "* n"),
    self_attention.cross_attention_by_definition: (CROSS, "* n e"),
    self_attention.cross_attention: (CROSS, "* n e"),
    self_attention.self_attention: (SELF, "* n e"),
    bound(heads.multi_head_attention_by_definition, h=2): (HEADS, "* n d_o"),
    bound(heads.multi_head_attention, h=2): (HEADS, "* n d_o"),
}


def tensor(name, shape, dtype=torch.float64):
    """A mask for "mask", positive numbers for anything else."""
    if name == "mask":
        return random_mask(math.prod(shape[:-1]), max(shape[-1], 1)).view(shape)
    return gaussian(*shape).abs().to(dtype)


def shape_of(letters, lead, sizes=SIZES):
    axes = letters.split()
    return (*lead, *(sizes[a] for a in axes[1:])) if axes[0] == "*" else tuple(map(sizes.get, axes))


def right(function, lead=(2,)):
    """Arguments that `function` takes, by name."""
    letters, _ = FUNCTIONS[function]
    return {name: tensor(name, shape_of(axes, lead)) for name, axes in letters.items()}


def in_both_ways(function, arguments):
    """Two calls: everything by keyword, and everything by position that may be."""
    kinds = inspect.signature(function).parameters
    keyword = {n: x for n, x in arguments.items() if kinds[n].kind is kinds[n].KEYWORD_ONLY}
    positions = [x for n, x in arguments.items() if n not in keyword]
    return (lambda: function(**arguments)), (lambda: function(*positions, **keyword))


def spoiled():
    """Every way to spoil one argument: (function, name, what is wrong, value, error)."""
    for function, (letters, _) in FUNCTIONS.items():
        arguments = right(function)
        floating = [name for name in letters if name != "mask"]
        for name, axes in letters.items():
            x = arguments[name]
            for wrong in ways_to_spoil(name, axes, x):
                yield function, name, *wrong
            if len(letters) > 1:
                yield function, name, "on another device", x.to("meta"), ValueError
                others = [a for n, a in letters.items() if n != name and "*" in a]
                if "*" in axes and others and name != "scores":  # scores may outnumber masks
                    more = x.expand(3, *x.shape)
                    yield function, name, "an axis too many in front", more, ValueError
            if name in floating and len(floating) > 1:
                yield function, name, "of another dtype", x.float(), TypeError
            for axis, letter in enumerate(reversed(axes.split()), 1):
                shared = sum(letter in other.split() for other in letters.values()) > 1
                if shared:
                    size = list(x.shape)
                    size[-axis] += 1
                    yield function, name, f"longer in {letter}", tensor(name, size), ValueError


def assert_one_sentence(error, opening=""):
    """The rule, then the values; and no error of the import hook, whose type is its own."""
    assert type(error) in (ValueError, TypeError)
    rule, _, values = str(error).partition(": got ")
    assert rule.startswith(opening)
    assert " must " in rule
    assert values
    assert "\n" not in str(error)


def ways_to_spoil(name, axes, x):
    """What is wrong with a single tensor, whatever the others are."""
    for other in (3, 2.5, "tensor", [[1.0]], x.numpy(), object()):
        yield f"{type(other).__name__} instead", other, TypeError
    if name == "mask":
        wrong_dtypes = [torch.float64, torch.int64, torch.uint8]
    else:
        yield "None instead", None, TypeError
        wrong_dtypes = [torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex128]
    for dtype in wrong_dtypes:
        yield f"{dtype}", x.to(dtype), TypeError
    named = [axis for axis in axes.split() if axis != "*"]
    yield "an axis too few", x[(0,) * (x.ndim - len(named) + 1)], ValueError
    if "*" not in axes:
        yield "an axis too many", x[None], ValueError
    for axis in range(1, len(named) + 1):
        empty = x.transpose(-axis, 0)[:0].transpose(-axis, 0)
        yield f"empty in {named[-axis]}", empty, ValueError


SPOILED = list(spoiled())


@pytest.mark.parametrize(
    ("function", "name", "value", "error"),
    [(function, name, value, error) for function, name, _, value, error in SPOILED],
    ids=[f"{function.__name__}: {name} {wrong}" for function, name, wrong, *_ in SPOILED],
)
def test_bad_input_is_told_in_one_sentence(function, name, value, error):
    for call in in_both_ways(function, right(function) | {name: value}):
        with pytest.raises(error) as caught:
            call()
        assert_one_sentence(caught.value)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_arguments_that_were_spoiled_are_right_before(function, lead):
    for call in in_both_ways(function, right(function, lead)):
        assert call().shape == shape_of(FUNCTIONS[function][1], lead)


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
def calls(draw):
    """A function, and arguments that are right or nearly so.

    Letters are drawn anew for each call; then each argument may get another size for one axis,
    an axis more or less, another dtype or device, or give way to something else altogether.
    """
    function = draw(st.sampled_from(list(FUNCTIONS)))
    letters, _ = FUNCTIONS[function]
    sizes = {letter: draw(st.integers(1, 4)) for letter in SIZES}
    lead = draw(st.lists(st.integers(0, 3), max_size=2))
    dtype = draw(st.sampled_from(DTYPES[:4]))
    arguments = {}
    for name, axes in letters.items():
        shape, kind = list(shape_of(axes, lead, sizes)), torch.bool if name == "mask" else dtype
        spoil = draw(st.sampled_from(SPOILS))
        if spoil == "size":
            shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 4))
        if spoil == "rank":
            shape = draw(st.sampled_from([shape[1:], [1, *shape], [2, *shape], []]))
        if spoil == "dtype":
            kind = draw(st.sampled_from(DTYPES))
        x = torch.ones(shape, dtype=kind, device="meta" if spoil == "device" else "cpu")
        arguments[name] = draw(st.sampled_from(OTHERS)) if spoil == "other" else x
    return function, arguments


def result_shape(function, arguments):
    """The shape that the result must have, from the shapes that went in (masks aside)."""
    letters, result = FUNCTIONS[function]
    sizes, lead = {}, None
    for name, x in arguments.items():
        if name != "mask":
            axes = letters[name].removeprefix("*").split()
            sizes.update(zip(axes, x.shape[x.ndim - len(axes) :], strict=True))
            lead = x.shape[: x.ndim - len(axes)] if lead is None else lead
    return shape_of(result, lead, sizes)


@given(call=calls())
@settings(derandomize=True, max_examples=400, deadline=None)
def test_anything_at_all_gives_a_right_shape_or_a_sentence(call):
    function, arguments = call
    try:
        out = function(**arguments)
    except (ValueError, TypeError) as error:
        assert_one_sentence(error)
    except NotImplementedError:  # a definition reads its mask, and a meta tensor holds no data
        assert function is softmax.attention_by_definition
        assert all(x.is_meta for x in arguments.values())
    else:
        assert out.shape == result_shape(function, arguments)
        assert {x.dtype for x in arguments.values()} - {torch.bool} == {out.dtype}


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


def test_every_public_function_of_the_mechanisms_stands_in_the_table():
    modules = [
        import_module(f"attncourse.mechanisms.{module.name}")
        for module in pkgutil.iter_modules(attncourse.mechanisms.__path__)
    ]
    public = {
        value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
    tested = {getattr(function, "func", function) for function in FUNCTIONS}
    elsewhere = {heads.split_heads, heads.merge_heads, blockwise.merge_attention, *backward.FORMS}
    elsewhere |= {layers.encoder_layer, layers.decoder_layer}
    assert public - tested == elsewhere
