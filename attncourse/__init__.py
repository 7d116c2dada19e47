"""A course on attention: mechanisms, measurements and exercises that name your mistake.

Names are loaded when first used, so that ``import attncourse`` costs little more than torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "core.masks": ("causal_mask", "padding_mask"),
    "core.positions": ("alibi_bias", "rotary", "sinusoidal_positions"),
    "mechanisms.additive": ("additive_scores",),
    "mechanisms.backward": ("attention_backward", "softmax_backward"),
    "mechanisms.bilinear": ("bilinear_scores",),
    "mechanisms.blockwise": ("blockwise_attention", "merge_attention"),
    "mechanisms.cosine": ("cosine_scores",),
    "mechanisms.heads": ("merge_heads", "multi_head_attention", "split_heads"),
    "mechanisms.layers": ("decoder_layer", "encoder_layer", "feed_forward", "layer_norm"),
    "mechanisms.lookup": ("soft_lookup", "weighted_mean"),
    "mechanisms.self_attention": ("cross_attention", "self_attention"),
    "mechanisms.softmax": ("attention", "masked_softmax", "softmax"),
    "measure.analytic": (
        "attention_flops",
        "attention_parameters",
        "crossover_length",
        "kv_cache_bytes",
    ),
    "measure.cost": ("flops", "largest_tensor", "operators", "scaling_exponent"),
    "measure.weights": ("entropy",),
    "course.notebook": ("check", "hint"),
}
_HOME_OF = {name: f"attncourse.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'attncourse' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
