"""A layer's attention by whichever function is in a socket: whole, its softmax, or token by token.

Each way takes q (..., h, n, d), k (..., g, m, d), v (..., g, m, e) and a mask (..., n, m), and
gives (..., h, n, e).
"""

import math

import torch
from torch import Tensor

from attncourse.models.pretrained.sockets import SocketError, Sockets, fitting, place, shaped

Pair = tuple[Tensor, Tensor]


def attend(
    sockets: Sockets, layer: int, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
) -> Tensor:
    """The output of every head, by the function that computes the attention.

    A function without a parameter `mask` is asked for one query at a time, with the keys and
    values that the query may see.
    """
    if sockets.way == "grouped_attention":
        return _whole(sockets, layer, q, k, v, mask)
    k, v = (each_head(x, q.shape[-3]) for x in (k, v))
    if sockets.way == "attention":
        return _whole(sockets, layer, q, k, v, mask)
    if sockets.way == "cache":
        return by_steps(sockets, layer, q, k, v, None)[0]
    return _weights(sockets, layer, q @ k.mT / math.sqrt(q.shape[-1]), mask) @ v


def weights(sockets: Sockets, layer: int, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """The weights (..., h, n, m): the output for values that are the rows of the identity."""
    m = k.shape[-2]
    return attend(sockets, layer, q, k, torch.eye(m).expand(*k.shape[:-2], m, m), mask)


def each_head(x: Tensor, h: int) -> Tensor:
    """Keys or values (..., g, m, d) repeated for each of h heads: neighbours share one."""
    return x.repeat_interleave(h // x.shape[-3], dim=-3)


def by_steps(
    sockets: Sockets, layer: int, q: Tensor, k: Tensor, v: Tensor, pair: Pair | None
) -> tuple[Tensor, Pair]:
    """One token after the other through a function (cache, q, k, v) -> (out, cache)."""
    pair = pair or (k[..., :0, :], v[..., :0, :])
    outputs = []
    for token in range(q.shape[-2]):
        step = [x[..., token : token + 1, :] for x in (q, k, v)]
        result = sockets.raw("cache", layer, pair, *step)
        out, pair = _out_and_pair(result, layer)
        outputs.append(fitting("cache", layer, out, shaped(*step[0].shape[:-1], v.shape[-1])))
    return torch.cat(outputs, dim=-2), pair


def _whole(
    sockets: Sockets, layer: int, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
) -> Tensor:
    """By a function of queries, keys, values and a mask."""
    like = shaped(*q.shape[:-1], v.shape[-1])
    if sockets.takes_mask():
        over_heads = mask if mask is None or mask.ndim < 3 else mask.unsqueeze(-3)
        return sockets.call(sockets.way, layer, like, q, k, v, mask=over_heads)
    if mask is None:
        return sockets.call(sockets.way, layer, like, q, k, v)
    rows = []
    for i, seen in enumerate(mask.expand(q.shape[-2], k.shape[-2])):
        row = (q[..., i : i + 1, :], k[..., seen, :], v[..., seen, :])
        rows.append(sockets.call(sockets.way, layer, like[..., :1, :], *row))
    return torch.cat(rows, dim=-2)


def _weights(sockets: Sockets, layer: int, scores: Tensor, mask: Tensor | None) -> Tensor:
    """By a softmax of scores, -inf where hidden, or by one that gets the mask itself."""
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool)
    mask = mask if mask.ndim < 3 else mask.unsqueeze(-3)
    if sockets.way == "softmax":
        hidden = scores.masked_fill(~mask, -math.inf)
        return sockets.call("softmax", layer, scores, hidden)
    return sockets.call("masked_softmax", layer, scores, scores, mask)


def _out_and_pair(result: object, layer: int) -> tuple[object, Pair]:
    """An output and a pair of tensors, if that is what it is."""
    if isinstance(result, tuple) and len(result) == 2:
        out, pair = result
        if isinstance(pair, tuple | list) and [isinstance(x, Tensor) for x in pair] == [True] * 2:
            return out, (pair[0], pair[1])
    raise SocketError(f"{place('cache', layer)} must return (out, (keys, values))")
