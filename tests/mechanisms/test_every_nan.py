"""What holds for every mechanism that meets a NaN: it comes out, and is not taken for a zero."""

import math

import pytest
import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.entmax import entmax15_attention
from attncourse.mechanisms.content.sparsemax import sparsemax_attention
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.testing import assert_same, attention_inputs, gradients
from rows import MECHANISMS

# Whose last argument chooses who sees whom and is in no result: a NaN there chooses something.
CHOOSING = {"lsh_attention", "causal_lsh_attention", "routing_attention"}
# Where an argument is NaN, a number of the result that it does not reach.
OUT_OF_REACH = {
    "gated_linear_attention": "the gate of the first token has nothing to shrink",
    "masked_softmax": "a masked weight is 0 whatever the score",
    "retention": "the first token has nothing before it",
    "routing_attention": "a token that no centroid takes gets zeros",
}
FORMS = {name: (name, row.fast) for name, row in MECHANISMS.items()} | {
    f"{name} by definition": (name, row.definition)
    for name, row in MECHANISMS.items()
    if row.definition is not row.plain
}

every_form = pytest.mark.parametrize(("name", "function"), FORMS.values(), ids=FORMS)


def first(out):
    return out[0] if isinstance(out, tuple) else out


@every_form
def test_an_argument_of_nan_makes_all_that_depends_on_it_nan(name, function):
    arguments = MECHANISMS[name].inputs(2, seed=5)
    for place, x in enumerate(arguments[:-1] if name in CHOOSING else arguments):
        if x.is_floating_point():
            spoilt = (*arguments[:place], torch.full_like(x, math.nan), *arguments[place + 1 :])
            found = first(function(*spoilt)).isnan()
            assert found.any() if name in OUT_OF_REACH else found.all(), place


@every_form
def test_one_nan_in_what_asks_is_in_the_result(name, function):
    arguments = MECHANISMS[name].inputs(2, seed=5)
    spoilt = arguments[0].clone()
    spoilt.view(-1)[-1] = math.nan
    assert first(function(spoilt, *arguments[1:])).isnan().any()


MASKED = [attention, sparsemax_attention, entmax15_attention, grouped_query_attention]


def hidden(value):
    """Inputs, the last key or value spoilt, and a mask that hides it from everyone."""
    q, k, v = attention_inputs(2, std=1.0)
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[:, -1] = False
    spoilt = k.clone() if value == "k" else v.clone()
    spoilt[..., -1, :] = math.nan
    return (q, spoilt, v) if value == "k" else (q, k, spoilt), (q, k, v), mask


@pytest.mark.parametrize("function", MASKED, ids=lambda function: function.__name__)
def test_a_nan_in_a_hidden_key_is_in_no_output_and_in_the_gradient_of_every_query(function):
    spoilt, clean, mask = hidden("k")
    for form in forms_of(function):
        assert_same(form(*spoilt, mask=mask), form(*clean, mask=mask))
    of_q, _, of_v = gradients(function, *spoilt, mask=mask)
    assert of_q.isnan().all()
    assert_same(of_v, gradients(function, *clean, mask=mask)[2])


@pytest.mark.parametrize("function", MASKED, ids=lambda function: function.__name__)
def test_a_nan_in_a_hidden_value_is_in_every_output(function):
    spoilt, _, mask = hidden("v")
    assert function(*spoilt, mask=mask).isnan().all()


@pytest.mark.parametrize("function", MASKED, ids=lambda function: function.__name__)
@pytest.mark.parametrize("value", ["k", "v"])
def test_zeros_in_what_is_hidden_are_the_way_out(function, value):
    spoilt, clean, mask = hidden(value)
    seen = mask.any(dim=0)
    q, *rest = spoilt
    filled = [x.masked_fill(~seen[..., None], 0) for x in rest]
    assert_same(function(q, *filled, mask=mask), function(*clean, mask=mask))
    found, wanted = (gradients(function, *x, mask=mask) for x in ((q, *filled), clean))
    assert_same(found[0], wanted[0])
