"""Which function goes into a pretrained model, and how: a row for each exercise that can."""

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

import attncourse
from attncourse.course.exercise import get, names
from attncourse.course.plugs import approximate, exact, layers
from attncourse.course.plugs.plug import (
    Function,
    Plug,
    Sockets,
    Writer,
    in_chunks,
    into,
    without_mask,
)


def _writes(how: str) -> Callable[[Function], Writer]:
    """What a function writes, by one of `course.writers`, which loads the models."""
    return lambda function: getattr(import_module("attncourse.course.writers"), how)(function)


def _nothing(function: Function) -> Sockets:
    return {}


PLUGS: dict[str, Plug] = {
    "softmax": Plug(into("softmax")),
    "attention": Plug(without_mask),
    "fix_attention": Plug(without_mask),
    "masked_attention": Plug(into("attention")),
    "fix_mask_dtype": Plug(exact.mask_in_its_place),
    "masked_softmax": Plug(into("masked_softmax")),
    "causal_mask": Plug(into("mask")),
    "self_attention": Plug(layers.self_attention, model="MiniLM"),
    "fix_self_attention": Plug(layers.self_attention, model="MiniLM"),
    "cross_attention": Plug(layers.head_by_head, model="MiniLM"),
    "rotary": Plug(into("rotary")),
    "fix_rotary": Plug(into("rotary")),
    "rms_norm": Plug(into("norm")),
    "split_heads": Plug(into("split_heads")),
    "merge_heads": Plug(into("merge_heads")),
    "fix_heads_last": Plug(exact.heads_last),
    "swiglu": Plug(into("feed_forward")),
    "grouped_query_attention": Plug(into("grouped_attention")),
    "fix_grouped_query_attention": Plug(into("grouped_attention")),
    "shared_attention": Plug(layers.tied, model="MiniLM", neutral=False),
    "fuse_memories": Plug(exact.in_memories, brief=True),
    "decode_step": Plug(into("cache")),
    "quantize_int8": Plug(approximate.quantized, neutral=False),
    "dequantize": Plug(approximate.dequantized, neutral=False),
    "fix_quantize_int8": Plug(approximate.quantized, neutral=False),
    "ring_attention": Plug(exact.in_shards, model="MiniLM"),
    "merge_attention": Plug(exact.in_halves),
    "blockwise_attention": Plug(exact.in_tiles, brief=True),
    "fix_blockwise_attention": Plug(exact.in_tiles, brief=True),
    "fix_chunked_prefill": Plug(in_chunks, cached=False, brief=True),
    "flash_forward_tile": Plug(exact.in_flash_tiles, brief=True),
    "fix_flash_tile": Plug(exact.in_flash_tiles, brief=True),
    "elu_feature_map": Plug(approximate.by_features, neutral=False, cached=False, brief=True),
    "linear_attention": Plug(without_mask, neutral=False, brief=True),
    "causal_linear_attention": Plug(in_chunks, neutral=False, cached=False, brief=True),
    "fix_causal_linear_attention": Plug(in_chunks, neutral=False, cached=False, brief=True),
    "positive_features": Plug(
        approximate.by_random_features, neutral=False, cached=False, brief=True
    ),
    "performer_attention": Plug(approximate.performer, neutral=False, cached=False, brief=True),
    "fix_performer_attention": Plug(approximate.performer, neutral=False, cached=False, brief=True),
    "sliding_window_mask": Plug(approximate.window_mask, neutral=False),
    "longformer_mask": Plug(approximate.window_and_first, neutral=False),
    "sliding_window_attention": Plug(
        approximate.window_attention, neutral=False, cached=False, brief=True
    ),
    "fix_sliding_window_attention": Plug(
        approximate.window_attention, neutral=False, cached=False, brief=True
    ),
    "topk_attention": Plug(approximate.top, neutral=False, brief=True),
    "truncated_svd": Plug(approximate.stripes, model="MiniLM", neutral=False),
    "linformer_attention": Plug(approximate.mixtures, model="MiniLM", neutral=False),
    "nystrom_attention": Plug(approximate.landmarks, model="MiniLM", neutral=False),
    "fix_nystrom_attention": Plug(approximate.landmarks, model="MiniLM", neutral=False),
    "ablate_heads": Plug(layers.without_copying_heads, neutral=False),
    "choose_mechanism": Plug(approximate.chosen, neutral=False, cached=False, brief=True),
    "threshold_attention": Plug(approximate.threshold, neutral=False, brief=True),
    "sparsemax": Plug(into("softmax"), neutral=False, brief=True),
    "sample": Plug(_nothing, writer=_writes("by_chance"), neutral=False, chance=True),
    "fix_sample": Plug(_nothing, writer=_writes("by_chance"), neutral=False, chance=True),
    "generate": Plug(_nothing, writer=_writes("by_loop"), brief=True),
    "kv_cache_generate": Plug(_nothing, writer=_writes("by_steps")),
    "beam_search": Plug(_nothing, writer=_writes("by_beam"), neutral=False, brief=True),
    "typical_filter": Plug(_nothing, writer=_writes("by_filter"), neutral=False, chance=True),
    "fix_repetition_penalty": Plug(_nothing, writer=_writes("by_penalty"), neutral=False),
    "layer_norm": Plug(into("norm"), model="MiniLM"),
    "multi_head_attention": Plug(into("multi_head_attention"), model="MiniLM"),
    "fix_expensive_heads": Plug(into("multi_head_attention"), model="MiniLM"),
    "fix_multi_head_attention": Plug(into("multi_head_attention"), model="MiniLM"),
    "fix_local_mask": Plug(approximate.window_attention, neutral=False, cached=False, brief=True),
    "fix_batch_axis": Plug(without_mask),
    "fix_weight_formula": Plug(without_mask),
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


def right(name: str) -> Function:
    """The library's function of that name, or the solution of the exercise."""
    return get(name).solution if name in names() else getattr(attncourse, name)


def offer(name: str) -> str:
    """One line on what to try after a check that passed; nothing where there is no model for it."""
    if name not in PLUGS and name not in BACKWARD:
        return ""
    return f"See it in a language model: from attncourse import in_a_model; in_a_model({name})"
