"""Which exercises are the assignment: what the teacher says, or what all were clearly given.

What one student hands in must not change what another gets: where it would, the teacher is asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attncourse.course import exercise as contract
from attncourse.grading.classroom.handed import Choice, ClassError, UnclearError
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.scores import File


def named(words: Iterable[str]) -> tuple[str, ...]:
    """The exercises that words name, or those of the chapters they name. Raises ClassError."""
    known = contract.names()
    found: set[str] = set()
    for word in words:
        these = {name for name, chapter in known.items() if word in (name, chapter)}
        if not these:
            offer = contract.nearest(word, [*known, *contract.chapters()])
            raise ClassError(
                f"--exercises: there is no exercise and no chapter {word!r}"
                + (f"; {offer}" if offer else "")
            )
        found |= these
    return tuple(name for name in contract.in_order() if name in found)


def given(files: Sequence[File]) -> tuple[str, ...]:
    """The exercises that the class was given, by what it handed in. Raises UnclearError.

    That is clear if all have the same, or if they have whole chapters and most have all of them.
    """
    sets: dict[Student, frozenset[str]] = {}
    for file in files:
        student, names = file.handed.student, file.entry.closing["exercises"]
        sets[student] = sets.get(student, frozenset()) | frozenset(names)
    sets = {student: names for student, names in sets.items() if names}
    counts = Counter(sets.values())
    union = frozenset[str]().union(*counts)
    whole = all(_chapters(names) is not None for names in counts)
    if len(counts) > 1 and not (whole and 2 * counts[union] > len(sets)):
        raise _unclear(counts, union, sets)
    return tuple(name for name in contract.in_order() if name in union)


def said(names: Iterable[str]) -> str:
    """Exercises in as few words as can be: by chapters, where they are whole."""
    wanted = frozenset(names)
    return ",".join(_chapters(wanted) or (n for n in contract.names() if n in wanted))


def _chapters(names: frozenset[str]) -> list[str] | None:
    """The chapters of which these are all exercises; None if one is not whole."""
    known = contract.names()
    touched = {known[name] for name in names if name in known}
    if {name for name, chapter in known.items() if chapter in touched} != names:
        return None
    return [chapter for chapter in contract.chapters() if chapter in touched]


def _unclear(
    counts: Mapping[frozenset[str], int],
    union: frozenset[str],
    sets: Mapping[Student, frozenset[str]],
) -> UnclearError:
    """The question, with the two likeliest answers: what most handed in, and all of it."""
    order = sorted(counts, key=lambda names: (-counts[names], -len(names), said(names)))
    common = next(names for names in order if names != union)
    choices = []
    for names in (common, union):
        having = sum(names <= theirs for theirs in sets.values())
        words = (
            f"handed in by {having} of {len(sets)} students"
            if names != union
            else (f"all that anyone handed in ({having} of {len(sets)} all of it)")
        )
        choices.append(Choice("exercises", said(names), words))
    return UnclearError(
        "which exercises are the assignment? Not all students handed in the same ones, and what "
        "counts changes everyone's points",
        choices,
    )
