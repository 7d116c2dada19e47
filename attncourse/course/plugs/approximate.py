"""Functions that stand in for attention: right, they still change what a model writes."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

import attncourse
from attncourse.course.plugs.plug import BLOCK, Function, Sockets, in_chunks, without_mask

# of the exercises whose function takes a size
WINDOW, TOP, FEATURES, STRIPES, LANDMARKS = 8, 4, 256, 2, 4
THRESHOLD = 0.01
ROOM = 4096  # numbers that a head may keep while it attends


def window_mask(function: Function) -> Sockets:
    """The window as the model's mask: n queries are the last of m tokens."""
    return {"mask": lambda n, m: function(m, WINDOW, causal=True)[m - n :]}


def window_and_first(function: Function) -> Sockets:
    """The window with the first token for all, as far as it lies in the past."""

    def mask(n: int, m: int) -> Any:
        return (function(m, WINDOW, [0]) & attncourse.causal_mask(m, m))[m - n :]

    return {"mask": mask}


def window_attention(function: Function) -> Sockets:
    """Causal attention in a window."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, window=WINDOW, causal=True)

    return {"attention": attention}


def by_features(function: Function) -> Sockets:
    """Causal attention whose weights are inner products of the function's features."""
    return in_chunks(
        lambda q, k, v, chunk: attncourse.causal_kernel_attention(
            function(q), function(k), v, chunk=chunk
        )
    )


def _drawn(r: int, d: int) -> Tensor:
    """The same directions each time, for functions that are given some."""
    return attncourse.orthogonal_features(r, d, generator=torch.Generator().manual_seed(0))


def _in_the_first_layer(stand_in: Function) -> Sockets:
    """Causal attention, but in the flattest layer, the first: in all of them it leaves no words."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, layer: int) -> Any:
        return stand_in(q, k, v) if layer == 0 else attncourse.attention(q, k, v, mask=mask)

    return {"attention": attention}


def by_random_features(function: Function) -> Sockets:
    """The features of given directions; in float64, in which those of a long vector are not 0."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        w = _drawn(FEATURES, q.shape[-1]).double()
        phi_q, phi_k = (function(x.double(), w) for x in (q, k))
        found = attncourse.causal_kernel_attention(phi_q, phi_k, v.double(), chunk=BLOCK)
        return found.to(v.dtype)

    return _in_the_first_layer(attention)


def performer(function: Function) -> Sockets:
    """One query after the other, each with the keys that it may see."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        w, n = _drawn(FEATURES, q.shape[-1]), q.shape[-2]
        rows = (function(q[:, i : i + 1], k[:, : i + 1], v[:, : i + 1], w) for i in range(n))
        return torch.cat(list(rows), dim=-2)

    return _in_the_first_layer(attention)


def top(function: Function) -> Sockets:
    """One query at a time, which keeps a few of the keys that it may see."""
    return without_mask(lambda q, k, v: function(q, k, v, top=min(TOP, k.shape[-2])))


def stripes(function: Function) -> Sockets:
    """Each map as the product of two thin matrices."""

    def softmax(x: Tensor) -> Any:
        left, right = function(attncourse.softmax(x), min(STRIPES, x.shape[-1]))
        return left @ right

    return {"softmax": softmax}


def mixtures(function: Function) -> Sockets:
    """The means of segments for projections; those of a Linformer are learned with the model."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        m = k.shape[-2]
        means = attncourse.segment_means(torch.eye(m), min(LANDMARKS, m))
        return function(q, k, v, means, means)

    return {"attention": attention}


def landmarks(function: Function) -> Sockets:
    """Whole texts, through a few landmarks."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, landmarks=min(LANDMARKS, k.shape[-2]))

    return {"attention": attention}


def chosen(function: Function) -> Sockets:
    """Each layer asks which of three it is to run: a table of pairs, tiles, or a short window.

    Their costs are those of one head, in FLOPs and in numbers kept; the window is the fastest of
    those that fit, and hides what is further back.
    """
    pair = 4 * 64
    offers = [
        ((0, 0, pair), (0, 0, 1)),
        ((0, 4 * pair, pair), (0, BLOCK, 0)),
        ((0, pair * (WINDOW + 1), 0), (0, WINDOW + 1, 0)),
    ]
    ways: dict[int, Function] = {
        0: attncourse.attention,
        1: partial(attncourse.blockwise_attention, block=BLOCK, causal=True),
        2: partial(attncourse.sliding_window_attention, window=WINDOW, causal=True),
    }

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Any:
        place = function(k.shape[-2], ROOM, offers)
        chosen = ways[place]
        return chosen(q, k, v, mask=mask) if place == 0 else chosen(q, k, v)

    return {"attention": attention}


def threshold(function: Function) -> Sockets:
    """One query at a time, without the weights under a bound."""
    return without_mask(lambda q, k, v: function(q, k, v, threshold=THRESHOLD))


def quantized(function: Function) -> Sockets:
    """The function rounds keys and values before they are kept; the library reads them."""

    def storage(x: Tensor) -> Any:
        values, scale = function(x)
        return attncourse.dequantize(values, scale)

    return {"storage": storage}


def dequantized(function: Function) -> Sockets:
    """The library rounds keys and values before they are kept; the function reads them."""
    return {"storage": lambda x: function(*attncourse.quantize_int8(x))}
