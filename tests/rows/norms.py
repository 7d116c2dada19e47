"""Layer norm and the root-mean-square norm."""

from torch.nn import functional

from attncourse.mechanisms.dense import norms
from attncourse.testing import gaussian
from rows import Mechanism

N, D = 5, 8


def plain_layer_norm(x, gain, bias):
    return functional.layer_norm(x, (D,), gain, bias, 1e-5)


def plain_rms_norm(x, gain):
    return functional.rms_norm(x, (D,), gain, 1e-6)


def with_gain(*lead, std=2.0, seed=0):
    return gaussian(*lead, N, D, std=std, seed=seed), gaussian(D, seed=seed + 1)


def with_gain_and_bias(*lead, std=2.0, seed=0):
    return *with_gain(*lead, std=std, seed=seed), gaussian(D, seed=seed + 2)


MECHANISMS = {
    "layer_norm": Mechanism(norms.layer_norm, plain_layer_norm, with_gain_and_bias),
    "rms_norm": Mechanism(norms.rms_norm, plain_rms_norm, with_gain),
}
