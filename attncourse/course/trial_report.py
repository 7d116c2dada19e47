"""A trial in words and pictures: plain text in a terminal, a table and two maps in a notebook."""

import html
import math
from collections.abc import Iterator

from torch import Tensor

from attncourse.course.plugs.table import PLUGS
from attncourse.course.trying import HEADS, LITTLE, PAIRS, PROMPTS, QUERY, SENTENCE, Told, Trial

_NAMES = {"SmolLM": "SmolLM2", "MiniLM": "MiniLM"}
_NEAR = 0.005  # of a perplexity, or a similarity: what rounding may do

Row = tuple[str, str, str]  # what is shown, of the right function, of yours


def headline(trial: Trial) -> str:
    """What became of the model, in a sentence."""
    return f"Your {trial.name} in {_NAMES[trial.model]}: {_verdict(trial)}."


def rows(trial: Trial) -> Iterator[Row]:
    """What the models show, side by side."""
    right, yours = trial.right, trial.yours
    for i, prompt in enumerate(PROMPTS[: len(right.words)]):
        yield prompt, _words(right.words[i]), _words(yours.words[i]) if yours.words else "–"
    if right.perplexity is not None:
        what = f"Perplexity on {trial.amount.guessed} tokens of prose"
        yield what, _number(right.perplexity), _number(yours.perplexity)
    for i, pair in enumerate(PAIRS[: len(right.similarities)]):
        shown = f"{yours.similarities[i]:.2f}" if yours.similarities else "–"
        yield f"Similarity: {pair[0]} {pair[1]}", f"{right.similarities[i]:.2f}", shown
    yield f"“{QUERY}” looks at ({_head(trial)})", _looks(trial, right), _looks(trial, yours)


def notes(trial: Trial) -> Iterator[str]:
    """What is true of the model with this function, and how to go on."""
    yours, maps = trial.yours, trial.yours.maps
    if yours.problem:
        yield f"{yours.problem[:1].upper()}{yours.problem[1:].rstrip('.')}."
    if maps is not None and not maps.isfinite().all():
        yield "Weights are NaN, and so is all that is computed from them."
    elif maps is not None:
        yield from _of_weights(trial, maps)
    if trial.amount == LITTLE:
        yield "Your function takes long, so less is tried: fewer words, less prose."
    if PLUGS[trial.name].chance and yours.words:
        yield "Words are drawn: others than the right ones are no mistake. Do they make sense?"
    if not yours.problem and _same(trial):
        yield f"That nothing changes proves nothing: check({trial.name}) looks closer."


def text(trial: Trial) -> str:
    """The trial as plain text."""
    lines = [headline(trial)]
    for what, right, yours in rows(trial):
        lines += [what, f"    right  {right}", f"    yours  {yours}"]
    return "\n".join([*lines, *notes(trial)])


def as_html(trial: Trial) -> str:
    """The trial for a notebook."""
    cell = '<td style="text-align:left;vertical-align:top">{}</td>'
    head = "".join(
        f'<th scope="col" style="text-align:left">{word}</th>' for word in ("", "right", "yours")
    )
    body = "".join(
        "<tr>" + "".join(cell.format(html.escape(entry)) for entry in row) + "</tr>"
        for row in rows(trial)
    )
    said = "".join(f"<div>{html.escape(note)}</div>" for note in notes(trial))
    title = f'<div style="font-weight:600">{html.escape(headline(trial))}</div>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div role="status">{title}{table}{said}{_figure(trial)}</div>'


def _verdict(trial: Trial) -> str:
    yours, right = trial.yours, trial.right
    if yours.problem and not (yours.words or yours.similarities):
        return "it does not run" if yours.perplexity is None else "it runs in part"
    if yours.words != right.words:
        return "it draws words of its own" if PLUGS[trial.name].chance else "it writes other words"
    if _same(trial):
        return "nothing changes"
    kept = "writes the same words" if right.words else "still runs"
    return f"it {kept}, and is not the same model"


def _same(trial: Trial) -> bool:
    """Are words, perplexity, similarities and weights those of the right function?"""
    a, b = trial.right, trial.yours
    if a.words != b.words or a.maps is None or b.maps is None:
        return False
    numbers = zip((a.perplexity, *a.similarities), (b.perplexity, *b.similarities), strict=False)
    near = all(x is None or y is None or abs(x - y) <= _NEAR * abs(x) for x, y in numbers)
    return near and bool((a.maps - b.maps).abs().max() < _NEAR)


def _of_weights(trial: Trial, maps: Tensor) -> Iterator[str]:
    """Properties that weights lost which those of the right function have."""
    if trial.model == "SmolLM" and maps.triu(1).abs().max() > 1e-6:
        yield (
            "A token sees those after it (weights above the diagonal): it is shown what it is to "
            "guess, and a low perplexity means nothing."
        )
    sums = maps.sum(dim=-1)
    if (sums - 1).abs().max() > 1e-3:
        low, high = sums.min().item(), sums.max().item()
        yield f"Rows of weights do not sum to one: they sum to {low:.2f} to {high:.2f}."


def _words(written: str) -> str:
    """What was written, on one line; a sign where it is nothing."""
    return " ↵ ".join(written.strip().splitlines()) or "(nothing)"


def _number(perplexity: float | None) -> str:
    if perplexity is None:
        return "–"
    if math.isnan(perplexity):
        return "NaN"
    return f"{perplexity:,.0f}" if perplexity >= 1000 else f"{perplexity:.1f}"


def _head(trial: Trial) -> str:
    layer, head = HEADS[trial.model]
    return f"layer {layer}, head {head}"


def _map(trial: Trial, told: Told) -> Tensor | None:
    return None if told.maps is None else told.maps[HEADS[trial.model]]


def _looks(trial: Trial, told: Told) -> str:
    """The three tokens that the query's largest weights are on."""
    weights = _map(trial, told)
    if weights is None:
        return "–"
    row = weights[trial.labels.index(QUERY)]
    if row.isnan().any():
        return "NaN"
    largest = row.topk(3)
    pairs = zip(largest.indices.tolist(), largest.values.tolist(), strict=True)
    return ", ".join(f"{trial.labels[i]} {weight:.2f}" for i, weight in pairs)


def _figure(trial: Trial) -> str:
    """The two maps side by side, or nothing where yours has none."""
    right, yours = _map(trial, trial.right), _map(trial, trial.yours)
    if right is None or yours is None:
        return ""
    from matplotlib.figure import Figure

    from attncourse.plots.maps import word_map
    from attncourse.plots.showing import as_html as drawn
    from attncourse.plots.svg import svg

    figure = Figure(figsize=(12, 6), layout="constrained")
    for ax, weights, title in zip(
        figure.subplots(1, 2), (right, yours), ("right", "yours"), strict=True
    ):
        word_map(weights, trial.labels, title=f"{title}: {_head(trial)}", ax=ax)
    return drawn(svg(figure), f"Two maps of “{SENTENCE}”: right and yours, {_head(trial)}.")
