"""Peers in PyTorch (FlexAttention), entmax, fast-transformers and flash-linear-attention."""

import math
from functools import partial
from typing import Any

import torch
from adapters import heads_first, peer, tokens_first, without_dropout
from torch import Tensor

from attncourse.measure.bench import exact, linear, sparse
from attncourse.measure.bench.case import Case, Inputs, Size
from attncourse.mechanisms.content import entmax, sparsemax, top_k
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.linear import delta_rule, linear_transformer, performer, retention
from attncourse.mechanisms.patterns import sliding_window as window


def fixed(function: Any) -> Any:
    """The function with its last argument a constant, without a gradient."""

    def run(*inputs: Tensor) -> Tensor:
        return function(*inputs[:-1], inputs[-1].detach())

    return run


def small_with_features(size: Size) -> Inputs:
    """Queries and keys of a quarter of the usual scale, values, and directions."""
    q, k, v, w = linear.with_features(size)
    return q / 4, k / 4, v, w


def flex() -> list[Case]:
    """FlexAttention, compiled; on the CPU it has no backward pass."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.config.recompile_limit = 100

    def native(q: Tensor, k: Tensor, v: Tensor, *, seen: Any) -> tuple[Any, ...]:
        n = q.shape[2]
        mask = create_block_mask(seen, None, None, n, n, device="cpu") if seen else None
        return torch.compile(flex_attention, dynamic=False), q, k, v, mask

    def run(attend: Any, q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
        return attend(q, k, v, block_mask=mask)

    def make(mechanism: str, seen: Any, definition: Any, growth: float) -> Case:
        return Case(
            mechanism,
            run,
            definition,
            growth=growth,
            implementation="PyTorch, FlexAttention",
            native=partial(native, seen=seen),
            check_length=777,
            countable=False,
            differentiable=False,
        )

    def near(b: Any, h: Any, i: Any, j: Any) -> Any:
        return (i - j <= sparse.WINDOW) & (j - i <= sparse.WINDOW)

    def near_before(b: Any, h: Any, i: Any, j: Any) -> Any:
        return (i - j <= sparse.WINDOW) & (j <= i)

    def before(b: Any, h: Any, i: Any, j: Any) -> Any:
        return j <= i

    windowed = partial(window.sliding_window_attention_by_definition, window=sparse.WINDOW)
    return [
        make("full", None, softmax.attention, 2.0),
        make("full, causal", before, exact.causal_by_definition, 2.0),
        make("window 256", near, windowed, 1.0),
        make("window 256, causal", near_before, partial(windowed, causal=True), 1.0),
    ]


def sparse_weights() -> list[Case]:
    """The mappings of the package entmax over dense scores."""
    from entmax import entmax15, entmax_bisect
    from entmax import sparsemax as sparsemax_of

    def attend(q: Tensor, k: Tensor, v: Tensor, *, weigh: Any) -> Tensor:
        return weigh(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v

    def make(mechanism: str, weigh: Any, definition: Any, remark: str, longest: int) -> Case:
        return peer(
            "entmax",
            mechanism,
            partial(attend, weigh=weigh),
            definition,
            growth=2.0,
            longest=longest,
            remark=remark,
        )

    sorted_, exact_entmax = (
        sparsemax.sparsemax_attention_by_definition,
        (entmax.entmax15_attention_by_definition),
    )
    bisected = partial(entmax_bisect, alpha=1.5)
    return [
        make("sparsemax", sparsemax_of, sorted_, "sorts", 2048),
        make("sparsemax, k = 128", partial(sparsemax_of, k=128), sorted_, "sorts 128", 4096),
        make("entmax 1.5", entmax15, exact_entmax, "sorts", 2048),
        make("entmax 1.5, k = 128", partial(entmax15, k=128), exact_entmax, "sorts 128", 4096),
        make("entmax 1.5, bisection", bisected, exact_entmax, "bisects", 1024),
    ]


def fast_transformers() -> list[Case]:
    """Modules of pytorch-fast-transformers, whose C++ parts have to be built."""
    from fast_transformers.attention import (
        CausalLinearAttention,
        ExactTopKAttention,
        FullAttention,
        LinearAttention,
        LocalAttention,
    )
    from fast_transformers.feature_maps import Favor
    from fast_transformers.masking import FullMask, LengthMask, TriangularCausalMask

    half = linear.RANK // 2

    def favor(omega: Tensor) -> Any:
        def make(d: int) -> Any:
            features = Favor(d, n_dims=linear.RANK, deterministic_eval=True)
            features.omega.copy_(omega)
            return without_dropout(features)

        return make

    def native(q: Tensor, k: Tensor, v: Tensor, *rest: Tensor, make: Any) -> tuple[Any, ...]:
        n = q.shape[2]
        module = without_dropout(make(*(x[:half].mT.detach() for x in rest)))
        causal = isinstance(module, CausalLinearAttention)
        mask = TriangularCausalMask(n) if causal else FullMask(n)
        lengths = LengthMask(torch.tensor([n]))
        return (module, mask, lengths), *(tokens_first(x) for x in (q, k, v))

    def run(made: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        module, mask, lengths = made
        return module(q, k, v, mask, lengths, lengths)

    def case(mechanism: str, make: Any, definition: Any, **options: Any) -> Case:
        return peer(
            "pytorch-fast-transformers",
            mechanism,
            run,
            definition,
            native=partial(native, make=make),
            result=heads_first,
            **options,
        )

    def symmetric(q: Tensor, k: Tensor, v: Tensor, w: Tensor) -> Tensor:
        both = torch.cat([w[:half], -w[:half]]).detach()
        return performer.performer_attention_by_definition(q, k, v, both)

    def symmetric_causal(q: Tensor, k: Tensor, v: Tensor, w: Tensor) -> Tensor:
        both = torch.cat([w[:half], -w[:half]]).detach()
        return performer.causal_performer_attention_by_definition(q, k, v, both, chunk=linear.CHUNK)

    causal_linear = partial(
        linear_transformer.causal_linear_attention_by_definition, chunk=linear.CHUNK
    )
    features = {"inputs": linear.with_features, "tolerance": 1e-2}
    return [
        case("full", FullAttention, softmax.attention, growth=2.0),
        case(
            "linear", lambda: LinearAttention(64), linear_transformer.linear_attention_by_definition
        ),
        case("linear, causal", lambda: CausalLinearAttention(64), causal_linear, countable=False),
        case(
            "window 256",
            lambda: LocalAttention(2 * sparse.WINDOW + 1),
            partial(window.sliding_window_attention_by_definition, window=sparse.WINDOW),
            check_length=777,
            countable=False,
        ),
        case(
            "top-k 32",
            lambda: ExactTopKAttention(32),
            partial(top_k.topk_attention_by_definition, top=32),
            growth=2.0,
            longest=4096,
        ),
        case("Performer 256", lambda o: LinearAttention(64, favor(o)), symmetric, **features),
        case(
            "Performer 256, causal",
            lambda o: CausalLinearAttention(64, favor(o)),
            symmetric_causal,
            countable=False,
            **features,
        ),
    ]


def performers() -> list[Case]:
    """performer-pytorch with our directions; it adds a constant to every feature."""
    from performer_pytorch import FastAttention

    def native(q: Tensor, k: Tensor, v: Tensor, w: Tensor, *, causal: bool) -> tuple[Any, ...]:
        module = FastAttention(64, nb_features=len(w), causal=causal)
        module.projection_matrix.copy_(w.detach())
        return without_dropout(module), q, k, v, w

    def run(module: Any, q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> Tensor:
        return module(q, k, v)

    causal = partial(performer.causal_performer_attention_by_definition, chunk=linear.CHUNK)
    make = partial(
        peer,
        "performer-pytorch",
        inputs=small_with_features,
        tolerance=5e-2,
        remark="q and k at a quarter of the scale: it adds 1e-4 to features",
    )
    return [
        make(
            "Performer 256",
            run,
            fixed(performer.performer_attention_by_definition),
            native=partial(native, causal=False),
        ),
        make("Performer 256, causal", run, fixed(causal), native=partial(native, causal=True)),
    ]


def naive_fla() -> list[Case]:
    """The plain PyTorch forms of flash-linear-attention, features and scales applied outside."""
    from fla.ops.delta_rule.naive import delta_rule_chunkwise
    from fla.ops.linear_attn.naive import naive_chunk_linear_attn
    from fla.ops.retention.naive import naive_retention

    def chunked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
        return naive_chunk_linear_attn(q, k, v, scale=1.0, normalize=True)

    def retained(q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> Tensor:
        return naive_retention(8.0 * q, k, v)

    def learned(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
        return delta_rule_chunkwise(8.0 * q, k, v, beta, chunk_size=64)[0]

    def native(q: Tensor, k: Tensor, v: Tensor) -> tuple[Any, ...]:
        return tuple(tokens_first(x) for x in (q, k, v))

    make = partial(peer, "flash-linear-attention")
    return [
        make(
            "linear, causal",
            chunked,
            partial(linear_transformer.causal_linear_attention_by_definition, chunk=linear.CHUNK),
            native=native,
            result=heads_first,
            check_length=320,
        ),
        make(
            "retention",
            retained,
            fixed(partial(retention.retention_by_definition, chunk=linear.CHUNK)),
            inputs=linear.with_decay,
            growth=2.0,
        ),
        make(
            "delta rule",
            learned,
            partial(delta_rule.delta_rule_by_definition, chunk=64),
            inputs=linear.with_rates,
            check_length=320,
        ),
    ]


PEERS = {
    "torch": flex,
    "entmax": sparse_weights,
    "pytorch-fast-transformers": fast_transformers,
    "performer-pytorch": performers,
    "flash-linear-attention": naive_fla,
}
