"""Linformer attention."""

from attncourse.mechanisms.low_rank import linformer
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows.softmax import plain_attention


def plain_linformer(q, k, v, proj_k, proj_v):
    return plain_attention(q, proj_k @ k, proj_v @ v)


def projected(*lead, std=2.0, seed=0):
    projections = (gaussian(4, 37, std=0.2, seed=seed + i) for i in (3, 4))
    return *attention_inputs(*lead, std=std, seed=seed), *projections


MECHANISMS = {
    "linformer_attention": Mechanism(linformer.linformer_attention, plain_linformer, projected),
}
