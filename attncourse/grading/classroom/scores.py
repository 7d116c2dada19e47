"""Which of a student's files counts for an exercise, and what is not known."""

from dataclasses import dataclass

from attncourse.course import exercise as contract
from attncourse.grading.classroom import names
from attncourse.grading.classroom.handed import Handed, Refused
from attncourse.grading.classroom.journal import Entry
from attncourse.grading.classroom.records import ExerciseRecord


@dataclass(frozen=True)
class File:
    """A file that was handed in, with what the journal knows of it; sha256 is of its content.

    published: its metadata say that it is the course's own notebook of solutions.
    """

    handed: Handed
    sha256: str
    entry: Entry
    published: bool = False

    @property
    def attempted(self) -> frozenset[str]:
        """The exercises that it answers, rightly or not."""
        states = self.entry.exercises
        return frozenset(n for n, r in states.items() if r["state"] != "not attempted")


@dataclass(frozen=True)
class Score:
    """One exercise of one student: its record, the file it is from, others that do not count.

    unclear are files that answer it differently, of which it cannot be told which counts; hidden
    are those that could not be read and may answer it.
    """

    exercise: str
    record: ExerciseRecord | None = None
    file: str = ""
    instead_of: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """As in the record; what was not handed in is not attempted, or it is not known."""
        if self.unclear or self.hidden:
            return "unclear" if self.unclear else "unreadable"
        return str(self.record["state"]) if self.record else "not attempted"

    @property
    def share(self) -> float | None:
        """The part of the checks that passed, without skipped ones; None if not known yet."""
        if self.unclear or self.hidden:
            return None
        if self.record is None:
            return 0.0
        counted = [c for c in self.record["checks"] if c["state"] != "skipped"]
        if self.state == "needs-regrade" or not counted:
            return None
        return sum(c["state"] == "passed" for c in counted) / len(counted)


def chosen(name: str, files: list[File], refused: list[Refused], prefer: tuple[str, ...]) -> Score:
    """The latest version that attempts the exercise counts; if none does, the latest."""
    have = [file for file in files if name in file.entry.exercises]
    tried = [file for file in have if name in file.attempted]
    if not tried:
        hidden = tuple(_hidden(name, files, refused))
        if not any(file.entry.closing["exercises"] for file in files):  # nothing is known at all
            hidden = (*(file.handed.name for file in files), *(entry.name for entry in refused))
        last = max(have, key=_rank, default=None)
        record = last.entry.exercises[name] if last else None
        return Score(name, record, last.handed.name if last else "", hidden=hidden)
    best = _best(name, tried, prefer)
    counts = max(best, key=_rank)
    record = counts.entry.exercises[name]
    others = tuple(file.handed.name for file in tried if file is not counts)
    if len({_verdict(file, name) for file in best}) > 1:
        return Score(name, record, counts.handed.name, (), tuple(f.handed.name for f in best))
    return Score(name, record, counts.handed.name, others)


def _best(name: str, tried: list[File], prefer: tuple[str, ...]) -> list[File]:
    """Those of several that count before the others: preferred, called after it, the latest."""
    works = {contract.names()[name], name.replace("_", "-")}
    wanted = [f for f in tried if f.handed.name in prefer]
    wanted = wanted or [f for f in tried if set(prefer) & _parts(f.handed.name)]
    wanted = wanted or [f for f in tried if names.bare(f.handed.name) in works] or tried
    latest = max(file.handed.rank for file in wanted)
    return [file for file in wanted if file.handed.rank == latest]


def _parts(name: str) -> set[str]:
    """The folders and the file of a path, the file also without its suffix."""
    return {*name.split("/"), names.stem(name)}


def _rank(file: File) -> tuple[tuple[int, int], str]:
    return file.handed.rank, file.handed.name


def _verdict(file: File, name: str) -> tuple[str, ...]:
    return tuple(check["state"] for check in file.entry.exercises[name]["checks"])


def _hidden(name: str, files: list[File], refused: list[Refused]) -> list[str]:
    """What could not be read and may answer the exercise: no later version of it could be."""
    unread = [(entry.name, (0, 0)) for entry in refused if entry.unread]
    closed = [file for file in files if file.entry.closing["unreadable"]]
    unread += [(file.handed.name, file.handed.rank) for file in closed]
    read = [file for file in files if file.entry.closing["exercises"]]
    later = {names.bare(file.handed.name): file.handed.rank for file in read}
    return [
        file
        for file, rank in unread
        if contract.names()[name] == names.bare(file) or names.bare(file) not in contract.chapters()
        if later.get(names.bare(file), (-1, 0)) < rank or names.bare(file) not in later
    ]
