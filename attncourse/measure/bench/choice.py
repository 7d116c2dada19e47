"""What a person asks to be measured: mechanisms by name, shapes by dtype and width."""

import difflib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from attncourse.measure.bench.case import Case, Shape, Suite, name_of


def chosen(suites: Sequence[Suite], words: Sequence[str]) -> list[Suite]:
    """The suites cut to the mechanisms that words name, each in the first suite that has it.

    A word is a function of this library (sliding_window_attention), a mechanism as the tables call
    it (window 256) or a part of such names (window); capitals and accents do not matter. Of a
    mechanism all implementations stay, and of the suites those in which something does; without a
    word all are as they were.

    Raises ValueError, with the nearest name, for a word that names nothing.
    """
    if not words:
        return list(suites)
    wanted = set().union(*(_mechanisms(suites, word) for word in words))
    kept = []
    for suite in suites:
        here = tuple(case for case in suite.cases if case.mechanism in wanted)
        wanted -= {case.mechanism for case in here}
        kept += [replace(suite, cases=here)] if here else []
    return kept


def of_shapes(suites: Sequence[Suite], *, dtype: str | None, d: int | None) -> list[Suite]:
    """The suites with the shapes of one dtype and width, or of any where that is None.

    Raises ValueError, with those that there are, where no suite has one.
    """
    made = _where(list(suites), "dtype", lambda shape: name_of(shape.dtype), dtype)
    return _where(made, "d", lambda shape: shape.d, d)


def _where(
    suites: list[Suite], name: str, value: Callable[[Shape], object], wanted: object
) -> list[Suite]:
    if wanted is None or not suites:
        return suites
    there = dict.fromkeys(value(shape) for suite in suites for shape in suite.shapes)
    if wanted not in there:
        listed = ", ".join(map(str, there))
        raise ValueError(f"{name} must be one measured on this device, {listed}: got {wanted}")
    return [
        replace(suite, shapes=tuple(shape for shape in suite.shapes if value(shape) == wanted))
        for suite in suites
    ]


def _mechanisms(suites: Sequence[Suite], word: str) -> set[str]:
    """The mechanisms that are called so or, if none is, those whose name has the word in it."""
    cases = [case for suite in suites for case in suite.cases]
    names = [(name, case.mechanism) for case in cases for name in names_of(case)]
    found = {mechanism for name, mechanism in names if folded(name) == folded(word)}
    found = found or {each for name, each in names if folded(word) in folded(name)}
    if not found:
        plain = {folded(name): name for name, _ in names}
        near = difflib.get_close_matches(folded(word), plain, n=1, cutoff=0.5)
        raise ValueError(
            f"no mechanism is called {word}" + (f": did you mean {plain[near[0]]}?" if near else "")
        )
    return found


def folded(name: str) -> str:
    """The name without capitals and accents, as people type it."""
    letters = unicodedata.normalize("NFKD", name)
    return "".join(x for x in letters if not unicodedata.combining(x)).casefold()


def names_of(case: Case) -> tuple[str, ...]:
    """The name of a mechanism, and that of the function where it is one of ours."""
    if not case.implementation.startswith("attncourse"):
        return (case.mechanism,)
    function = case.function
    while isinstance(function, partial):
        function = function.func
    return case.mechanism, function.__name__
