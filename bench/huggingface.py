"""Peers in transformers: modules whose projections are replaced by what they would give."""

from functools import partial
from typing import Any

import torch
from adapters import Given, heads_of_rows, peer, rows_of_heads, without_dropout
from torch import Tensor, nn

from attncourse.measure.bench import sparse
from attncourse.measure.bench.case import Case
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.low_rank import nystrom
from attncourse.mechanisms.patterns import longformer
from attncourse.mechanisms.patterns import sliding_window as window

PROJECTIONS = "query", "key", "value"


def _given(module: nn.Module) -> nn.Module:
    """The module with stand-ins for its projections, global ones too."""
    for name in PROJECTIONS:
        setattr(module, name, Given())
        if hasattr(module, f"{name}_global"):
            setattr(module, f"{name}_global", Given())
    return without_dropout(module)


def longformers() -> list[Case]:
    """Longformer's attention with 256 on each side, without and with 16 global tokens."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    def native(q: Tensor, k: Tensor, v: Tensor) -> tuple[Any, ...]:
        h = q.shape[1]
        config = LongformerConfig(
            hidden_size=h * 64, num_attention_heads=h, attention_window=[2 * sparse.WINDOW]
        )
        rows = (rows_of_heads(x).transpose(0, 1) for x in (q, k, v))
        return _given(LongformerSelfAttention(config, 0)), *rows

    def run(module: Any, q: Tensor, k: Tensor, v: Tensor, *, tokens: int) -> Tensor:
        # the module divides what its projections give in place: it gets queries of its own
        module.query.tensor, module.key.tensor, module.value.tensor = q.clone(), k, v
        module.query_global.tensor = q[:tokens].clone()
        module.key_global.tensor, module.value_global.tensor = k, v
        is_global = torch.arange(len(q))[None] < tokens
        return module(
            q.transpose(0, 1),
            attention_mask=10000.0 * is_global,
            is_index_masked=torch.zeros_like(is_global),
            is_index_global_attn=is_global,
            is_global_attn=tokens > 0,
        )[0]

    make = partial(peer, "transformers", native=native, result=heads_of_rows, check_length=1024)
    return [
        make(
            "window 256",
            partial(run, tokens=0),
            partial(window.sliding_window_attention_by_definition, window=sparse.WINDOW),
        ),
        make(
            "window 256 + 16 global",
            partial(run, tokens=len(sparse.GLOBAL)),
            partial(
                longformer.longformer_attention_by_definition,
                window=sparse.WINDOW,
                global_tokens=sparse.GLOBAL,
            ),
        ),
    ]


def nystromformer() -> list[Case]:
    """Nyströmformer's attention without its convolution."""
    from transformers import NystromformerConfig
    from transformers.models.nystromformer.modeling_nystromformer import (
        NystromformerSelfAttention,
    )

    def native(q: Tensor, k: Tensor, v: Tensor, *, landmarks: int) -> tuple[Any, ...]:
        h, n = q.shape[1:3]
        config = NystromformerConfig(
            hidden_size=h * 64,
            num_attention_heads=h,
            num_landmarks=landmarks,
            segment_means_seq_len=n,
            inv_coeff_init_option=False,
        )
        made = NystromformerSelfAttention(config)
        made.conv_kernel_size = None
        return _given(made), *(rows_of_heads(x) for x in (q, k, v))

    def run(module: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        module.query.tensor, module.key.tensor, module.value.tensor = q, k, v
        return module(q)[0]

    return [
        peer(
            "transformers",
            f"Nyström {landmarks}",
            run,
            partial(nystrom.nystrom_attention_by_definition, landmarks=landmarks),
            native=partial(native, landmarks=landmarks),
            result=heads_of_rows,
            check_length=1024,
            tolerance=5e-2,
            remark="scales its inverse by all heads",
        )
        for landmarks in (64, 256)
    ]


def bigbird() -> list[Case]:
    """BigBird's block-sparse attention in training mode: evaluation draws no random blocks."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import (
        BigBirdBlockSparseAttention,
        BigBirdModel,
    )

    def module_of(h: int, n: int) -> Any:
        config = BigBirdConfig(
            hidden_size=h * 64,
            num_attention_heads=h,
            block_size=sparse.BIGBIRD_BLOCK,
            num_random_blocks=sparse.BIGBIRD_RANDOM,
            max_position_embeddings=n,  # larger ones draw blocks that are global already
            attention_probs_dropout_prob=0.0,
        )
        return _given(BigBirdBlockSparseAttention(config, seed=0)).train()

    def native(q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> tuple[Any, ...]:
        ones = torch.ones(1, q.shape[2])
        blocked, band, start, end = BigBirdModel.create_masks_for_block_sparse_attn(
            ones, sparse.BIGBIRD_BLOCK
        )
        masks = {
            "band_mask": band,
            "from_mask": start,
            "to_mask": end,
            "from_blocked_mask": blocked,
            "to_blocked_mask": blocked,
        }
        run_with = partial(module_of(q.shape[1], q.shape[2]), **masks)
        return run_with, *(rows_of_heads(x) for x in (q, k, v))

    def run(call: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        module = call.func
        module.query.tensor, module.key.tensor, module.value.tensor = q, k, v
        return call(q)[0]

    def definition(q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> Tensor:
        mask = _bigbird_mask(module_of(q.shape[1], q.shape[2]), q.shape[1], q.shape[2])
        return softmax.attention(q, k, v, mask=mask[None])

    return [
        peer(
            "transformers",
            "BigBird, blocks of 64",
            run,
            definition,
            inputs=sparse.with_random_blocks,
            native=native,
            result=heads_of_rows,
            check_length=1024,
            remark="random blocks by head",
        )
    ]


def _bigbird_mask(module: Any, h: int, n: int) -> Tensor:
    """The mask (h, n, n) of the blocks that the module draws, where n = 1024 alone."""
    import numpy as np

    block, r, blocks = module.block_size, module.num_random_blocks, n // module.block_size
    np.random.seed(module.seed)
    seen = torch.eye(blocks, dtype=torch.bool)
    seen = (seen | seen.roll(1, 0) | seen.roll(-1, 0)).repeat(h, 1, 1)
    seen[:, [0, -1]], seen[:, :, [0, -1]] = True, True
    for head in range(h):
        drawn = module._bigbird_block_rand_mask(
            module.max_seqlen, module.max_seqlen, block, block, r, last_idx=1024
        )
        for row, columns in enumerate(drawn[: blocks - 2], start=1):
            seen[head, row, columns] = True
    return seen.repeat_interleave(block, 1).repeat_interleave(block, 2)


def cases() -> list[Case]:
    """All of them."""
    return [*longformers(), *nystromformer(), *bigbird()]


PEERS = {"transformers": cases}
