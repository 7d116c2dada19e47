"""Cases whose cost is linear in the length: low rank (13), linear (14), random features (15)."""

from functools import partial

import torch
from torch import Tensor

from attncourse.measure.bench.case import Case, Inputs, Size, self_attention
from attncourse.mechanisms.linear import (
    delta_rule,
    gated_linear,
    linear_transformer,
    performer,
    retention,
)
from attncourse.mechanisms.low_rank import linformer, nystrom

RANK = 256
CHUNK = 128


def with_projections(size: Size) -> Inputs:
    """Queries, keys, values, and the two projections of the length to `RANK` rows."""
    projections = size.normal(2, RANK, size.n, seed=3) / size.n**0.5
    return *self_attention(size), *projections.unbind()


def with_features(size: Size) -> Inputs:
    """Queries, keys, values, and the orthogonal random directions of the features."""
    generator = torch.Generator().manual_seed(3)
    w = performer.orthogonal_features(RANK, size.d, generator=generator)
    return *self_attention(size), w.to(size.device, size.dtype)


def with_decay(size: Size) -> Inputs:
    """Queries, keys, values, and RetNet's decay for each head: 1 - 2^(-5 - head)."""
    heads = torch.arange(size.h, device=size.device)
    return *self_attention(size), (1 - 2.0 ** (-5 - heads)).to(size.dtype)


def with_gates(size: Size) -> Inputs:
    """Queries, keys, values, and the logarithms of gates near 1 for each token and feature."""
    gates = size.normal(size.batch, size.h, size.n, size.d, seed=3)
    return *self_attention(size), torch.nn.functional.logsigmoid(gates) / 16


def gated_token_by_token(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
    """The recurrence of gated linear attention; its definition as a sum takes n^3 memory."""
    state, outputs = k.new_zeros(*k.shape[:-2], k.shape[-1], v.shape[-1]), []
    for token in zip(*(x.unbind(-2) for x in (q, k, v, log_gate)), strict=True):
        out, state = gated_linear.gated_linear_attention_step(state, *token)
        outputs.append(out)
    return torch.stack(outputs, dim=-2)


def with_rates(size: Size) -> Inputs:
    """Queries, keys of length 1, values, and a rate of learning for each token."""
    q, k, v = self_attention(size)
    rates = size.normal(size.batch, size.h, size.n, seed=3).sigmoid()
    return q, torch.nn.functional.normalize(k, dim=-1), v, rates


LOW_RANK = (
    Case(
        "Linformer 256",
        linformer.linformer_attention,
        inputs=with_projections,
    ),
    *(
        Case(
            f"Nyström {landmarks}",
            partial(nystrom.nystrom_attention, landmarks=landmarks),
            check_length=777,
            tolerance=1e-2,
        )
        for landmarks in (64, 256)
    ),
)

LINEAR = (
    Case("linear", linear_transformer.linear_attention),
    Case(
        "linear, causal",
        partial(linear_transformer.causal_linear_attention, chunk=CHUNK),
    ),
    Case(
        "retention",
        partial(retention.retention, chunk=CHUNK),
        inputs=with_decay,
    ),
    Case(
        "gated linear",
        partial(gated_linear.gated_linear_attention, chunk=CHUNK),
        gated_token_by_token,
        inputs=with_gates,
        check_length=160,
    ),
    Case(
        "delta rule",
        partial(delta_rule.delta_rule, chunk=64),
        inputs=with_rates,
        check_length=160,
    ),
)

RANDOM_FEATURES = (
    Case(
        "Performer 256",
        performer.performer_attention,
        inputs=with_features,
        check_length=160,
    ),
    Case(
        "Performer 256, causal",
        partial(performer.causal_performer_attention, chunk=CHUNK),
        inputs=with_features,
        check_length=160,
    ),
)
CASES = LOW_RANK + LINEAR + RANDOM_FEATURES
