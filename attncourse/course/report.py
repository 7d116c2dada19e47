"""Results in words: the same sentences in the notebook, in the terminal and under pytest."""

import base64
import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attncourse.course.calls import Misconception
from attncourse.course.checking import NOT_RUN, CheckResult, Result, State
from attncourse.course.kinds import matrix_of

MARKS: dict[State, str] = {"passed": "✔", "failed": "✘", "not attempted": "○", "skipped": "–"}
COLOURS: dict[State, str] = {  # readable on white and on a dark notebook
    "passed": "#16a34a",
    "failed": "#dc2626",
    "not attempted": "#a16207",
    "skipped": "#0891b2",
}
NAMED = "Your function does what this mistake does, on every input tried:"
AGAIN = "(as above)"


@dataclass(frozen=True)
class Line:
    """One line of a report: how deep it stands, its mark (if any), its text.

    diagnosis: the line names the learner's mistake, and is shown so that it is not missed.
    """

    level: int
    mark: str
    text: str
    state: State
    diagnosis: bool = False


def headline(result: Result) -> str:
    """The exercise and how many of its checks passed."""
    if result.state == "not attempted":
        return f"{result.exercise}: not attempted yet"
    return f"{result.exercise}: {result.passed} of {len(result.checks)} checks passed"


def advice(check: CheckResult) -> list[str]:
    """What a check tells the learner, sentence by sentence; nothing where it passed."""
    if check.state == "skipped":
        return [f"skipped: {check.message}"]
    if check.state == "not attempted":
        return [check.message]
    if check.state != "failed":
        return []
    named = [f"{NAMED} {check.misconception.advice}"] if check.misconception else []
    return [*named, _sentence(check.message)]


def lines(result: Result) -> Iterator[Line]:
    """The report line by line: the mistake first, once; then the checks, each with what it found.

    Of the checks that a named mistake explains only the first tells more than its line.
    """
    yield Line(0, MARKS[result.state], headline(result), result.state)
    if result.state == "not attempted":
        return
    yield from _diagnoses(result)
    told: set[str] = set()
    explained: set[Misconception] = set()
    for check in result.checks:
        folded = check.misconception in explained
        said = [] if folded else advice(replace(check, misconception=None))
        again = bool(said) and told.issuperset(said) and not check.description.endswith(NOT_RUN)
        text = f"{check.description} {AGAIN}" if again else check.description
        yield Line(1, MARKS[check.state], text, check.state)
        yield from (Line(3, "", each, check.state) for each in said if each not in told)
        told.update(said)
        explained |= {check.misconception} if check.misconception else set()


def _diagnoses(result: Result) -> Iterator[Line]:
    """Each mistake that was named, and how many of the failed checks it explains."""
    found = Counter(check.misconception for check in result.checks if check.misconception)
    for known, count in found.items():
        yield Line(2, "", f"{NAMED} {known.advice}", "failed", diagnosis=True)
        if count > 1:
            yield Line(2, "", f"The same mistake explains these {count} failed checks.", "failed")


def text(result: Result) -> str:
    """The report as plain text."""
    return "\n".join(f"{'  ' * x.level}{x.mark} {x.text}".rstrip() for x in lines(result))


def as_html(result: Result, next_step: str = "") -> str:
    """The report for a notebook, with a figure where two matrices can be compared."""
    rows = "".join(_html_line(line) for line in lines(result))
    footer = f'<div style="margin-top:.5em">{html.escape(next_step)}</div>' if next_step else ""
    return f'<div role="status" style="line-height:1.5">{rows}{_figure(result)}{footer}</div>'


def _html_line(line: Line) -> str:
    style = f"margin-left:{line.level}em;font-weight:{600 if line.level == 0 else 400}"
    if line.diagnosis:
        style += f";border-left:3px solid {COLOURS[line.state]};padding:.2em .6em;font-weight:600"
    mark = f'<span style="color:{COLOURS[line.state]}">{line.mark}</span> ' if line.mark else ""
    return f'<div style="{style}">{mark}{html.escape(line.text)}</div>'


def _sentence(message: str) -> str:
    """A message as a sentence of its own, beginning with a capital."""
    message = message.strip()
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def _figure(result: Result) -> str:
    """Expected, actual and difference of the first failed check that has matrices."""
    for check in result.checks:
        pair = _matrices(check)
        if pair:
            from attncourse.plots import comparison_png

            encoded = base64.b64encode(comparison_png(*pair)).decode()
            alt = html.escape(
                f"Three heat maps for the check “{check.description}”: the expected result, "
                f"yours, and the difference. {check.message}",
                quote=True,
            )
            return f'<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{encoded}">'
    return ""


def _matrices(check: CheckResult) -> tuple[Tensor, Tensor] | None:
    if check.state != "failed":
        return None
    actual, expected = matrix_of(check.actual), matrix_of(check.expected)
    if actual is None or expected is None or actual.shape != expected.shape:
        return None
    return actual.to(torch.float64), expected.to(torch.float64)
