"""The gradient of SmolLM2's loss, back through its layers."""

import math

import torch
from torch.nn.functional import cross_entropy

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.exact.backward import attention_backward, with_backward
from attncourse.models.pretrained.slopes import slopes
from attncourse.models.pretrained.smollm import SmolLM

TEXT = "The trophy does not fit."


def loss_from(model, x, layer):
    """The loss of a text whose tokens enter that layer as x."""
    ids = torch.tensor(model.encode(TEXT))
    for i in range(layer, model.sizes.layers):
        x = model.layer(x, i, causal_mask(len(ids), len(ids)))
    hidden = model._norm(x, "norm", None)
    return cross_entropy(hidden[:-1] @ model.tensors["table"].mT, ids[1:])


def test_a_small_step_changes_the_loss_as_the_slope_says():
    model = SmolLM.load()
    found, states = slopes(model, TEXT), model.states(TEXT)
    assert found.shape == states.shape
    for layer in (30, 25, 3):
        step = found[layer] / found[layer].norm() * 3e-3 * states[layer][1:].norm()
        above, below = (loss_from(model, states[layer] + s, layer) for s in (step, -step))
        told = (found[layer] * step).sum()
        assert abs((above - below) / 2 / told - 1) < 0.05, layer


def test_the_loss_is_that_of_the_perplexity():
    model = SmolLM.load()
    loss = loss_from(model, model.states(TEXT)[0], 0)
    assert math.isclose(math.exp(loss), model.perplexity(TEXT), rel_tol=1e-4)


def test_a_backward_pass_in_a_socket_is_the_one_that_is_used():
    true = slopes(SmolLM.load(), TEXT)
    own = slopes(SmolLM.load(attention=with_backward(attention_backward)), TEXT)
    torch.testing.assert_close(own, true, rtol=1e-2, atol=1e-4)

    def nothing(q, k, v, grad):
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)

    none = slopes(SmolLM.load(attention=with_backward(nothing)), TEXT)
    torch.testing.assert_close(none[30], true[30])
    assert not torch.allclose(none[20], true[20], rtol=0.1)


def test_a_layer_keeps_no_gradient_that_nobody_asks_for():
    model = SmolLM.load()
    x = model.states(TEXT)[3]
    mask = causal_mask(len(x), len(x))
    plain = model.layer(x, 3, mask)
    assert not plain.requires_grad
    asked = model.layer(x.clone().requires_grad_(), 3, mask)
    assert asked.requires_grad
    torch.testing.assert_close(asked, plain)
    with torch.no_grad():
        assert not model.layer(x.clone().requires_grad_(), 3, mask).requires_grad
