"""The journal: every result on disk before the next, so that a crash loses none.

A line holds one canonical record (no clock: times go to a second file) and its checksum. The
lines of a submission are written together and forced to the disk; the last of them closes it.
What follows the last good line was torn off by a crash, and is cut.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.files import unwritten
from attncourse.grading.classroom.manifest import canonical
from attncourse.grading.classroom.records import Closing, ExerciseRecord, Record

NAME = "journal.jsonl"
TIMES = "times.jsonl"


class JournalError(CourseError):
    """The journal cannot be used; the message is one sentence."""


@dataclass
class Entry:
    """What is known of one job: its closing record, and the record of each exercise."""

    closing: Closing
    exercises: dict[str, ExerciseRecord] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """The exercises that are still to be graded."""
        return tuple(
            name
            for name in self.closing["exercises"]
            if name not in self.exercises or self.exercises[name]["state"] == "needs-regrade"
        )

    def records(self) -> list[ExerciseRecord | Closing]:
        """Its records, in the order of the exercises."""
        names = [name for name in self.closing["exercises"] if name in self.exercises]
        return [*(self.exercises[name] for name in names), self.closing]


class Journal:
    """An open journal: what it holds by job, and a way to add to it. One process at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.entries: dict[str, Entry] = {}
        self.manifests: list[str] = []
        self.cut = 0  # bytes that were torn
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise JournalError(unwritten(self.path, error)) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalError(f"another run is writing to {folder}") from None
        self._times = open(folder / TIMES, "a", encoding="utf-8")  # noqa: SIM115
        self._load()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._times.close()
        os.close(self._file)

    def add(self, records: Sequence[Record]) -> None:
        """Write the records of one submission, and do not return before they are on the disk.

        Raises ValueError for what is no plain data, and JournalError where nothing can be written.
        """
        data = "".join(_line(record) for record in records).encode()
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise JournalError(unwritten(self.path, error)) from None
        self._know(records)

    def took(self, job: str, seconds: float) -> None:
        """Write how long a job took, apart from what it gave."""
        with contextlib.suppress(OSError):  # nothing depends on it
            self._times.write(canonical({"job": job, "seconds": round(seconds, 3)}) + "\n")
            self._times.flush()

    def _load(self) -> None:
        """Read what is there; cut what follows the last submission that is whole."""
        whole, at = 0, 0
        pending: list[Record] = []
        for line in self.path.read_bytes().splitlines(keepends=True):
            at += len(line)
            record = _record(line)
            if record is None:
                continue
            pending.append(record)
            if record["type"] != "exercise":
                self._know(pending)
                whole, pending = at, []
        self.cut = at - whole
        if self.cut:
            os.ftruncate(self._file, whole)
            os.fsync(self._file)

    def _know(self, records: Iterable[Record]) -> None:
        """Later records replace earlier ones of the same job and exercise."""
        exercises: list[ExerciseRecord] = []
        for record in records:
            if record["type"] == "manifest":
                self.manifests.append(record["digest"])
            elif record["type"] == "exercise":
                exercises.append(record)
            else:
                known = self.entries.setdefault(record["job"], Entry(record))
                if not record["fault"] or known.closing["fault"]:
                    known.closing = record
                mine = [one for one in exercises if one["job"] == record["job"]]
                known.exercises |= {one["exercise"]: one for one in mine}
                exercises = []


def _line(record: Record) -> str:
    return canonical({"record": record, "sha256": _checksum(record)}) + "\n"


def _record(line: bytes) -> Record | None:
    """The record of a line; None if the line is not whole."""
    try:
        read = json.loads(line)
        record = read["record"]
        whole = line.endswith(b"\n") and read["sha256"] == _checksum(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if whole else None


def _checksum(record: Any) -> str:
    return hashlib.sha256(canonical(record).encode()).hexdigest()[:32]
