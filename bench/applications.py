"""A small task for each sense, with attention and without: pictures, speech, video, series.

    python bench/applications.py --out book/data/vision-speech-multimodal.json

Every model is trained from three different beginnings; a share is of new examples that it has not
seen. `--quick` takes few steps, to try the script. Models are those of `attncourse/models/senses`.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jobs import in_processes
from torch import Generator, Tensor

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import write_experiment
from attncourse.models.digits import digits
from attncourse.models.senses import boxes, captions, clicks, clips, pixels, series, sounds

SEEDS = (0, 1, 2)
STEPS = {
    "clicks": 900,
    "boxes": 700,
    "captions": 600,
    "matching": 700,
    "listening": 600,
    "speaking": 800,
    "watching": 320,
    "recommending": 600,
    "pixels": 800,
    "digits": 450,
}


def rounded(x: float) -> float:
    """To three digits after the point."""
    return round(x, 3)


def listed(x: Tensor, digits: int = 2) -> Any:
    """Numbers of a tensor in a list, rounded."""
    return [listed(row, digits) for row in x] if x.ndim else round(x.item(), digits)


def over_seeds(ask: Callable[..., float], models: Sequence[Any]) -> list[float]:
    """What is found of a model of each seed."""
    return [rounded(ask(model, seed)) for model, seed in zip(models, SEEDS, strict=True)]


def segmentation(steps: int) -> dict[str, Any]:
    """Labels of patches from three clicks, and one scene with what one patch looked up."""
    models = {
        kind: [clicks.train_painter(kind, steps, seed=seed) for seed in SEEDS]
        for kind in ("attention", "convolution")
    }
    found: dict[str, Any] = {
        kind: over_seeds(clicks.painted, models[kind]) for kind in ("attention", "convolution")
    }
    for kind in ("nearest click", "most alike click"):
        found[kind] = over_seeds(clicks.painted, [kind] * len(SEEDS))
    images, labels, clicked = clicks.clicked_scenes(1, Generator().manual_seed(CLICKS))
    pairs = zip(found["attention"], models["attention"], strict=True)
    middle = sorted(pairs, key=lambda pair: pair[0])[1][1]
    found["scene"] = {
        "labels": labels[0].tolist(),
        "clicks": clicked[0].tolist(),
        "weights": listed(middle.looked_up(images, clicked)[0]),
        "attention": middle(images, clicked)[0].argmax(dim=-1).tolist(),
        "convolution": models["convolution"][0](images, clicked)[0].argmax(dim=-1).tolist(),
    }
    return found


SCENE, CLICKS, PAIR = 5, 9, 18  # seeds of what is drawn on the page


def detection(steps: int) -> dict[str, Any]:
    """Shares of objects found and of answers that are right, and the answers for some scenes."""
    arms = {
        "queries": ("queries", True),
        "queries, not matched": ("queries", False),
        "convolution": ("convolution", True),
    }
    found: dict[str, Any] = {}
    for name, (kind, matched) in arms.items():
        found[name] = []
        for seed in SEEDS:
            model = boxes.train_detector(kind, steps, seed=seed, matched=matched)
            found[name].append([rounded(share) for share in boxes.detected(model, seed)])
            if seed == 0:
                images, _, _ = boxes.scenes(4, Generator().manual_seed(SCENE))
                with torch.no_grad():
                    said = model(images)
                said[..., :4] = said[..., :4].sigmoid()
                found[f"{name}, drawn"] = listed(said)
            print(name, found[name], flush=True)
    return found


def captioning(steps: int) -> dict[str, Any]:
    """Captions that are wholly right, and where each word looked in two pictures."""
    found: dict[str, Any] = {}
    for kind in ("attention", "one vector"):
        models = [captions.train_captioner(kind, steps, seed=seed) for seed in SEEDS]
        found[kind] = over_seeds(captions.captioned, models)
        if kind == "attention":
            images, _ = captions.pictures(2, Generator().manual_seed(PAIR))
            said = models[0].write(images)
            found["said"] = said.tolist()
            found["weights"] = listed(models[0].looked_at(images, said))
    return found


def matching(steps: int) -> dict[str, Any]:
    """Captions picked of forty, and of two with the shapes exchanged."""
    found: dict[str, Any] = {}
    for kind in ("bag of words", "two vectors", "cross"):
        found[kind] = []
        for seed in SEEDS:
            model = captions.train_matcher(kind, steps, seed=seed)
            found[kind].append([rounded(share) for share in captions.picked(model, seed)])
        print(kind, found[kind], flush=True)
    return found


def speech(steps: int, speaking: int) -> dict[str, Any]:
    """Letters heard right, whether the weights move on, and how near a made voice comes."""
    found: dict[str, Any] = {}
    kept = {}
    for kind in ("attention", "last state", "frames"):
        models = [sounds.train_listener(kind, steps, seed=seed) for seed in SEEDS]
        found[kind] = over_seeds(sounds.heard, models)
        kept[kind] = models
        print(kind, found[kind], flush=True)
    listeners: list[Any] = kept["attention"]
    found["in order"] = over_seeds(sounds.in_order, listeners)
    frames, words, _ = sounds.recordings(1, Generator().manual_seed(SCENE))
    with torch.no_grad():
        found["listened"] = listed(listeners[0](frames, words)[1][0])
    speakers = [sounds.train_speaker(speaking, seed=seed) for seed in SEEDS]
    for name, made in (("lookup", speakers), ("equal parts", [None] * len(SEEDS))):
        pairs = [sounds.spoken(made[i], listeners[i], seed=i) for i in SEEDS]
        found[name] = [[rounded(x) for x in pair] for pair in pairs]
    with torch.no_grad():
        made, weights = speakers[0](words)
    found["made"], found["spoken"] = listed(made[0]), listed(weights[0])
    return found


def video(steps: int) -> dict[str, Any]:
    """The way that a dot moves."""
    found = {}
    for kind in ("factorised", "no order", "convolution"):
        models = [clips.train_watcher(kind, steps, seed=seed) for seed in SEEDS]
        found[kind] = over_seeds(clips.watched, models)
        print(kind, found[kind], flush=True)
    return found


def recommending(steps: int) -> dict[str, Any]:
    """The next item among three."""
    models = [series.train_recommender(steps, seed=seed) for seed in SEEDS]
    found = {"attention": over_seeds(series.recommended, models)}
    for kind in ("most played", "last song", "last three songs", "all songs"):
        found[kind] = over_seeds(series.recommended, [kind] * len(SEEDS))
    return found


def drawing(steps: int) -> dict[str, Any]:
    """The loss of a pixel, and some images that were drawn."""
    models = [pixels.train_painter_of_digits(steps, seed=seed) for seed in SEEDS[:2]]
    found: dict[str, Any] = {"attention": [rounded(pixels.pixel_loss(model)) for model in models]}
    found["tables"] = {name: rounded(loss) for name, loss in pixels.table_losses().items()}
    found["drawn"] = [
        "".join(map(str, row)) for row in pixels.drawn_digits(models[0], 12, seed=0).tolist()
    ]
    return found


def looking(steps: int) -> dict[str, Any]:
    """Digits told with none, two, four patches made blank, and where the class token looks."""
    found: dict[str, Any] = {}
    for seed in SEEDS:
        model, asked = pixels.seeing_digits(steps, seed)
        for order in ("most looked at", "most ink", "least looked at"):
            shares = [pixels.told_without(model, asked, order, hidden) for hidden in (0, 2, 4)]
            found.setdefault(order, []).append([rounded(share) for share in shares])
        if seed == 0:
            images, _ = digits()
            found["asked"] = asked[:4].tolist()
            found["weights"] = listed(pixels.class_map(model, images[asked[:4]]))
    return found


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=sorted(JOBS), nargs="+", default=list(JOBS))
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    about = provenance(f"python bench/applications.py --out {options.out}", [])
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    jobs = {}
    for name in options.only:
        job, *parts = JOBS[name]
        jobs[name] = (job, *(12 if options.quick else STEPS[part] for part in parts))
    for name, found, spent in in_processes(jobs, options.processes):
        results[name], seconds[name] = found, spent
        print(name, f"{spent:.0f} s", flush=True)
        results["seconds"] = {key: round(each) for key, each in seconds.items()}
        write_experiment(options.out, results, about=about, seconds=sum(seconds.values()))


JOBS: dict[str, tuple[Any, ...]] = {
    "segmentation": (segmentation, "clicks"),
    "looking": (looking, "digits"),
    "captioning": (captioning, "captions"),
    "matching": (matching, "matching"),
    "speech": (speech, "listening", "speaking"),
    "recommending": (recommending, "recommending"),
    "video": (video, "watching"),
    "detection": (detection, "boxes"),
    "drawing": (drawing, "pixels"),
}


if __name__ == "__main__":
    main()
