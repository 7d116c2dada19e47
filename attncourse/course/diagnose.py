"""Naming the mistake: which known misconception does what the learner's function does.

A misconception is a function (``wrong_*``) in the exercise's module. Its docstring is the
diagnosis only where it cannot be told from the learner's function: asked what that was asked, it
gives the same each time, the same checks pass and the same fail, and what it gives is evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from attncourse.course.attempt import CheckResult, attempt
from attncourse.course.calls import Call, Misconception, agree
from attncourse.course.evidence import Evidence, evidence
from attncourse.course.execution import Outcome, execute
from attncourse.course.exercise import Exercise, Function, whole_doc

MOST_TOLD = 3  # mistakes that are told where the inputs do not tell them apart

HERE_ONLY = (
    "On the inputs of this check, though not on all others, your result is that of this mistake:"
)
AMONG_OTHERS = "This tells little of the cause; one way to get it, among others:"

Said = Mapping[str, Sequence[Call]]  # the calls that each check made, by its name


@dataclass(frozen=True)
class Diagnosis:
    """What is known of all failures together: the mistake, or sentences on some of the checks.

    hints are by the name of the check; they say no more than what its inputs show.
    """

    named: Misconception | None = None
    hints: Mapping[str, str] = field(default_factory=dict[str, str])


def diagnosis(exercise: Exercise, results: Sequence[CheckResult], said: Said) -> Diagnosis:
    """The mistake that the learner's function cannot be told from, and else what can be shown.

    Where several cannot be told apart on any input, it is said that it is one of them.
    """
    failed = [each.name for each in results if each.state == "failed"]
    if not failed or _cut_short(results, said):
        return Diagnosis()
    if all(_same(call, exercise.solution) for made in said.values() for call in made):
        return Diagnosis()
    fitting = _fitting(exercise, results, said)
    shown = [wrong for wrong in fitting.values() if _shown(exercise, wrong, said)]
    if shown:
        names = {name: wrong for name, wrong in fitting.items() if wrong in shown}
        return Diagnosis(_one_of(names)) if len(shown) <= MOST_TOLD else Diagnosis()
    if len(fitting) == 1:
        (wrong,) = fitting.values()
        return Diagnosis(hints={failed[0]: f"{AMONG_OTHERS} {whole_doc(wrong)}"})
    return Diagnosis(hints=_resemblances(exercise, failed, said))


def _fitting(exercise: Exercise, results: Sequence[CheckResult], said: Said) -> dict[str, Function]:
    """The mistakes that agree on every call, and at which every check ends as it did."""
    states = {result.name: result.state for result in results}
    calls = _telling_first(exercise, said)
    return {
        name: wrong
        for name, wrong in exercise.wrong.items()
        if all(_same(call, wrong) or _both_count(call, wrong) for call in calls)
        and _states(exercise, wrong, said) == states
    }


def _shown(exercise: Exercise, wrong: Function, said: Said) -> bool:
    """Is one of the calls evidence for a mistake that agrees on all of them?"""
    calls = (call for made in said.values() for call in made)
    return any(
        _same(call, wrong) and evidence(call, call.repeat(exercise.solution)) for call in calls
    )


def _resemblances(exercise: Exercise, failed: Sequence[str], said: Said) -> dict[str, str]:
    """For failed checks, the one mistake that gives the same numbers there; each told once."""
    found: dict[str, str] = {}
    for name in failed:
        like = [w for w in exercise.wrong.values() if _gives_the_numbers(exercise, w, said[name])]
        told = f"{HERE_ONLY} {whole_doc(like[0])}" if len(like) == 1 else ""
        if told and told not in found.values() and not _everywhere(like[0], said):
            found[name] = told
    return found


def _everywhere(wrong: Function, said: Said) -> bool:
    return all(_same(call, wrong) for calls in said.values() for call in calls)


def _cut_short(results: Sequence[CheckResult], said: Said) -> bool:
    """Was not everything asked? Or was a function refused, which no mistake explains?"""
    failures = [call.outcome.failure for calls in said.values() for call in calls]
    refused = any(failure and failure.kind == "ForbiddenError" for failure in failures)
    return refused or any(result.fatal or result.fault for result in results)


def _telling_first(exercise: Exercise, said: Said) -> list[Call]:
    """All calls; first those that are not the solution's, on which few mistakes agree."""
    calls = [call for made in said.values() for call in made]
    return sorted(calls, key=lambda call: agree(call.outcome, call.repeat(exercise.solution)))


def _gives_the_numbers(exercise: Exercise, wrong: Function, calls: Sequence[Call]) -> bool:
    return all(_same(call, wrong) for call in calls) and any(
        evidence(call, call.repeat(exercise.solution)) == Evidence.NUMBERS for call in calls
    )


def _same(call: Call, wrong: Function) -> bool:
    return agree(call.outcome, call.repeat(wrong))


def _both_count(call: Call, wrong: Function) -> bool:
    """Was a cost counted of both? The counts may differ: what the check says of them may not."""
    return call.counts and type(call.repeat(wrong).value) is int


@dataclass(eq=False)
class _Replay:
    """A known mistake as the answer to one check, asked what the learner's function was asked."""

    wrong: Function
    calls: Iterator[Call]
    at: Call | None = None

    def begin(self) -> None:
        """Nothing to do."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        self.at = next(self.calls, None)
        if self.at is None:
            return execute(self.wrong, probe, args, kwargs)
        return self.at.repeat(self.wrong)

    def call(self, probe: str | None, args: Any, kwargs: Any, outcome: Outcome) -> Call:
        """The call that was just made, as the mistake's."""
        made = Call(probe, args, kwargs, outcome)
        return made if self.at is None else replace(self.at, outcome=outcome)


def _states(exercise: Exercise, wrong: Function, said: Said) -> dict[str, str]:
    """How each check ends for a known mistake that agrees on every call."""
    replays = {name: _Replay(wrong, iter(said.get(name, ()))) for name in exercise.checks}
    return {
        name: attempt(exercise, name, replay, replay.call)[0].state
        for name, replay in replays.items()
    }


def _one_of(fitting: Mapping[str, Function]) -> Misconception:
    """The only one; of several it is said that the inputs do not tell them apart."""
    advice = " Or: ".join(whole_doc(wrong) for wrong in fitting.values())
    if len(fitting) > 1:
        advice = f"one of {len(fitting)} that give the same on every input here. Either: {advice}"
    return Misconception(" or ".join(fitting), advice)
