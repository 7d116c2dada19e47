"""What each word counts for: rollout, the ways to ask, and weights that give the same output."""

import pytest
import torch
from torch.testing import assert_close

from attncourse import attention_rollout
from attncourse.measure.attribution import importances, rank_agreement, same_output
from attncourse.models.pretrained.minilm import LAYERS, MiniLM

SENTENCE = "The trophy does not fit in the suitcase because it is too big."


def drawn(*sizes, seed=0):
    dice = torch.Generator().manual_seed(seed)
    return torch.softmax(3 * torch.randn(*sizes, generator=dice, dtype=torch.float64), dim=-1)


def test_rollout_is_the_product_of_what_the_layers_do():
    maps = drawn(3, 2, 5, 5)
    eye = torch.eye(5, dtype=torch.float64)
    first, second, third = (maps.mean(dim=1) + eye) / 2
    assert_close(attention_rollout(maps), third @ second @ first)


def test_rollout_of_a_batch_is_that_of_its_texts():
    maps = drawn(2, 3, 2, 4, 4)
    assert_close(attention_rollout(maps), torch.stack([attention_rollout(x) for x in maps]))


def test_rollout_keeps_rows_and_the_past():
    found = attention_rollout(drawn(4, 3, 6, 6).tril() / drawn(4, 3, 6, 6).tril().sum(-1, True))
    assert_close(found.sum(dim=-1), torch.ones(6, dtype=torch.float64))
    assert found.triu(1).abs().max() == 0


def test_rollout_of_half_precision_is_multiplied_in_float32():
    maps = drawn(6, 4, 9, 9)
    low = attention_rollout(maps.to(torch.bfloat16))
    assert low.dtype == torch.bfloat16
    assert_close(low.double(), attention_rollout(maps), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(
    ("a", "b", "right"),
    [
        ([1.0, 2, 3, 4], [1.0, 3, 2, 4], 0.8),  # 1 - 6 * 2 / (4 * 15)
        ([1.0, 2, 3], [3.0, 2, 1], -1.0),
        ([1.0, 2, 2, 3], [5.0, 7, 7, 9], 1.0),
        ([1.0, 2, 3], [4.0, 4, 4], 0.0),
    ],
)
def test_agreement_of_ranks(a, b, right):
    found = rank_agreement(torch.tensor(a), torch.tensor(b))
    assert found == pytest.approx(right, abs=1e-9)


def test_other_weights_give_the_same_output():
    dice = torch.Generator().manual_seed(1)
    values = torch.randn(40, 6, generator=dice, dtype=torch.float64)
    weights = drawn(40, seed=2)
    for key in (0, 17, 39):
        other = same_output(weights, values, key)
        assert_close(other @ values, weights @ values)
        assert other.sum().item() == pytest.approx(1.0)
        assert other.min() >= 0
        assert other[key] > weights[key]
        assert (other > 0).sum() <= 7  # Carathéodory: e + 1 keys are enough


def test_where_weights_are_determined_they_stay():
    values = torch.eye(4, dtype=torch.float64)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    assert_close(same_output(weights, values, 0), weights)


def test_a_layer_of_minilm_is_differentiated_and_its_layers_are_the_model():
    model = MiniLM.load()
    states = model.states(SENTENCE)
    x = states[0].clone().requires_grad_()
    out = x
    for layer in range(LAYERS):
        out = model.layer(out, layer)
    assert_close(out.detach(), states[-1], rtol=1e-4, atol=1e-5)
    (slope,) = torch.autograd.grad(out[3, 7], x)
    assert slope.norm() > 0
    assert not model.layer(states[0], 0).requires_grad


def test_turning_a_word_down_is_its_derivative():
    model = MiniLM.load()
    found = importances(model, SENTENCE)["turned down"]
    states = model.states(SENTENCE).double()
    place = 2  # trophy
    exact = derivative(model, states[0].float(), place)
    assert found[place - 1].item() == pytest.approx(exact, rel=0.1)


def derivative(model, x, place):
    """Half the square of how fast the vector turns, times 1 % squared."""
    amount = torch.tensor(0.0, requires_grad=True)
    scale = torch.ones(len(x), 1)
    unit = torch.zeros(len(x), 1)
    unit[place] = 1.0
    out = x * (scale + amount * unit)
    for layer in range(LAYERS):
        out = model.layer(out, layer)
    mean = out.mean(dim=0)
    vector = (mean / mean.norm()).double()
    speeds = [torch.autograd.grad(v, amount, retain_graph=True)[0] for v in vector]
    return 0.5 * (0.01 * torch.stack(speeds).norm()).item() ** 2


def test_the_ways_to_ask_know_what_they_say():
    model = MiniLM.load()
    found = importances(model, SENTENCE)
    n = len(model.encode(SENTENCE))
    assert {x.shape for x in found.values()} == {(n - 2,)}
    without = model.encode(SENTENCE)
    del without[2]
    mean = model.hidden(without).mean(dim=0)
    turned = 1 - (mean / mean.norm()) @ model.vector(SENTENCE)
    assert found["left out"][1].item() == pytest.approx(turned.item(), abs=1e-5)
    assert found["letters"].tolist()[:3] == [3.0, 6.0, 4.0]  # the, trophy, does
