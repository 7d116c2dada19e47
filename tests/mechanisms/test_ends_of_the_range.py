"""What a docstring promises for numbers of any size holds at the ends of every dtype.

Elsewhere what is computed on the way, such as q . k, must fit the dtype of accumulation.
"""

import inspect
import re
from functools import partial

import pytest
import torch

from attncourse.mechanisms import definition_of
from attncourse.mechanisms.content import entmax, sparsemax
from attncourse.mechanisms.dense import cosine, lookup, norms, softmax
from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.mechanisms.linear import gated_linear, performer
from attncourse.mechanisms.serving import quantize
from attncourse.testing import assert_same, gaussian, gradients, random_mask
from core.test_bad_input import PUBLIC
from rows import MECHANISMS

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
PROMISE = re.compile(r"\bsafe\b|neither\s+tiny|however small|so large that")


def ends(dtype):
    """Factors that bring numbers of about 1 to the ends of a dtype."""
    info = torch.finfo(dtype)
    least = float(torch.nextafter(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)))
    return {"largest": info.max, "root": 4 * info.max**0.5, "tiny": info.tiny, "least": 8 * least}


every_end = pytest.mark.parametrize("end", ends(torch.float32))


def sized(shape, dtype, end, seed=0):
    """Numbers from minus to plus that end of the dtype, each row with its largest there."""
    x = gaussian(*shape, std=1.0, seed=seed)
    return (x / x.abs().amax(dim=-1, keepdim=True) * ends(dtype)[end]).to(dtype)


def attended(function):
    """The function of queries and keys alone, with moderate values and directions."""
    v, w = gaussian(7, 3, seed=5), gaussian(4, 6, std=1.0, seed=6)
    return lambda q, k: function(q, k, v.to(q.dtype), w.to(q.dtype))


def gated(x):
    q, v = gaussian(7, 6, seed=5).to(x.dtype), gaussian(7, 3, seed=6).to(x.dtype)
    return gated_linear.gated_linear_attention(q, q, v, -x.abs(), chunk=3)


def normalised(x):
    return norms.layer_norm(x, torch.ones_like(x[0]), torch.zeros_like(x[0]), eps=0.0)


def root_mean(x):
    return norms.rms_norm(x, torch.ones_like(x[0]), eps=0.0)


# what promises it, in functions of tensors (7, 6): the promise is about these
PROMISED = {
    softmax.softmax: softmax.softmax,
    softmax.masked_softmax: lambda x: softmax.masked_softmax(x, random_mask(7, 6, empty_row=2)),
    sparsemax.sparsemax: sparsemax.sparsemax,
    entmax.entmax15: entmax.entmax15,
    cosine.direction: cosine.direction,
    cosine.cosine_scores: cosine.cosine_scores,
    norms.layer_norm: normalised,
    norms.rms_norm: root_mean,
    lookup.weighted_mean: lambda x: lookup.weighted_mean(x.abs(), gaussian(7, 6, 3).to(x.dtype)),
    performer.performer_attention: attended(performer.performer_attention),
    performer.causal_performer_attention: attended(
        partial(performer.causal_performer_attention, chunk=3)
    ),
    gated_linear.gated_linear_attention: gated,
    quantize.quantize_int8: lambda x: quantize.dequantize(*quantize.quantize_int8(x)),
}
ALSO = {lookup.soft_lookup}  # of a temperature, below


def arguments(function, dtype, end):
    count = len(inspect.signature(function).parameters)
    return [sized((7, 6), dtype, end, seed=seed) for seed in range(count)]


every_promise = pytest.mark.parametrize(
    ("promise", "function"), PROMISED.items(), ids=lambda f: f.__name__
)


def test_every_promise_in_a_docstring_stands_in_the_table():
    found = {f for f in PUBLIC if PROMISE.search(inspect.unwrap(f).__doc__ or "")}
    assert {f.__name__ for f in found} <= {f.__name__ for f in (*PROMISED, *ALSO)}


@every_dtype
@every_end
@every_promise
def test_the_ends_of_a_dtype_give_finite_numbers(promise, function, end, dtype):
    assert function(*arguments(function, dtype, end)).isfinite().all()


@every_end
@every_promise
def test_the_ends_of_float32_give_what_float64_gives(promise, function, end):
    given = arguments(function, torch.float32, end)
    found, expected = function(*given), function(*(x.double() for x in given)).float()
    if "performer" in promise.__name__ and end in ("largest", "root"):
        values = gaussian(7, 3, seed=5)  # the shortest key wins, which rounding may decide
        assert (found >= values.amin(dim=0) - 1e-5).all()
        assert (found <= values.amax(dim=0) + 1e-5).all()
    else:
        scale = expected.abs().max().clamp(min=1e-30)
        assert_same(found / scale, expected / scale)


@pytest.mark.parametrize("end", ["largest", "root"])
@pytest.mark.parametrize("norm", [normalised, root_mean])
def test_the_gradient_of_a_norm_survives_huge_tokens(norm, end):
    x = sized((7, 6), torch.float32, end)
    [found], [expected] = gradients(norm, x), gradients(norm, x.double())
    scale = ends(torch.float32)[end]  # the gradient falls as the token grows
    assert_same((found.double() * scale).float(), (expected * scale).float())


def test_a_huge_token_of_equal_features_is_normalised_to_zeros():
    x = torch.full((2, 8), 2.0**100)
    assert_same(norms.layer_norm(x, torch.ones(8), torch.zeros(8)), torch.zeros(2, 8))


@every_dtype
@pytest.mark.parametrize("form", [lookup.soft_lookup, definition_of(lookup.soft_lookup)])
def test_no_temperature_is_too_small_or_too_large(form, dtype):
    query, keys = torch.tensor([1.0, 0.0], dtype=dtype), torch.eye(2, dtype=dtype)
    values = torch.tensor([[10.0], [20.0]], dtype=dtype)
    for temperature in (5e-324, 1e-46, 1e-30):
        assert form(query, keys, values, temperature=temperature).item() == 10.0
    for temperature in (1e30, 1e39, 1e308, float("inf")):
        assert form(query, keys, values, temperature=temperature).item() == 15.0


def test_weights_whose_sum_overflows_have_a_mean():
    weights, values = torch.tensor([3e38, 3e38]), torch.tensor([[1.0], [3.0]])
    assert lookup.weighted_mean(weights, values).tolist() == [2.0]


@every_dtype
def test_eight_bits_bring_the_largest_number_back(dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([[largest, -largest, largest / 3]], dtype=dtype)
    values, scale = quantize.quantize_int8(x)
    assert values.tolist() == [[127, -127, 42]]
    wide = dtype if dtype == torch.float64 else torch.float64
    error = (quantize.dequantize(values, scale).to(wide) / 4 - x.to(wide) / 4).abs()
    assert (error <= scale.to(wide) / 4 * (0.5 + 127 * torch.finfo(dtype).eps)).all()


MEANS = [
    name
    for name, row in MECHANISMS.items()
    if "v" in inspect.signature(row.fast).parameters and not name.startswith(("gated", "delta"))
]


def with_ties(name, x):
    """Queries and keys of one entry each, so that all scores are the same and large."""
    return torch.full_like(x, 3e3) if name in ("q", "k", "qk") else x


@pytest.mark.parametrize("form", ["fast", "definition"])
@pytest.mark.parametrize(
    "name",
    [n for n in MEANS if n not in ("retention", "block_term_attention", "linformer_attention")],
)
def test_weights_of_large_equal_scores_sum_to_one(name, form):
    """log n is lost beside a score of 1e7: weights must not be had from a logsumexp alone."""
    row = MECHANISMS[name]
    names = list(inspect.signature(row.fast).parameters)
    given = [with_ties(n, x).float() for n, x in zip(names, row.inputs(2, seed=5), strict=False)]
    place = names.index("v")
    given[place] = torch.ones_like(given[place])
    out = getattr(row, form)(*given)
    if name == "routing_attention":  # a query that no cluster chose gets zeros
        out = out[(out != 0).any(dim=-1)]
    assert_same(out, torch.ones_like(out))


def test_a_part_of_the_keys_weighs_one_however_large_its_scores_are():
    x, v = torch.full((3, 4), 1e4), torch.ones(3, 2)
    assert_same(attention_and_lse(x, x, v)[0], v)
    assert_same(attention_and_lse(x, x, v, mask=random_mask(3, 3))[0], v)
