"""Stacks of untrained layers: what depth alone does to gradients and to tokens."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.dense.heads import multi_head_attention
from attncourse.mechanisms.dense.layers import encoder_layer, post_norm_encoder_layer
from attncourse.mechanisms.dense.norms import layer_norm

Params = dict[str, Tensor]
Layer = Callable[..., Tensor]


def random_layer(d: int, d_ff: int, generator: Generator) -> Params:
    """The parameters of an encoder layer at initialisation: Glorot normal, gains 1, biases 0."""
    sizes = dict.fromkeys(("w_q", "w_k", "w_v", "w_o"), (d, d)) | {"w_1": (d, d_ff)}
    params = {
        name: torch.randn(*size, generator=generator) * (2 / sum(size)) ** 0.5
        for name, size in (sizes | {"w_2": (d_ff, d)}).items()
    }
    params |= {f"gain_{i}": torch.ones(d) for i in (1, 2)}
    return params | {f"bias_{i}": torch.zeros(d) for i in (1, 2)} | _zeros(d, d_ff)


def gradients_by_depth(
    layer: Layer, *, layers: int = 24, draws: int = 20, d: int = 64, n: int = 16, seed: int = 0
) -> Tensor:
    """The norm of the gradient at w_2 of each of the layers, (layers,), before any training.

    layer is `encoder_layer` or `post_norm_encoder_layer`; behind the last one stands a norm, as
    pre-norm stacks have it (after post-norm it changes nothing), then a random linear loss. The
    median over draws of parameters, tokens and loss, 4 heads, d_ff = 4 d.

    Source: Xiong et al. 2020, section 3.3 and figure 3.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        stack = [random_layer(d, 4 * d, generator) for _ in range(layers)]
        leaves = [params["w_2"].requires_grad_() for params in stack]
        x = torch.randn(n, d, generator=generator)
        for params in stack:
            x = layer(x, params, h=4)
        out = layer_norm(x, torch.ones(d), torch.zeros(d))
        loss = (out * torch.randn(n, d, generator=generator)).sum() / n
        found.append(torch.stack([g.norm() for g in torch.autograd.grad(loss, leaves)]))
    return torch.stack(found).median(dim=0).values


def attention_alone(x: Tensor, params: Params, *, h: int) -> Tensor:
    """A layer without residual, norm and network: multi-head attention and nothing else."""
    return multi_head_attention(x, x, *_projections(params), h=h)


def attention_with_residual(x: Tensor, params: Params, *, h: int) -> Tensor:
    """The same, added to its input."""
    return x + attention_alone(x, params, h=h)


STACKS: dict[str, Layer] = {
    "attention alone": attention_alone,
    "with residual": attention_with_residual,
    "pre-norm layer": encoder_layer,
    "post-norm layer": post_norm_encoder_layer,
}


@torch.no_grad()
def states_by_depth(
    layer: Layer, *, layers: int = 12, draws: int = 20, d: int = 64, n: int = 16, seed: int = 0
) -> Tensor:
    """The tokens (draws, layers + 1, n, d) of untrained stacks, before the first layer and behind
    each one, from random tokens; 4 heads, d_ff = 4 d.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        states = [torch.randn(n, d, generator=generator)]
        for _ in range(layers):
            states.append(layer(states[-1], random_layer(d, 4 * d, generator), h=4))
        found.append(torch.stack(states))
    return torch.stack(found)


@torch.no_grad()
def position_known(layers: int, *, causal: bool, n: int = 32, texts: int = 120) -> float:
    """How well positions can be read, by a linear map, off tokens that were never told them.

    Random texts of 20 kinds of token, the first of which begins every text and stands nowhere else,
    go through untrained pre-norm layers without any position information. The map is fitted on
    half of the texts; the result is R^2 on the other half: 1 where every position is read
    exactly, 0 where nothing is.

    Source: after Haviv et al. 2022, section 4, who train their models.
    """
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(20, 64, generator=generator)
    stack = [random_layer(64, 256, generator) for _ in range(layers)]
    text = torch.randint(1, 20, (texts, n), generator=generator)
    text[:, 0] = 0
    x = kinds[text]
    for params in stack:
        x = encoder_layer(x, params, h=4, mask=causal_mask(n, n) if causal else None)
    features = torch.cat([x, torch.ones(texts, n, 1)], dim=-1)
    positions = torch.arange(n).float().expand(texts, n)[..., None]
    fitted, held = (half.flatten(0, 1) for half in features.chunk(2))
    targets = positions[: texts // 2].flatten(0, 1)
    guessed = held @ torch.linalg.lstsq(fitted, targets).solution
    true = positions[texts // 2 :].flatten(0, 1)
    return 1 - ((guessed - true).square().mean() / true.var(unbiased=False)).item()


def _projections(params: Params) -> list[Tensor]:
    return [params[name] for name in ("w_q", "w_k", "w_v", "w_o")]


def _zeros(d: int, d_ff: int) -> Params:
    return {"b_1": torch.zeros(d_ff), "b_2": torch.zeros(d)}
