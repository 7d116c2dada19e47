"""The list of what was handed in: students are told apart at its end, when all names are known."""

from pathlib import Path

from attncourse.grading.classroom import names
from attncourse.grading.classroom.handed import Collected, Handed, Refused
from attncourse.grading.classroom.names import Student, Told

MOST_FILES = 32  # of one student

Whose = tuple[Student, str, str]  # as shown, as written, and the section


class Listing:
    """What the walk through a class finds, each under whose it is."""

    def __init__(self) -> None:
        self.files: list[tuple[Whose, Handed]] = []
        self.refused: list[tuple[Whose, Refused]] = []
        self.counts: dict[Whose, int] = {}
        self.others: dict[Whose, list[str]] = {}
        self.by: dict[Whose, str] = {}
        self.left_out: dict[str, None] = {}
        self.systems: set[str] = set()

    def student(self, told: Told, section: str = "") -> Whose:
        """Someone who handed in something, whatever it is."""
        numbered = bool(told.student.number)
        whose = (told.student, told.written, "" if numbered else section)
        self.counts.setdefault(whose, 0)
        self.by.setdefault(whose, told.by)
        self.systems |= {told.system} - {""}
        return whose

    def take(self, path: Path, told: Told, name: str, section: str) -> None:
        """A notebook or a .py file."""
        whose = self.student(told, section)
        self.counts[whose] += 1
        if self.counts[whose] > MOST_FILES:
            self.refuse(told, name, f"{name} is one of more than {MOST_FILES} files", section)
            return
        rank = (names.version(name), told.number)
        self.files.append((whose, Handed(told.student, name, path, told.late, rank)))

    def refuse(
        self, told: Told, name: str, reason: str, section: str = "", unread: bool = True
    ) -> None:
        """What cannot be graded; unread as in `Refused`."""
        whose = self.student(told, section)
        self.refused.append((whose, Refused(told.student, name, reason, unread)))

    def notice(self, told: Told, name: str, section: str) -> None:
        """What is no answer: told only of those who handed in nothing else."""
        self.others.setdefault(self.student(told, section), []).append(name)

    def leave_out(self, name: str) -> None:
        """What belongs to no student."""
        self.left_out[name] = None

    def finished(self) -> Collected:
        """Everything in order, with those who handed in nothing that can be graded."""
        shown, apart = _told_apart(list(self.counts))
        files = [self._of(shown[whose], file) for whose, file in self.files]
        refused = [Refused(shown[w], r.name, r.reason, r.unread) for w, r in self.refused]
        without = set(self.counts) - {w for w, _ in self.refused} - {w for w, _ in self.files}
        for whose in without:
            refused.append(_nothing(shown[whose], self.others.get(whose, [])))
        told = {student: self.by[whose] for whose, student in shown.items()}
        files.sort(key=lambda file: (file.student, file.name, file.rank))
        return Collected(files, sorted(refused), [*self.left_out], self.systems, told, apart)

    @staticmethod
    def _of(student: Student, file: Handed) -> Handed:
        return Handed(student, file.name, file.path, file.late, file.rank)


def _nothing(student: Student, others: list[str]) -> Refused:
    """That nothing was handed in that can be graded."""
    if not others:
        return Refused(student, "", "no notebook and no .py file was handed in")
    some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    verb = "is" if len(others) == 1 else "are"
    return Refused(student, others[0], f"{some} {verb} no notebook and no .py file")


def _told_apart(found: list[Whose]) -> tuple[dict[Whose, Student], list[str]]:
    """A student for each, none twice; a sentence on those whose names look the same."""
    alike: dict[Student, list[Whose]] = {}
    for whose in found:
        alike.setdefault(whose[0], []).append(whose)
    shown: dict[Whose, Student] = {}
    sentences = []
    for student, several in alike.items():
        if len(several) == 1:
            shown[several[0]] = student
            continue
        taken: list[str] = []
        for whose in sorted(several, key=lambda w: (w[1] != student.name, w[2], w[1])):
            taken.append(_another(student.name, whose, several, taken))
            shown[whose] = Student(taken[-1], student.number)
        told = ", ".join(taken)
        sentences.append(f"{len(taken)} students are called {student.name}: {told}.")
    return shown, sorted(sentences)


def _another(name: str, whose: Whose, several: list[Whose], taken: list[str]) -> str:
    """A name for one of several who are called the same: by what is not seen, by the section."""
    _, written, section = whose
    made = names.spelled(written)
    if len({other[2] for other in several}) > 1:
        made = f"{made} [{section or 'no section'}]"
    number = 2
    while made in taken:
        made, number = f"{names.spelled(written)} [{number}]", number + 1
    return made
