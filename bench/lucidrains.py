"""Peers by one author, each a package of its own."""

from functools import partial
from typing import Any

import torch
from adapters import (
    Given,
    causal_softmax_features,
    double_softmax,
    heads_of_rows,
    peer,
    rows_of_heads,
    without_dropout,
)
from torch import Tensor, nn

from attncourse.measure.bench import exact, linear, sparse
from attncourse.measure.bench.case import Case
from attncourse.mechanisms.content import lsh, routing, top_k
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.low_rank import linformer, nystrom
from attncourse.mechanisms.patterns import sliding_window as window


def memory_efficient() -> list[Case]:
    """Attention in chunks, after Rabe and Staats."""
    from memory_efficient_attention_pytorch.memory_efficient_attention import (
        memory_efficient_attention,
    )

    make = partial(peer, "memory-efficient-attention-pytorch", growth=2.0)
    causal = partial(memory_efficient_attention, causal=True)
    return [
        make("full", memory_efficient_attention, softmax.attention),
        make("full, causal", causal, exact.causal_by_definition),
    ]


def local() -> list[Case]:
    """A sliding window by chunks that look at their neighbours."""
    from local_attention import LocalAttention

    def case(mechanism: str, causal: bool) -> Case:
        module = LocalAttention(
            sparse.WINDOW,
            causal=causal,
            exact_windowsize=True,
            autopad=True,
            use_rotary_pos_emb=False,
        )
        definition = partial(
            window.sliding_window_attention_by_definition, window=sparse.WINDOW, causal=causal
        )
        return peer("local-attention", mechanism, module, definition, check_length=1024)

    return [case("window 256", False), case("window 256, causal", True)]


def top() -> list[Case]:
    """The largest scores of each row."""
    from x_transformers.attend import Attend

    module = Attend(sparse_topk=32)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return module(q, k, v)[0]

    definition = partial(top_k.topk_attention_by_definition, top=32)
    return [peer("x-transformers", "top-k 32", run, definition, growth=2.0, longest=4096)]


def linears() -> list[Case]:
    """Linear attention with softmax features; causal in blocks of 64 and one by one."""
    from linear_attention_transformer.linear_attention_transformer import (
        causal_linear_attn,
        linear_attn,
    )

    make = partial(peer, "linear-attention-transformer", check_length=320)
    remark = "softmax features"
    blocks = partial(causal_linear_attn, bucket_size=64)
    single = partial(causal_linear_attn, bucket_size=1)
    return [
        make("linear", linear_attn, double_softmax, remark=remark),
        make("linear, causal", blocks, causal_softmax_features, remark=f"{remark}, blocks of 64"),
        make(
            "linear, causal, one by one",
            single,
            causal_softmax_features,
            remark=remark,
            tolerance=1e-3,
        ),
    ]


def nystrom_cases() -> list[Case]:
    """Nyström attention, its projections replaced by what they would give."""
    from nystrom_attention import NystromAttention

    def module(q: Tensor, landmarks: int) -> nn.Module:
        made = NystromAttention(
            q.shape[1] * 64, heads=q.shape[1], num_landmarks=landmarks, residual=False
        )
        made.to_qkv, made.to_out = Given(), nn.Identity()
        return without_dropout(made)

    def native(q: Tensor, k: Tensor, v: Tensor, *, landmarks: int) -> tuple[Any, ...]:
        return module(q, landmarks), torch.cat([rows_of_heads(x) for x in (q, k, v)], -1)

    def run(made: Any, qkv: Tensor) -> Tensor:
        made.to_qkv.tensor = qkv
        return made(qkv[..., : qkv.shape[-1] // 3])

    return [
        peer(
            "nystrom-attention",
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


def linformers() -> list[Case]:
    """Linformer, its projections of the width replaced, those of the length ours."""
    from linformer import LinformerSelfAttention

    def native(q: Tensor, k: Tensor, v: Tensor, proj_k: Tensor, proj_v: Tensor) -> tuple[Any, ...]:
        made = LinformerSelfAttention(q.shape[1] * 64, q.shape[2], k=linear.RANK, heads=q.shape[1])
        made.to_q, made.to_k, made.to_v, made.to_out = Given(), Given(), Given(), nn.Identity()
        del made.proj_k, made.proj_v
        projections = proj_k.mT.contiguous(), proj_v.mT.contiguous()
        return without_dropout(made), *(rows_of_heads(x) for x in (q, k, v)), *projections

    def run(made: Any, q: Tensor, k: Tensor, v: Tensor, proj_k: Tensor, proj_v: Tensor) -> Tensor:
        made.to_q.tensor, made.to_k.tensor, made.to_v.tensor = q, k, v
        made.proj_k, made.proj_v = proj_k, proj_v
        return made(q)

    return [
        peer(
            "linformer",
            "Linformer 256",
            run,
            linformer.linformer_attention_by_definition,
            inputs=linear.with_projections,
            native=native,
            result=heads_of_rows,
        )
    ]


def reformer() -> list[Case]:
    """LSH attention; the rotations that it draws are those of the definition."""
    from reformer_pytorch import LSHAttention

    module = LSHAttention(
        bucket_size=sparse.LSH_CHUNK,
        n_hashes=sparse.LSH_ROUNDS,
        allow_duplicate_attention=False,
        attend_across_buckets=False,
    ).eval()

    def run(qk: Tensor, v: Tensor, _: Tensor) -> Tensor:
        torch.manual_seed(0)
        return module(qk.flatten(0, 1), v.flatten(0, 1))[0].unflatten(0, (1, -1))

    def definition(qk: Tensor, v: Tensor, rotations: Tensor) -> Tensor:
        torch.manual_seed(0)
        rounds, d, half = rotations.shape
        drawn = torch.randn(1, d, rounds, half)[0].transpose(0, 1).to(qk)
        return lsh.lsh_attention_by_definition(qk, v, drawn, chunk=sparse.LSH_CHUNK)

    return [
        peer(
            "reformer-pytorch",
            "LSH, 4 rounds, chunks of 64",
            run,
            definition,
            inputs=sparse.with_rotations,
            check_length=1024,
        )
    ]


def routings() -> list[Case]:
    """Routing by k-means, its centroids ours and kept as they are."""
    from routing_transformer.routing_transformer import KmeansAttention

    def native(q: Tensor, k: Tensor, v: Tensor, centroids: Tensor) -> tuple[Any, ...]:
        made = KmeansAttention(centroids.shape[-2], sparse.CLUSTER, q.shape[1], q.shape[-1])
        made.kmeans.means.copy_(centroids[0].detach())
        made.kmeans.initted.fill_(True)
        return without_dropout(made), q, k, v, centroids

    def run(made: Any, q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> Tensor:
        return made(q, k, v)[0]

    return [
        peer(
            "routing-transformer",
            "routing, clusters of 256",
            run,
            partial(routing.routing_attention_by_definition, top=sparse.CLUSTER),
            inputs=sparse.with_centroids,
            native=native,
            check_length=1024,
        )
    ]


PEERS = {
    "memory-efficient-attention-pytorch": memory_efficient,
    "local-attention": local,
    "x-transformers": top,
    "linear-attention-transformer": linears,
    "nystrom-attention": nystrom_cases,
    "linformer": linformers,
    "reformer-pytorch": reformer,
    "routing-transformer": routings,
}
