"""The weights that the map browser shows: all heads of both models on a few sentences.

``python -m attncourse.course.map_data`` computes them and writes `PATH`, a classic script, so that
a page from a file can load it. A weight is a character: its place in `ALPHABET` is the weight in
hundredths, which is what the browser shows. Of a causal model only what is not above the diagonal
is kept.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM

PATH = Path("book/_static/interactive/data/maps.js")
# 101 signs, of which nearly all that come up need no escape
ALPHABET = "".join(map(chr, range(33, 127))).translate({34: None, 92: None}) + "àáâãäåæçè"
SENTENCES = {
    "MiniLM": (
        "The trophy does not fit in the suitcase because it is too big.",
        "The trophy does not fit in the suitcase because it is too small.",
        "The animal did not cross the street because it was too tired.",
        "The keys to the cabinet are on the table.",
        "I poured water from the bottle into the cup until it was full.",
    ),
    "SmolLM2": (
        "The trophy does not fit in the suitcase because it is too big.",
        "The cat sat on the mat. The cat sat on the mat.",
    ),
}


def written(maps: Tensor, *, causal: bool) -> str:
    """Weights (layers, h, n, n) as characters, row by row; of a causal map those that may be."""
    if causal:
        rows, columns = torch.tril_indices(*maps.shape[-2:])
        maps = maps[..., rows, columns]
    hundredths = maps.mul(100).round().to(torch.int64).flatten().tolist()
    return "".join(ALPHABET[value] for value in hundredths)


def read(weights: str, layers: int, h: int, n: int, *, causal: bool) -> Tensor:
    """The maps (layers, h, n, n) that were written, to the hundredth; what is not kept is zero."""
    values = torch.tensor([ALPHABET.index(sign) for sign in weights]) / 100
    if not causal:
        return values.reshape(layers, h, n, n)
    rows, columns = torch.tril_indices(n, n)
    maps = torch.zeros(layers, h, n, n)
    maps[..., rows, columns] = values.reshape(layers, h, -1)
    return maps


def models() -> list[dict[str, Any]]:
    """What the browser offers: models with their sizes, sentences with words and weights."""
    found: list[dict[str, Any]] = []
    for name, model in (("MiniLM", MiniLM.load()), ("SmolLM2", SmolLM.load())):
        causal = isinstance(model, SmolLM)
        texts = []
        for sentence in SENTENCES[name]:
            maps = model.maps(sentence)
            weights = written(maps, causal=causal)
            texts.append({"text": sentence, "words": model.words(sentence), "weights": weights})
        layers, h = maps.shape[:2]
        found.append({"name": name, "layers": layers, "heads": h, "causal": causal, "texts": texts})
    return found


def script() -> str:
    """The whole file."""
    data = json.dumps({"alphabet": ALPHABET, "models": models()}, indent=0)
    head = "Written by `python -m attncourse.course.map_data`: weights of all heads, in hundredths."
    return f"/* {head} */\nwindow.attncourse.maps = {data};\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(script(), encoding="utf-8")
    print(f"{PATH}: {PATH.stat().st_size:,} bytes")
