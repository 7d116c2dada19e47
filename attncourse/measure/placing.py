"""SmolLM2 reading and writing, and some calls, timed on this machine and put under its ceilings."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.analytic import kv_cache_bytes
from attncourse.measure.configurations import CONFIGURATIONS
from attncourse.measure.gpu import CudaClock
from attncourse.measure.prediction import Work, work_of
from attncourse.measure.roofline import Ceilings, measured_ceilings
from attncourse.measure.timing import Call, Clock, WallClock, median_seconds
from attncourse.mechanisms.dense.softmax import attention
from attncourse.models.past import Past
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

SMOL = CONFIGURATIONS["SmolLM2-135M"]
STEPS = {  # what SmolLM2 does: new tokens, and tokens that are in its cache
    "reads the sentence": (15, 0),
    "reads a page": (256, 0),
    "writes a word": (1, 256),
}


SIZE = 1024  # of the calls of `live_points`


def smollm_work(tokens: int, past: int = 0, *, bytes_per_element: int = 4) -> Work:
    """What SmolLM2 has to do for new tokens behind `past` ones in its cache, by formula.

    A new token meets each weight once, and the keys and values of all tokens, as a masked
    attention computes them too. Weights move once a pass, whatever the number of tokens; so do the
    keys and values of all tokens. What the layers hand to each other does not count.

    >>> smollm_work(256).intensity > 200 * smollm_work(1, 256).intensity
    True
    """
    one = SMOL.layer_flops(1)
    pairs = one.pop("pairs") * tokens * (past + tokens)
    weights = SMOL.layers * sum(one.values()) // 2 + SMOL.d * SMOL.vocabulary
    cache = kv_cache_bytes(SMOL.layers, past + tokens, SMOL.g, SMOL.d_head, bytes_per_element)
    return Work(2 * tokens * weights + SMOL.layers * pairs, weights * bytes_per_element + cache)


def timed_smollm(tokens: int, past: int = 0, *, rounds: int = 5) -> list[float]:
    """Seconds of that, some times, after one call that nobody times.

    Each time the cache grows by the new tokens, which is little beside a long past.
    """
    model, ids = SmolLM.load(), SmolLM.load().encode(prose())
    kept = Past(SMOL.layers)
    if past:
        model.logits(ids[:past], past=kept)
    new = ids[past : past + tokens]
    call: Call = partial(model.logits, new, past=kept) if past else partial(model.logits, new)
    call()
    return [WallClock().seconds(call) for _ in range(rounds)]


def place(
    roofline_seconds: Callable[..., float],
    median_seconds: Callable[[Sequence[float]], float],
    *,
    steps: Mapping[str, tuple[int, int]] = STEPS,
    rounds: int = 5,
) -> None:
    """Time SmolLM2 here, and print how far above the floor it is, by two functions of one's own.

    The floor is that of this machine's matrix rate and copy bandwidth, measured now.
    """
    ceilings = measured_ceilings(clock=WallClock(), quick=True)
    for name, (tokens, past) in steps.items():
        work = smollm_work(tokens, past)
        middle = median_seconds(timed_smollm(tokens, past, rounds=rounds))
        floor = roofline_seconds(work.flops, work.moved_bytes, ceilings.flops, ceilings.bandwidth)
        print(f"{name:19} {work.intensity:6.1f} FLOPs a byte, {_above(middle, floor)}")


def _above(middle: float, floor: float) -> str:
    """A time beside its floor, in words; a third below may be a noisy ceiling."""
    if not 0 < floor < 1.5 * middle:
        return "below its floor: impossible. Look at your functions."
    return f"{middle / floor:.1f} times its floor"


def live_points(
    device: str = "cpu", *, rounds: int = 5
) -> tuple[Ceilings, dict[str, tuple[float, float, float]]]:
    """The ceilings of a device, and FLOPs, bytes and seconds of four calls on it, measured now.

    A product of matrices, a matrix times a vector, attention, and one query against many keys; on
    a CPU in float32, on a CUDA device larger, and in float16. For `plots.roofline`.
    """
    cuda = device != "cpu"
    clock: Clock = CudaClock(device) if cuda else WallClock()
    dtype, size = (torch.float16, 4 * SIZE) if cuda else (torch.float32, SIZE)
    ceilings = measured_ceilings(clock=clock, device=device, dtype=dtype, quick=True)
    tokens, past = (8, size, 64), (8, 8 * size, 64)
    calls: dict[str, tuple[Callable[..., object], list[tuple[int, ...]]]] = {
        "matrix product": (torch.matmul, [(size, size)] * 2),
        "matrix times vector": (torch.matmul, [(4 * SIZE, 4 * size), (4 * size, 1)]),
        "attention": (attention, [tokens] * 3),
        "one query": (attention, [(8, 1, 64), past, past]),
    }
    points = {}
    for name, (function, shapes) in calls.items():
        work = work_of(function, *(torch.empty(s, device="meta", dtype=dtype) for s in shapes))
        given = [torch.randn(*s).to(device, dtype) for s in shapes]
        fast: Call = partial(function, *given)
        if function is attention:  # PyTorch's own form wants an axis in front
            q, k, v = (x[None] for x in given)
            fast = partial(scaled_dot_product_attention, q, k, v)
        fast()
        middle = median_seconds([clock.seconds(fast) for _ in range(rounds)])
        points[name] = (float(work.flops), float(work.moved_bytes), middle)
    return ceilings, points
