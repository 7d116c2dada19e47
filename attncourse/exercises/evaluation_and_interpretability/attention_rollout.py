r"""# Follow the weights through all layers

A map says how one layer mixes what it was given, which is words no more. If weights alone decided,
the mixing of all layers could be had by multiplication: a layer keeps what is there and adds what
its heads fetch, so take half of each,

$$M_l = \tfrac12 \left( \frac{1}{h} \sum_{i=1}^{h} W_{l,i} + I \right), \qquad
\mathrm{rollout} = M_L \, M_{L-1} \cdots M_1 .$$

- `maps` is (..., layers, h, n, n): for each layer, the first one first, the weights of its heads.
  A row is a query, a column a key.
- The result is (..., n, n), in the dtype of `maps`. Row i says of what token i is made behind the
  last layer.
"""

import torch

from attncourse.measure.rollout import attention_rollout as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "One layer first: the mean over its heads, plus the identity, by 2. What is the rollout of a "
    "model with a single layer?",
    "A row of M_1 says of which words token k is made behind layer 1, and a row of M_2 of which "
    "tokens k token i is made. Which matrix then stands on the left of the product?",
)
forbidden = ("attention_rollout",)

SIZES = ((3, 2, 5), (2, 4, 6), (4, 1, 3))  # layers, heads, tokens


def check_two_layers_by_hand(student):
    """two layers of one head by hand"""
    back = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double()
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    found = student(torch.stack([back, swap])[:, None])
    assert_same(found, torch.tensor([[0.75, 0.25], [0.75, 0.25]]).double(), "the rollout")


def check_one_layer(student):
    """of one layer it is half the mean of the heads and half the token itself"""
    maps = _maps(1, 3, 4, seed=10)
    assert_same(student(maps), right_layer_by_layer(maps))


def check_equals_the_product(student):
    """equals the product, for any number of layers, heads and tokens"""
    for i, sizes in enumerate(SIZES):
        maps = _maps(*sizes, seed=20 + i)
        assert_same(student(maps), right_layer_by_layer(maps))


def check_takes_leading_axes(student):
    """takes several texts at once"""
    for lead in ((1,), (2,), (3, 2)):
        maps = _maps(*lead, 3, 2, 4, seed=30)
        assert_same(student(maps), right_layer_by_layer(maps))


def check_the_past_stays_the_past(student):
    """of causal maps it is causal, and its rows sum to one"""
    maps = _maps(3, 2, 5, seed=40, causal=True)
    found = student(maps)
    assert_same(found.triu(1), torch.zeros(5, 5).double(), "what lies above the diagonal")
    assert_same(found.sum(-1), torch.ones(5).double(), "the sum of each row")


def check_keeps_the_dtype(student):
    """float32 maps give float32"""
    maps = _maps(2, 3, 5, seed=50).float()
    assert_same(student(maps), right_layer_by_layer(maps))


def check_has_the_right_gradient(student):
    """the gradient of the maps is right"""
    maps = _maps(3, 2, 4, seed=60)
    expected = gradients(right_layer_by_layer, maps)
    assert_same(gradients(student, maps), expected, "the gradient")


def _maps(*sizes, seed, causal=False):
    """Weights (..., layers, h, n, n) of scores that lie far apart in some rows."""
    scores = gaussian(*sizes, sizes[-1], seed=seed)
    if causal:
        scores = scores + torch.full(scores.shape[-2:], -torch.inf).double().triu(1)
    return torch.softmax(scores, dim=-1)


def _mixed(maps):
    return (maps.mean(dim=-3) + torch.eye(maps.shape[-1], dtype=maps.dtype)) / 2


def _product(layers):
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    return total


def wrong_first_layer_on_the_left(maps):
    """You multiply with the first layer on the left. What leaves the last layer is mixed by it of
    what it was given: the last layer stands on the left.
    """
    return _product(_mixed(maps).unbind(-3)[::-1])


def wrong_without_the_token_itself(maps):
    """You left out what a layer keeps of its input. It adds what the heads fetch to what is there:
    mix the weights with the identity before you multiply.
    """
    return _product(maps.mean(dim=-3).unbind(-3))


def wrong_not_halved(maps):
    """You add the identity and do not divide by 2, so that rows sum to two, and to 2^L behind L
    layers. Take half of each.
    """
    return _product((2 * _mixed(maps)).unbind(-3))


def wrong_identity_once(maps):
    """You multiply the bare weights, and mix in the identity once at the end. Each layer keeps its
    own input: mix before you multiply.
    """
    total = _product(maps.mean(dim=-3).unbind(-3))
    return (total + torch.eye(maps.shape[-1], dtype=maps.dtype)) / 2


def wrong_sum_over_heads(maps):
    """You add up the heads, so that many heads outweigh what the layer keeps. Take their mean."""
    mixed = (maps.sum(dim=-3) + torch.eye(maps.shape[-1], dtype=maps.dtype)) / 2
    return _product(mixed.unbind(-3))


def wrong_largest_head(maps):
    """You take the largest weight over the heads, and the rows sum to more than one. Take the mean
    of the heads.
    """
    mixed = (maps.amax(dim=-3) + torch.eye(maps.shape[-1], dtype=maps.dtype)) / 2
    return _product(mixed.unbind(-3))


def wrong_mean_over_layers(maps):
    """You average the layers. Each one mixes what the one below has mixed: multiply their
    matrices.
    """
    return _mixed(maps).mean(dim=-3)


def wrong_last_layer_alone(maps):
    """You return the mixing of the last layer alone. Its keys are tokens that the layers below have
    mixed already: multiply by their matrices.
    """
    return _mixed(maps)[..., -1, :, :]


def wrong_transposed(maps):
    """You have queries and keys exchanged: row i of the result is to say of what token i is made.
    Do not transpose.
    """
    return right_layer_by_layer(maps).mT


def wrong_entry_by_entry(maps):
    """You multiply the layers entry by entry. A token reaches another by way of all that lie
    between: take the matrix product.
    """
    return _mixed(maps).prod(dim=-3)


def right_layer_by_layer(maps):
    """one layer after the other, from the left"""
    return _product(_mixed(maps).unbind(-3))


def right_from_the_identity(maps):
    """from the tokens as they come in"""
    n = maps.shape[-1]
    total = torch.eye(n, dtype=maps.dtype)
    for layer in range(maps.shape[-4]):
        fetched = maps[..., layer, :, :, :].mean(dim=-3)
        total = (total + fetched @ total) / 2
    return total


def right_by_einsum(maps):
    """heads and product by einsum"""
    layers, h = maps.shape[-4], maps.shape[-3]
    total = None
    for layer in range(layers):
        mean = torch.einsum("...hij->...ij", maps[..., layer, :, :, :]) / h
        mean = 0.5 * mean + 0.5 * torch.eye(maps.shape[-1], dtype=maps.dtype)
        total = mean if total is None else torch.einsum("...ij,...jk->...ik", mean, total)
    return total


shown = right_from_the_identity
