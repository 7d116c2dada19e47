"""Results in words: the same sentences in the notebook, in the terminal and under pytest."""

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attncourse.course.calls import Misconception
from attncourse.course.checking import NOT_RUN, CheckResult, Result, State
from attncourse.course.kinds import matrix_of

MARKS: dict[State, str] = {"passed": "✔", "failed": "✘", "not attempted": "○", "skipped": "–"}
COLOURS: dict[State, str] = {  # of a terminal, be it light or dark
    "passed": "#16a34a",
    "failed": "#dc2626",
    "not attempted": "#a16207",
    "skipped": "#0891b2",
}
LIGHT: dict[State, str] = {  # on a notebook's white ground, and on its dark one
    "passed": "#15803d",
    "failed": "#b91c1c",
    "not attempted": "#a16207",
    "skipped": "#0e7490",
}
DARK: dict[State, str] = {
    "passed": "#4ade80",
    "failed": "#fb9090",
    "not attempted": "#fbbf24",
    "skipped": "#22d3ee",
}
# how JupyterLab, Colab and VS Code say that they are dark; the same as in plots.showing, which
# loads matplotlib
DARK_NOTEBOOKS = (
    '[data-jp-theme-light="false"]',
    'html[theme="dark"]',
    ".vscode-dark",
    ".vscode-high-contrast:not(.vscode-high-contrast-light)",
)
NAMED = "Your function does what this mistake does, on every input tried:"
AGAIN = "(as above)"
_INDENT = (0, 1, 1, 2.2)  # of a line in a notebook, by its level, in em
_CODE = re.compile(r"`([^`]+)`")


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
    if result.state == "failed" and all(check.absent for check in result.checks):
        return f"{result.exercise}: nothing was checked"
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
    """The report line by line: the mistake or the error first, once; then what each check found.

    Of the checks that a named mistake explains only the first tells more than its line. An error
    that kept every check from comparing is all that is told.
    """
    yield Line(0, MARKS[result.state], headline(result), result.state)
    if result.state == "not attempted":
        return
    error = _same_error(result)
    yield from _diagnoses(result)
    yield from _errors(result, error)
    if error and all(check.unusable for check in result.checks):
        return
    told: set[str] = {error} if error else set()
    explained: set[Misconception] = set()
    for check in result.checks:
        folded = check.misconception in explained
        said = [] if folded else advice(replace(check, misconception=None))
        again = bool(said) and told.issuperset(said) and not check.description.endswith(NOT_RUN)
        more = f" {AGAIN}" if again and said != [error] else ""
        yield Line(1, MARKS[check.state], f"{check.description}{more}", check.state)
        yield from (Line(3, "", each, check.state) for each in said if each not in told)
        told.update(said)
        explained |= {check.misconception} if check.misconception else set()


def _same_error(result: Result) -> str:
    """What all failed checks say, where there are several and no mistake was named."""
    failed = [check for check in result.checks if check.state == "failed"]
    said = {sentence for check in failed for sentence in advice(check)}
    named = any(check.misconception for check in failed)
    return said.pop() if len(said) == 1 and len(failed) > 1 and not named else ""


def _errors(result: Result, error: str) -> Iterator[Line]:
    """The error that all failed checks share, and how many they are, or were not run after it."""
    if not error:
        return
    yield Line(2, "", error, "failed", diagnosis=True)
    failed = [check for check in result.checks if check.state == "failed"]
    lost = sum(check.description.endswith(NOT_RUN) for check in failed)
    if lost:
        others = "other check was" if lost == 1 else f"other {lost} checks were"
        yield Line(2, "", f"After that the {others} not run.", "failed")
    elif not all(check.absent for check in failed):
        yield Line(2, "", f"The same error in these {len(failed)} checks.", "failed")


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
    inside = f"{rows}{_figure(result)}{footer}"
    return f'{_STYLE}<div role="status" style="line-height:1.5">{inside}</div>'


def _class(state: State) -> str:
    return f"attncourse-{state.replace(' ', '-')}"


def _rule(state: State) -> str:
    """The colours of a state where the notebook is dark."""
    marks = ", ".join(f"{dark} .{_class(state)}" for dark in DARK_NOTEBOOKS)
    bars = ", ".join(f"{dark} .{_class(state)}-bar" for dark in DARK_NOTEBOOKS)
    colour = f"{DARK[state]} !important"
    return f"{marks} {{ color: {colour} }} {bars} {{ border-color: {colour} }}"


_STYLE = f"<style>{' '.join(map(_rule, MARKS))}</style>"


def _html_line(line: Line) -> str:
    """A line: the mistake large, with a bar beside it, and on what ground it is named small."""
    if line.diagnosis:
        return _html_diagnosis(line)
    mark = ""
    if line.mark:
        colour = f'class="{_class(line.state)}" style="color:{LIGHT[line.state]}"'
        mark = f"<span {colour}>{line.mark}</span> "
    style = f"margin-left:{_INDENT[line.level]}em;font-weight:{600 if line.level == 0 else 400}"
    return f'<div style="{style}">{mark}{_words(line.text)}</div>'


def _html_diagnosis(line: Line) -> str:
    bar = f"margin:.3em 0;padding:.1em .7em;border-left:4px solid {LIGHT[line.state]}"
    advice = line.text.removeprefix(NAMED)
    ground = f"<div>{NAMED}</div>" if advice != line.text else ""
    large = f'<div style="font-size:1.15em;font-weight:600">{_words(advice.strip())}</div>'
    return f'<div class="{_class(line.state)}-bar" style="{bar}">{ground}{large}</div>'


def _words(text: str) -> str:
    """Words as HTML, with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text))


def _sentence(message: str) -> str:
    """A message as a sentence of its own, beginning with a capital."""
    message = message.strip()
    named = "=" in message.partition(" ")[0]  # an argument keeps its letters
    first = message[:1] if named else message[:1].upper()
    return first + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def _figure(result: Result) -> str:
    """Expected, actual and difference of the first failed check that has matrices."""
    for check in result.checks:
        if pair := _matrices(check):
            from attncourse.plots.matrices import comparison_html

            mask = matrix_of(check.mask)
            hidden = "; what the mask hides is hatched" if mask is not None else ""
            alt = (
                f"Three heat maps for the check “{check.description}”: the expected result, "
                f"yours, and the difference{hidden}. {check.message}"
            )
            return f'<div style="margin:.5em 0">{comparison_html(*pair, mask=mask, alt=alt)}</div>'
    return ""


def _matrices(check: CheckResult) -> tuple[Tensor, Tensor] | None:
    if check.state != "failed":
        return None
    actual, expected = matrix_of(check.actual), matrix_of(check.expected)
    if actual is None or expected is None or actual.shape != expected.shape:
        return None
    return actual.to(torch.float64), expected.to(torch.float64)
