"""The position-wise networks: ReLU, GELU and SwiGLU."""

from torch.nn import functional

from attncourse.mechanisms.dense import feed_forward as networks
from attncourse.testing import gaussian
from rows import Mechanism

N, D, FF, D_O = 5, 8, 13, 7


def plain_feed_forward(x, w_1, b_1, w_2, b_2):
    return functional.linear(functional.linear(x, w_1.mT, b_1).relu(), w_2.mT, b_2)


def plain_gelu_feed_forward(x, w_1, b_1, w_2, b_2):
    hidden = functional.linear(x, w_1.mT, b_1)
    return functional.linear(functional.gelu(hidden), w_2.mT, b_2)


def plain_swiglu(x, w_gate, w_up, w_down):
    gate, up = functional.linear(x, w_gate.mT), functional.linear(x, w_up.mT)
    return functional.linear(gate * gate.sigmoid() * up, w_down.mT)


def biased(*lead, std=2.0, seed=0):
    shapes = (D, FF), (FF,), (FF, D), (D,)
    weights = (gaussian(*shape, std=0.5, seed=seed + 1 + i) for i, shape in enumerate(shapes))
    return gaussian(*lead, N, D, std=std, seed=seed), *weights


def gated(*lead, std=2.0, seed=0):
    shapes = (D, FF), (D, FF), (FF, D_O)
    weights = (gaussian(*shape, std=0.5, seed=seed + 1 + i) for i, shape in enumerate(shapes))
    return gaussian(*lead, N, D, std=std, seed=seed), *weights


MECHANISMS = {
    "feed_forward": Mechanism(networks.feed_forward, plain_feed_forward, biased),
    "gelu_feed_forward": Mechanism(
        networks.gelu_feed_forward,
        plain_gelu_feed_forward,
        biased,
    ),
    "swiglu": Mechanism(networks.swiglu, plain_swiglu, gated),
}
