"""How the function of an exercise goes into a pretrained model: into which socket, as what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

import attncourse
from attncourse.course.exercise import get, names

Function = Callable[..., Any]
Sockets = Mapping[str, Function]
Writer = Callable[[Any, str, int], str]  # a model, a prompt, how many tokens: what is written

# of the exercises whose function takes a size
WINDOW, TOP, BLOCK, WORKERS, FEATURES = 8, 4, 16, 3, 256
THRESHOLD = 0.01
STRIPES, LANDMARKS = 2, 4
# layers and heads of SmolLM2 with the highest induction score (bench/evaluation.py)
COPYING = {17: (3, 4, 5), 18: (6, 7), 20: (6,), 22: (7,), 23: (2, 7), 24: (4,)}
ROOM = 4096  # numbers that a head may keep while it attends


@dataclass(frozen=True)
class Plug:
    """The sockets that a function fills.

    model is the one whose sockets they are; neutral: the right function changes nothing; cached:
    it can do with the new token alone; brief: it takes longer than others, so that less is tried;
    writer makes of a function that is no part of the model what writes with it; chance: it draws,
    and other words are no mistake.
    """

    sockets: Callable[[Function], Sockets]
    model: str = "SmolLM"
    neutral: bool = True
    cached: bool = True
    brief: bool = False
    writer: Callable[[Function], Writer] | None = None
    chance: bool = False


def right(name: str) -> Function:
    """The library's function of that name, or the solution of the exercise."""
    return get(name).solution if name in names() else getattr(attncourse, name)


def offer(name: str) -> str:
    """One line on what to try after a check that passed; nothing where there is no model for it."""
    if name not in PLUGS and name not in BACKWARD:
        return ""
    return f"See it in a language model: from attncourse import in_a_model; in_a_model({name})"


def _into(socket: str) -> Callable[[Function], Sockets]:
    return lambda function: {socket: function}


def _without_mask(function: Function) -> Sockets:
    """The model asks for one query at a time, with the keys that it may see."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return function(q, k, v)

    return {"attention": attention}


def _window_mask(function: Function) -> Sockets:
    """The window as the model's mask: n queries are the last of m tokens."""
    return {"mask": lambda n, m: function(m, WINDOW, causal=True)[m - n :]}


def _window_and_first(function: Function) -> Sockets:
    """The window with the first token for all, as far as it lies in the past."""

    def mask(n: int, m: int) -> Any:
        return (function(m, WINDOW, [0]) & attncourse.causal_mask(m, m))[m - n :]

    return {"mask": mask}


def _window_attention(function: Function) -> Sockets:
    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, window=WINDOW, causal=True)

    return {"attention": attention}


def _in_halves(function: Function) -> Sockets:
    """Attention over the first half of the keys and over the second, merged by the function."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        cut = k.shape[-2] // 2
        parts: list[Tensor] = []
        for keys in (slice(cut), slice(cut, None)):
            seen = None if mask is None else mask[..., keys]
            parts += attncourse.attention_and_lse(q, k[..., keys, :], v[..., keys, :], mask=seen)
        return function(*parts)[0]

    return {"attention": attention}


def _in_memories(function: Function) -> Sockets:
    """What a query may see as two memories, the older half and the newer."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Any:
        cut = k.shape[-2] // 2
        parts = [slice(cut), slice(cut, None)] if cut else [slice(None)]
        return function(q, [(k[..., part, :], v[..., part, :]) for part in parts])

    return _without_mask(attend)


def _prefill(function: Function) -> Sockets:
    """Whole texts only: n queries are all of the n tokens."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, chunk=BLOCK)

    return {"attention": attention}


def _mask_in_its_place(function: Function) -> Sockets:
    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Any:
        return function(q, k, v, mask)

    return {"attention": attention}


def _heads_last(function: Function) -> Sockets:
    """One query at a time, with the heads behind the tokens."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return function(*(x.transpose(0, 1) for x in (q, k, v))).transpose(0, 1)

    return {"attention": attention}


def _tiles(function: Function) -> Sockets:
    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, block=BLOCK, causal=True)

    return {"attention": attention}


def _flash_tiles(function: Function) -> Sockets:
    """A program's loop over the keys: whole tiles of the past, then key by key those of the block.

    A tile knows no mask, so that on the diagonal a key goes to the queries from its place on.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        n, past = q.shape[-2], k.shape[-2] - q.shape[-2]
        largest = torch.full_like(q[..., 0], -torch.inf)
        sums = q.new_zeros(*q.shape[:-1], v.shape[-1])
        state: tuple[Tensor, ...] = (largest, torch.zeros_like(largest), sums)
        for j in range(0, past, BLOCK):
            tile = slice(j, min(j + BLOCK, past))
            state = function(q, k[..., tile, :], v[..., tile, :], state)
        for j in range(past, past + n):
            later = [x[:, j - past :] for x in (q, *state)]
            found = function(later[0], k[..., j : j + 1, :], v[..., j : j + 1, :], tuple(later[1:]))
            state = _with_rows(state, found, j - past)
        return state[2] / state[1][..., None]

    return {"attention": attention}


def _with_rows(state: tuple[Tensor, ...], rows: Any, first: int) -> tuple[Tensor, ...]:
    """A state in which the rows from the first on are others."""
    pairs = zip(state, rows, strict=True)
    return tuple(torch.cat([old[:, :first], new], dim=1) for old, new in pairs)


def _chunks(function: Function) -> Sockets:
    """Whole texts only: n queries are all of the n tokens."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, chunk=BLOCK)

    return {"attention": attention}


def _features(function: Function) -> Sockets:
    """Causal attention whose weights are inner products of the function's features."""
    return _chunks(
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


def _random_features(function: Function) -> Sockets:
    """The features of given directions; in float64, in which those of a long vector are not 0."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        w = _drawn(FEATURES, q.shape[-1]).double()
        phi_q, phi_k = (function(x.double(), w) for x in (q, k))
        found = attncourse.causal_kernel_attention(phi_q, phi_k, v.double(), chunk=BLOCK)
        return found.to(v.dtype)

    return _in_the_first_layer(attention)


def _performer(function: Function) -> Sockets:
    """One query after the other, each with the keys that it may see."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        w, n = _drawn(FEATURES, q.shape[-1]), q.shape[-2]
        rows = (function(q[:, i : i + 1], k[:, : i + 1], v[:, : i + 1], w) for i in range(n))
        return torch.cat(list(rows), dim=-2)

    return _in_the_first_layer(attention)


def _top(function: Function) -> Sockets:
    return _without_mask(lambda q, k, v: function(q, k, v, top=min(TOP, k.shape[-2])))


def _stripes(function: Function) -> Sockets:
    """Each map as the product of two thin matrices."""

    def softmax(x: Tensor) -> Any:
        left, right = function(attncourse.softmax(x), min(STRIPES, x.shape[-1]))
        return left @ right

    return {"softmax": softmax}


def _mixtures(function: Function) -> Sockets:
    """The means of segments for projections; those of a Linformer are learned with the model."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        m = k.shape[-2]
        means = attncourse.segment_means(torch.eye(m), min(LANDMARKS, m))
        return function(q, k, v, means, means)

    return {"attention": attention}


def _landmarks(function: Function) -> Sockets:
    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, landmarks=min(LANDMARKS, k.shape[-2]))

    return {"attention": attention}


def _chosen(function: Function) -> Sockets:
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


def _threshold(function: Function) -> Sockets:
    return _without_mask(lambda q, k, v: function(q, k, v, threshold=THRESHOLD))


def _quantized(function: Function) -> Sockets:
    def storage(x: Tensor) -> Any:
        values, scale = function(x)
        return attncourse.dequantize(values, scale)

    return {"storage": storage}


def _dequantized(function: Function) -> Sockets:
    return {"storage": lambda x: function(*attncourse.quantize_int8(x))}


def _shards(function: Function) -> Sockets:
    """The text cut over three workers, or as many as there are tokens, and put together again."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        workers = min(WORKERS, q.shape[-2])
        shards = [list(torch.tensor_split(x, workers, dim=-2)) for x in (q, k, v)]
        return torch.cat(list(function(*shards)), dim=-2)

    return {"attention": attention}


def _self_attention(function: Function) -> Sockets:
    return _head_by_head(lambda x, memory, *weights: function(x, *weights))


def _head_by_head(function: Function) -> Sockets:
    """A layer whose heads are calls of the function, each with its part of the weights."""

    def heads(x: Tensor, memory: Tensor, *given: Tensor, h: int, mask: Tensor | None = None) -> Any:
        *projections, w_o = given
        parts = zip(*(w.chunk(h, dim=-1) for w in projections), strict=True)
        return torch.cat([function(x, memory, *w) for w in parts], dim=-1) @ w_o

    return {"multi_head_attention": heads}


def _tied(function: Function) -> Sockets:
    """A layer whose heads ask and are found by the weights of their queries."""
    return _head_by_head(lambda x, memory, w_q, w_k, w_v: function(x, memory, memory @ w_v, w_q))


def _writes(how: str) -> Callable[[Function], Writer]:
    """What a function writes, by one of `course.writers`, which loads the models."""
    return lambda function: getattr(import_module("attncourse.course.writers"), how)(function)


def _copying_out(function: Function) -> Sockets:
    """Without the ten heads that copy most."""

    def merged(x: Tensor, *, layer: int) -> Any:
        return attncourse.merge_heads(function(x, list(COPYING.get(layer, ()))))

    return {"merge_heads": merged}


def _nothing(function: Function) -> Sockets:
    return {}


PLUGS: dict[str, Plug] = {
    "softmax": Plug(_into("softmax")),
    "attention": Plug(_without_mask),
    "fix_attention": Plug(_without_mask),
    "masked_attention": Plug(_into("attention")),
    "fix_mask_dtype": Plug(_mask_in_its_place),
    "masked_softmax": Plug(_into("masked_softmax")),
    "causal_mask": Plug(_into("mask")),
    "self_attention": Plug(_self_attention, model="MiniLM"),
    "fix_self_attention": Plug(_self_attention, model="MiniLM"),
    "cross_attention": Plug(_head_by_head, model="MiniLM"),
    "rotary": Plug(_into("rotary")),
    "fix_rotary": Plug(_into("rotary")),
    "rms_norm": Plug(_into("norm")),
    "split_heads": Plug(_into("split_heads")),
    "merge_heads": Plug(_into("merge_heads")),
    "fix_heads_last": Plug(_heads_last),
    "swiglu": Plug(_into("feed_forward")),
    "grouped_query_attention": Plug(_into("grouped_attention")),
    "fix_grouped_query_attention": Plug(_into("grouped_attention")),
    "shared_attention": Plug(_tied, model="MiniLM", neutral=False),
    "fuse_memories": Plug(_in_memories, brief=True),
    "decode_step": Plug(_into("cache")),
    "quantize_int8": Plug(_quantized, neutral=False),
    "dequantize": Plug(_dequantized, neutral=False),
    "fix_quantize_int8": Plug(_quantized, neutral=False),
    "ring_attention": Plug(_shards, model="MiniLM"),
    "merge_attention": Plug(_in_halves),
    "blockwise_attention": Plug(_tiles, brief=True),
    "fix_blockwise_attention": Plug(_tiles, brief=True),
    "fix_chunked_prefill": Plug(_prefill, cached=False, brief=True),
    "flash_forward_tile": Plug(_flash_tiles, brief=True),
    "fix_flash_tile": Plug(_flash_tiles, brief=True),
    "elu_feature_map": Plug(_features, neutral=False, cached=False, brief=True),
    "linear_attention": Plug(_without_mask, neutral=False, brief=True),
    "causal_linear_attention": Plug(_chunks, neutral=False, cached=False, brief=True),
    "fix_causal_linear_attention": Plug(_chunks, neutral=False, cached=False, brief=True),
    "positive_features": Plug(_random_features, neutral=False, cached=False, brief=True),
    "performer_attention": Plug(_performer, neutral=False, cached=False, brief=True),
    "fix_performer_attention": Plug(_performer, neutral=False, cached=False, brief=True),
    "sliding_window_mask": Plug(_window_mask, neutral=False),
    "longformer_mask": Plug(_window_and_first, neutral=False),
    "sliding_window_attention": Plug(_window_attention, neutral=False, cached=False, brief=True),
    "fix_sliding_window_attention": Plug(
        _window_attention, neutral=False, cached=False, brief=True
    ),
    "topk_attention": Plug(_top, neutral=False, brief=True),
    "truncated_svd": Plug(_stripes, model="MiniLM", neutral=False),
    "linformer_attention": Plug(_mixtures, model="MiniLM", neutral=False),
    "nystrom_attention": Plug(_landmarks, model="MiniLM", neutral=False),
    "fix_nystrom_attention": Plug(_landmarks, model="MiniLM", neutral=False),
    "ablate_heads": Plug(_copying_out, neutral=False),
    "choose_mechanism": Plug(_chosen, neutral=False, cached=False, brief=True),
    "threshold_attention": Plug(_threshold, neutral=False, brief=True),
    "sparsemax": Plug(_into("softmax"), neutral=False, brief=True),
    "sample": Plug(_nothing, writer=_writes("by_chance"), neutral=False, chance=True),
    "fix_sample": Plug(_nothing, writer=_writes("by_chance"), neutral=False, chance=True),
    "generate": Plug(_nothing, writer=_writes("by_loop"), brief=True),
    "kv_cache_generate": Plug(_nothing, writer=_writes("by_steps")),
    "beam_search": Plug(_nothing, writer=_writes("by_beam"), neutral=False, brief=True),
    "typical_filter": Plug(_nothing, writer=_writes("by_filter"), neutral=False, chance=True),
    "fix_repetition_penalty": Plug(_nothing, writer=_writes("by_penalty"), neutral=False),
    "layer_norm": Plug(_into("norm"), model="MiniLM"),
    "multi_head_attention": Plug(_into("multi_head_attention"), model="MiniLM"),
    "fix_expensive_heads": Plug(_into("multi_head_attention"), model="MiniLM"),
    "fix_multi_head_attention": Plug(_into("multi_head_attention"), model="MiniLM"),
    "fix_local_mask": Plug(_window_attention, neutral=False, cached=False, brief=True),
    "fix_batch_axis": Plug(_without_mask),
    "fix_weight_formula": Plug(_without_mask),
}


def _of_attention(function: Function) -> Function:
    """The backward pass of attention with a way back through the softmax of one's own."""

    def backward(q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scale = q.shape[-1] ** -0.5
        weights = attncourse.softmax(q @ k.mT * scale)
        d_scores = function(weights, grad @ v.mT) * scale
        return d_scores @ k, d_scores.mT @ q, weights.mT @ grad

    return backward


# Backward passes go into no socket: each is made that of attention, whose gradients are looked at.
BACKWARD: dict[str, Callable[[Function], Function]] = {
    "softmax_backward": _of_attention,
    "attention_backward": lambda function: function,
    "fix_attention_backward": lambda function: function,
}
