"""A course on attention: mechanisms, measurements and exercises that name your mistake.

Names are loaded when first used, so that ``import attncourse`` costs little more than torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "core.flex": (
        "alibi_mod bigbird_mod block_mod causal_mod dilated_mod fixed_mod"
        " longformer_mod padding_mod relative_mod sliding_window_mod strided_mod"
    ),
    "core.masks": "causal_mask padding_mask",
    "core.patterns": (
        "bigbird_mask block_mask dilated_mask fixed_mask"
        " longformer_mask random_blocks sliding_window_mask strided_mask"
    ),
    "core.positions": "alibi_bias learned_positions rotary sinusoidal_positions",
    "core.relative": "relative_bias relative_buckets",
    "mechanisms.content.adaptive_span": "adaptive_span_attention",
    "mechanisms.dense.additive": "additive_scores",
    "mechanisms.exact.backward": "attention_backward softmax_backward",
    "mechanisms.patterns.bigbird": "bigbird_attention",
    "mechanisms.dense.bilinear": "bilinear_scores",
    "mechanisms.patterns.block_local": "block_attention",
    "mechanisms.content.block_selection": "block_selection_attention",
    "mechanisms.low_rank.block_term": (
        "block_term_attention block_term_parameters block_term_tensor"
    ),
    "mechanisms.exact.blockwise": "blockwise_attention",
    "mechanisms.exact.merging": "attention_and_lse merge_attention",
    "mechanisms.serving.cache": "KVCache RollingCache",
    "mechanisms.serving.decoding": "cached_attention decode_step grouped_decode_step",
    "mechanisms.dense.cosine": "cosine_scores",
    "mechanisms.sharing.cross_layer": "shared_key_value_layers shared_layers shared_weights_layers",
    "mechanisms.linear.delta_rule": "delta_rule delta_rule_segment delta_rule_step",
    "mechanisms.content.entmax": "entmax15 entmax15_attention",
    "mechanisms.dense.feed_forward": "feed_forward gelu_feed_forward swiglu",
    "mechanisms.patterns.flexible": "flexible_attention",
    "mechanisms.sharing.fusion": (
        "fuse_memories gated_fusion hierarchical_fusion parallel_fusion serial_fusion"
    ),
    "mechanisms.linear.gated_linear": (
        "gated_linear_attention gated_linear_attention_segment gated_linear_attention_step"
    ),
    "mechanisms.sharing.grouped_query": "grouped_query_attention",
    "mechanisms.content.head_gates": (
        "expected_l0 gate_heads hard_concrete head_importance settled_gates"
    ),
    "mechanisms.dense.heads": "merge_heads multi_head_attention split_heads",
    "mechanisms.linear.kernel_attention": "causal_kernel_attention kernel_attention",
    "mechanisms.dense.layers": (
        "decoder_layer encoder_layer post_norm_decoder_layer post_norm_encoder_layer"
    ),
    "mechanisms.linear.linear_transformer": (
        "causal_linear_attention elu_feature_map"
        " linear_attention linear_attention_segment linear_attention_step"
    ),
    "mechanisms.low_rank.linformer": "linformer_attention",
    "mechanisms.patterns.longformer": "longformer_attention",
    "mechanisms.dense.lookup": "soft_lookup weighted_mean",
    "mechanisms.low_rank.factors": "factored_linear truncated_svd",
    "mechanisms.content.lsh": "lsh_attention lsh_buckets lsh_mask",
    "mechanisms.dense.norms": "layer_norm rms_norm",
    "mechanisms.low_rank.nystrom": (
        "iterative_inverse nystrom_attention nystrom_attention_exact_inverse segment_means"
    ),
    "mechanisms.serving.paged": "paged_attention",
    "mechanisms.serving.pages": "PagedCache",
    "mechanisms.linear.performer": (
        "causal_performer_attention gaussian_features orthogonal_features"
        " performer_attention positive_features trigonometric_features"
    ),
    "mechanisms.serving.quantize": (
        "dequantize quantize_channels quantize_int8 quantized_attention quantized_linear"
    ),
    "mechanisms.linear.retention": "retention retention_segment retention_step",
    "mechanisms.serving.distributed_ring": "ring_attention_distributed",
    "mechanisms.serving.ring": "causal_ring_attention ring_attention",
    "mechanisms.content.routing": "routing_attention update_centroids",
    "mechanisms.sharing.segments": "segment_attention segment_recurrence",
    "mechanisms.dense.self_attention": "cross_attention self_attention",
    "mechanisms.sharing.shared": "shared_attention signed_shared_attention",
    "mechanisms.patterns.sliding_window": "sliding_window_attention",
    "mechanisms.dense.softmax": "attention masked_softmax softmax",
    "mechanisms.content.sparsemax": "sparsemax sparsemax_attention",
    "mechanisms.patterns.strided": "dilated_attention strided_attention",
    "mechanisms.content.threshold": "threshold_attention",
    "mechanisms.content.top_k": "topk_attention",
    "models.decoder": "Decoder DecoderConfig",
    "models.encoder": "Encoder EncoderConfig",
    "models.transformer": "Transformer TransformerConfig",
    "models.vision_transformer": "VisionTransformer VisionTransformerConfig",
    "measure.analytic": "attention_flops attention_parameters crossover_length kv_cache_bytes",
    "measure.cost": "flops largest_tensor operators scaling_exponent",
    "measure.memory": "peak_bytes",
    "measure.roofline": "roofline_seconds sdpa_floor_bytes",
    "measure.timing": "median_seconds",
    "measure.weights": "entropy",
    "course.notebook": "check hint",
}
_HOME_OF = {name: f"attncourse.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'attncourse' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
