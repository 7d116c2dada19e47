"""What a teacher should look at before the marks go out, with the most urgent first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from attncourse.course.forbidden import message
from attncourse.grading.classroom import published
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.scores import Score

_FORBIDDEN = message("")[:30]


@dataclass(frozen=True)
class Item:
    """A student, what there is to say, and the exercise, if it is about one."""

    student: Student
    words: str
    exercise: str = ""


@dataclass(frozen=True)
class Remark:
    """Something to look at: a heading, what it means, and whom it concerns."""

    heading: str
    meaning: str
    items: tuple[Item, ...]


def remarks(book: Gradebook) -> list[Remark]:
    """All that there is to look at."""
    found = (Remark(heading, meaning, tuple(of(book))) for heading, meaning, of in _KINDS)
    return [remark for remark in found if remark.items]


def _regrade(book: Gradebook) -> Iterator[Item]:
    for row in _in_state(book, "needs-regrade"):
        faults = [file.entry.closing["fault"] for file in row.files]
        faults += [s.record["fault"] for s in row.scores.values() if s.record]
        yield Item(row.student, " ".join(dict.fromkeys(fault for fault in faults if fault)))


def _unclear(book: Gradebook) -> Iterator[Item]:
    for row in _in_state(book, "unclear"):
        files = {file for score in row.scores.values() for file in score.unclear}
        told = [sentence for sentence in row.versions if sentence.startswith("It cannot")]
        how = " or ".join(f"--prefer {_shell(_part(file, files))}" for file in sorted(files))
        yield Item(row.student, f"{' '.join(told)} Say {how}.")


def _unread(book: Gradebook) -> Iterator[Item]:
    for row in book.rows:
        told = [reason.rstrip(".") + "." for reason in row.unread]
        if row.state == "no exercise found":
            told += [note for note in row.notes if note not in row.unread]
        if told:
            yield Item(row.student, " ".join(told))


def _missing(book: Gradebook) -> Iterator[Item]:
    """Functions that a file was expected to hold: a name was changed, or a cell is broken."""
    for row, score in _scores(book):
        told = next(iter(_messages(score)), "")
        if "defines no function" in told:
            notes = [note for note in row.notes if "could not be read" in note]
            words = " ".join([f"{score.file} defines no function {score.exercise}.", *notes[:1]])
            yield Item(row.student, words, score.exercise)
        elif told.lower().startswith("there is no `"):
            yield Item(row.student, f"{score.file}: {told}", score.exercise)


def _having(begins: Callable[[str], bool]) -> Callable[[Gradebook], Iterator[Item]]:
    """The answers of which a check says what begins so."""

    def of(book: Gradebook) -> Iterator[Item]:
        for row, score in _scores(book):
            told = next((one for one in _messages(score) if begins(one)), "")
            if told:
                yield Item(row.student, f"{score.exercise}: {told}", score.exercise)

    return of


def _published(book: Gradebook) -> Iterator[Item]:
    for row in book.rows:
        for file in row.files:
            if file.published:
                words = f"{file.handed.name} is the course's own notebook of solutions."
                yield Item(row.student, words)
        answers = {name: row.answer(name) for name in book.exercises}
        same = [n for n, one in answers.items() if one and published.is_solution(n, one.lines)]
        if same:
            yield Item(row.student, f"as the published solution: {', '.join(same)}.", same[0])


def _late(book: Gradebook) -> Iterator[Item]:
    return (Item(row.student, "") for row in book.rows if row.late)


def _versions(book: Gradebook) -> Iterator[Item]:
    return (
        Item(row.student, " ".join(row.versions))
        for row in book.rows
        if row.versions and row.state != "unclear"
    )


def _in_state(book: Gradebook, state: str) -> Iterator[Row]:
    return (row for row in book.rows if row.state == state)


def _scores(book: Gradebook) -> Iterator[tuple[Row, Score]]:
    return ((row, row.scores[name]) for row in book.rows for name in book.exercises)


def _messages(score: Score) -> list[str]:
    """What the checks say that did not pass."""
    checks = score.record["checks"] if score.record else []
    return [check["message"] for check in checks if check["state"] != "passed"]


def _part(file: str, files: set[str]) -> str:
    """The part of a path by which it differs from the others: a folder, or the file's name."""
    others = {part for other in files - {file} for part in other.split("/")}
    return next((part for part in file.split("/") if part not in others), file)


def _shell(text: str) -> str:
    return f'"{text}"' if set(text) & set(" ()'&;") else text


_KINDS: tuple[tuple[str, str, Callable[[Gradebook], Iterator[Item]]], ...] = (
    ("To grade again", "The grader itself failed here: give the same command again.", _regrade),
    ("Not clear what counts", "There are several answers and no points until you say.", _unclear),
    (
        "Unreadable or missing",
        "What is not known has no points, and is never 0.",
        _unread,
    ),
    ("Functions that are not there", "Renamed, or in a cell that is broken?", _missing),
    (
        "Forbidden calls",
        "The answer calls what the exercise asks to write.",
        _having(lambda told: told.startswith(_FORBIDDEN)),
    ),
    (
        "Stopped by a limit",
        "Too much time, memory or output, or the process ended itself.",
        _having(lambda told: "was stopped" in told or "used up" in told or "process" in told),
    ),
    (
        "Exceptions",
        "The answer raises. The first one of each.",
        _having(lambda told: told.startswith("your function raised")),
    ),
    (
        "Published solutions",
        "Handed in as they are, but for names and comments. There may be a good reason.",
        _published,
    ),
    ("Late", "", _late),
    ("Several versions", "", _versions),
)
