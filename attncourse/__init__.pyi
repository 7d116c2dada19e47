# Every public name and its home, once: editors and mypy read this file, and so does __init__.py.

from attncourse.core.flex import alibi_mod as alibi_mod
from attncourse.core.flex import bigbird_mod as bigbird_mod
from attncourse.core.flex import block_mod as block_mod
from attncourse.core.flex import causal_mod as causal_mod
from attncourse.core.flex import dilated_mod as dilated_mod
from attncourse.core.flex import fixed_mod as fixed_mod
from attncourse.core.flex import longformer_mod as longformer_mod
from attncourse.core.flex import padding_mod as padding_mod
from attncourse.core.flex import relative_mod as relative_mod
from attncourse.core.flex import sliding_window_mod as sliding_window_mod
from attncourse.core.flex import strided_mod as strided_mod
from attncourse.core.masks import causal_mask as causal_mask
from attncourse.core.masks import padding_mask as padding_mask
from attncourse.core.patterns import bigbird_mask as bigbird_mask
from attncourse.core.patterns import block_mask as block_mask
from attncourse.core.patterns import dilated_mask as dilated_mask
from attncourse.core.patterns import fixed_mask as fixed_mask
from attncourse.core.patterns import longformer_mask as longformer_mask
from attncourse.core.patterns import random_blocks as random_blocks
from attncourse.core.patterns import sliding_window_mask as sliding_window_mask
from attncourse.core.patterns import strided_mask as strided_mask
from attncourse.core.positions import alibi_bias as alibi_bias
from attncourse.core.positions import learned_positions as learned_positions
from attncourse.core.positions import rotary as rotary
from attncourse.core.positions import sinusoidal_positions as sinusoidal_positions
from attncourse.core.relative import relative_bias as relative_bias
from attncourse.core.relative import relative_buckets as relative_buckets
from attncourse.core.rotary_forms import interleaved_rotary as interleaved_rotary
from attncourse.core.rotary_forms import interpolated_rotary as interpolated_rotary
from attncourse.course.notebook import check as check
from attncourse.course.notebook import hint as hint
from attncourse.course.trying import in_a_model as in_a_model
from attncourse.measure.analytic import attention_flops as attention_flops
from attncourse.measure.analytic import attention_parameters as attention_parameters
from attncourse.measure.analytic import crossover_length as crossover_length
from attncourse.measure.analytic import kv_cache_bytes as kv_cache_bytes
from attncourse.measure.analytic import plain_attention_bytes as plain_attention_bytes
from attncourse.measure.analytic import tiled_attention_bytes as tiled_attention_bytes
from attncourse.measure.collapse import distance_from_mean as distance_from_mean
from attncourse.measure.cost import flops as flops
from attncourse.measure.cost import largest_tensor as largest_tensor
from attncourse.measure.cost import moved_bytes as moved_bytes
from attncourse.measure.cost import operators as operators
from attncourse.measure.cost import scaling_exponent as scaling_exponent
from attncourse.measure.devices import devices as devices
from attncourse.measure.memory import peak_bytes as peak_bytes
from attncourse.measure.overlap import bleu as bleu
from attncourse.measure.overlap import rouge_l as rouge_l
from attncourse.measure.perplexity import sliding_perplexity as sliding_perplexity
from attncourse.measure.prediction import predicted as predicted
from attncourse.measure.prediction import work_of as work_of
from attncourse.measure.roles import induction_score as induction_score
from attncourse.measure.rollout import attention_rollout as attention_rollout
from attncourse.measure.roofline import roofline_seconds as roofline_seconds
from attncourse.measure.roofline import sdpa_floor_bytes as sdpa_floor_bytes
from attncourse.measure.timing import median_seconds as median_seconds
from attncourse.measure.weights import entropy as entropy
from attncourse.mechanisms.content.adaptive_span import (
    adaptive_span_attention as adaptive_span_attention,
)
from attncourse.mechanisms.content.block_selection import (
    block_selection_attention as block_selection_attention,
)
from attncourse.mechanisms.content.entmax import entmax15 as entmax15
from attncourse.mechanisms.content.entmax import entmax15_attention as entmax15_attention
from attncourse.mechanisms.content.head_gates import expected_l0 as expected_l0
from attncourse.mechanisms.content.head_gates import gate_heads as gate_heads
from attncourse.mechanisms.content.head_gates import hard_concrete as hard_concrete
from attncourse.mechanisms.content.head_gates import head_importance as head_importance
from attncourse.mechanisms.content.head_gates import settled_gates as settled_gates
from attncourse.mechanisms.content.lsh import lsh_attention as lsh_attention
from attncourse.mechanisms.content.lsh import lsh_buckets as lsh_buckets
from attncourse.mechanisms.content.lsh import lsh_mask as lsh_mask
from attncourse.mechanisms.content.routing import routing_attention as routing_attention
from attncourse.mechanisms.content.routing import update_centroids as update_centroids
from attncourse.mechanisms.content.sparsemax import sparsemax as sparsemax
from attncourse.mechanisms.content.sparsemax import sparsemax_attention as sparsemax_attention
from attncourse.mechanisms.content.threshold import threshold_attention as threshold_attention
from attncourse.mechanisms.content.top_k import topk_attention as topk_attention
from attncourse.mechanisms.dense.additive import additive_scores as additive_scores
from attncourse.mechanisms.dense.bilinear import bilinear_scores as bilinear_scores
from attncourse.mechanisms.dense.cosine import cosine_scores as cosine_scores
from attncourse.mechanisms.dense.feed_forward import feed_forward as feed_forward
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward as gelu_feed_forward
from attncourse.mechanisms.dense.feed_forward import swiglu as swiglu
from attncourse.mechanisms.dense.heads import merge_heads as merge_heads
from attncourse.mechanisms.dense.heads import multi_head_attention as multi_head_attention
from attncourse.mechanisms.dense.heads import split_heads as split_heads
from attncourse.mechanisms.dense.layers import decoder_layer as decoder_layer
from attncourse.mechanisms.dense.layers import encoder_layer as encoder_layer
from attncourse.mechanisms.dense.layers import post_norm_decoder_layer as post_norm_decoder_layer
from attncourse.mechanisms.dense.layers import post_norm_encoder_layer as post_norm_encoder_layer
from attncourse.mechanisms.dense.lookup import soft_lookup as soft_lookup
from attncourse.mechanisms.dense.lookup import weighted_mean as weighted_mean
from attncourse.mechanisms.dense.norms import layer_norm as layer_norm
from attncourse.mechanisms.dense.norms import rms_norm as rms_norm
from attncourse.mechanisms.dense.self_attention import cross_attention as cross_attention
from attncourse.mechanisms.dense.self_attention import self_attention as self_attention
from attncourse.mechanisms.dense.softmax import attention as attention
from attncourse.mechanisms.dense.softmax import masked_softmax as masked_softmax
from attncourse.mechanisms.dense.softmax import softmax as softmax
from attncourse.mechanisms.dense.whiteboard import (
    attention_with_weights as attention_with_weights,
)
from attncourse.mechanisms.dense.whiteboard import (
    multi_head_from_slices as multi_head_from_slices,
)
from attncourse.mechanisms.exact.backward import attention_backward as attention_backward
from attncourse.mechanisms.exact.backward import softmax_backward as softmax_backward
from attncourse.mechanisms.exact.backward import with_backward as with_backward
from attncourse.mechanisms.exact.blockwise import blockwise_attention as blockwise_attention
from attncourse.mechanisms.exact.merging import attention_and_lse as attention_and_lse
from attncourse.mechanisms.exact.merging import merge_attention as merge_attention
from attncourse.mechanisms.exact.tile import flash_forward_tile as flash_forward_tile
from attncourse.mechanisms.linear.delta_rule import delta_rule as delta_rule
from attncourse.mechanisms.linear.delta_rule import delta_rule_segment as delta_rule_segment
from attncourse.mechanisms.linear.delta_rule import delta_rule_step as delta_rule_step
from attncourse.mechanisms.linear.gated_linear import (
    gated_linear_attention as gated_linear_attention,
)
from attncourse.mechanisms.linear.gated_linear import (
    gated_linear_attention_segment as gated_linear_attention_segment,
)
from attncourse.mechanisms.linear.gated_linear import (
    gated_linear_attention_step as gated_linear_attention_step,
)
from attncourse.mechanisms.linear.kernel_attention import (
    causal_kernel_attention as causal_kernel_attention,
)
from attncourse.mechanisms.linear.kernel_attention import kernel_attention as kernel_attention
from attncourse.mechanisms.linear.linear_transformer import (
    causal_linear_attention as causal_linear_attention,
)
from attncourse.mechanisms.linear.linear_transformer import elu_feature_map as elu_feature_map
from attncourse.mechanisms.linear.linear_transformer import linear_attention as linear_attention
from attncourse.mechanisms.linear.linear_transformer import (
    linear_attention_segment as linear_attention_segment,
)
from attncourse.mechanisms.linear.linear_transformer import (
    linear_attention_step as linear_attention_step,
)
from attncourse.mechanisms.linear.performer import (
    causal_performer_attention as causal_performer_attention,
)
from attncourse.mechanisms.linear.performer import gaussian_features as gaussian_features
from attncourse.mechanisms.linear.performer import orthogonal_features as orthogonal_features
from attncourse.mechanisms.linear.performer import performer_attention as performer_attention
from attncourse.mechanisms.linear.performer import positive_features as positive_features
from attncourse.mechanisms.linear.performer import trigonometric_features as trigonometric_features
from attncourse.mechanisms.linear.retention import retention as retention
from attncourse.mechanisms.linear.retention import retention_segment as retention_segment
from attncourse.mechanisms.linear.retention import retention_step as retention_step
from attncourse.mechanisms.low_rank.block_term import block_term_attention as block_term_attention
from attncourse.mechanisms.low_rank.block_term import block_term_parameters as block_term_parameters
from attncourse.mechanisms.low_rank.block_term import block_term_tensor as block_term_tensor
from attncourse.mechanisms.low_rank.factors import factored_linear as factored_linear
from attncourse.mechanisms.low_rank.factors import truncated_svd as truncated_svd
from attncourse.mechanisms.low_rank.linformer import linformer_attention as linformer_attention
from attncourse.mechanisms.low_rank.nystrom import iterative_inverse as iterative_inverse
from attncourse.mechanisms.low_rank.nystrom import nystrom_attention as nystrom_attention
from attncourse.mechanisms.low_rank.nystrom import (
    nystrom_attention_exact_inverse as nystrom_attention_exact_inverse,
)
from attncourse.mechanisms.low_rank.nystrom import segment_means as segment_means
from attncourse.mechanisms.patterns.bigbird import bigbird_attention as bigbird_attention
from attncourse.mechanisms.patterns.block_local import block_attention as block_attention
from attncourse.mechanisms.patterns.flexible import flexible_attention as flexible_attention
from attncourse.mechanisms.patterns.longformer import longformer_attention as longformer_attention
from attncourse.mechanisms.patterns.sliding_window import (
    sliding_window_attention as sliding_window_attention,
)
from attncourse.mechanisms.patterns.strided import dilated_attention as dilated_attention
from attncourse.mechanisms.patterns.strided import strided_attention as strided_attention
from attncourse.mechanisms.serving.cache import KVCache as KVCache
from attncourse.mechanisms.serving.cache import RollingCache as RollingCache
from attncourse.mechanisms.serving.decoding import cached_attention as cached_attention
from attncourse.mechanisms.serving.decoding import decode_step as decode_step
from attncourse.mechanisms.serving.decoding import grouped_decode_step as grouped_decode_step
from attncourse.mechanisms.serving.distributed_ring import (
    ring_attention_distributed as ring_attention_distributed,
)
from attncourse.mechanisms.serving.paged import paged_attention as paged_attention
from attncourse.mechanisms.serving.pages import PagedCache as PagedCache
from attncourse.mechanisms.serving.quantize import dequantize as dequantize
from attncourse.mechanisms.serving.quantize import quantize_channels as quantize_channels
from attncourse.mechanisms.serving.quantize import quantize_int8 as quantize_int8
from attncourse.mechanisms.serving.quantize import quantized_attention as quantized_attention
from attncourse.mechanisms.serving.quantize import quantized_linear as quantized_linear
from attncourse.mechanisms.serving.ring import causal_ring_attention as causal_ring_attention
from attncourse.mechanisms.serving.ring import ring_attention as ring_attention
from attncourse.mechanisms.sharing.cross_layer import (
    shared_key_value_layers as shared_key_value_layers,
)
from attncourse.mechanisms.sharing.cross_layer import shared_layers as shared_layers
from attncourse.mechanisms.sharing.cross_layer import shared_weights_layers as shared_weights_layers
from attncourse.mechanisms.sharing.fusion import fuse_memories as fuse_memories
from attncourse.mechanisms.sharing.fusion import gated_fusion as gated_fusion
from attncourse.mechanisms.sharing.fusion import hierarchical_fusion as hierarchical_fusion
from attncourse.mechanisms.sharing.fusion import parallel_fusion as parallel_fusion
from attncourse.mechanisms.sharing.fusion import serial_fusion as serial_fusion
from attncourse.mechanisms.sharing.grouped_query import (
    grouped_query_attention as grouped_query_attention,
)
from attncourse.mechanisms.sharing.segments import segment_attention as segment_attention
from attncourse.mechanisms.sharing.segments import segment_recurrence as segment_recurrence
from attncourse.mechanisms.sharing.shared import shared_attention as shared_attention
from attncourse.mechanisms.sharing.shared import signed_shared_attention as signed_shared_attention
from attncourse.models.ablation import ablate_heads as ablate_heads
from attncourse.models.decoder import Decoder as Decoder
from attncourse.models.decoder import DecoderConfig as DecoderConfig
from attncourse.models.encoder import Encoder as Encoder
from attncourse.models.encoder import EncoderConfig as EncoderConfig
from attncourse.models.generation import beam_search as beam_search
from attncourse.models.generation import generate as generate
from attncourse.models.generation import kept_probabilities as kept_probabilities
from attncourse.models.generation import kv_cache_generate as kv_cache_generate
from attncourse.models.generation import sample as sample
from attncourse.models.llama import Llama as Llama
from attncourse.models.llama import LlamaConfig as LlamaConfig
from attncourse.models.pretrained.minilm import MiniLM as MiniLM
from attncourse.models.pretrained.smollm import SmolLM as SmolLM
from attncourse.models.t5 import T5 as T5
from attncourse.models.t5 import T5Config as T5Config
from attncourse.models.transformer import Transformer as Transformer
from attncourse.models.transformer import TransformerConfig as TransformerConfig
from attncourse.models.vision_transformer import VisionTransformer as VisionTransformer
from attncourse.models.vision_transformer import VisionTransformerConfig as VisionTransformerConfig

__version__: str
