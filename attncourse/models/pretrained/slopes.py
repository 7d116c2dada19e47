"""The way back through a trained model: the gradient of its loss at every layer."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attncourse.core.masks import causal_mask
from attncourse.models.pretrained.smollm import SmolLM


def slopes(model: SmolLM, text: str) -> Tensor:
    """The gradient (31, n, 576) of the loss on a text, at the tokens between its layers.

    The loss is the mean over the tokens but the first, each guessed from those before it; [0] is
    the gradient at the tokens as they enter the first layer, [30] as the last one leaves them. What
    a function in a socket says of its own gradient is used. Two to three times a forward pass.
    """
    ids = torch.tensor(model.encode(text))
    mask = causal_mask(len(ids), len(ids))
    states = [model.tensors["table"][ids].requires_grad_()]
    for layer in range(model.sizes.layers):
        states.append(model.layer(states[-1], layer, mask))
    with torch.enable_grad():
        hidden = model._norm(states[-1], "norm", None)
        loss = cross_entropy(hidden[:-1] @ model.tensors["table"].mT, ids[1:])
    return torch.stack(torch.autograd.grad(loss, states))
