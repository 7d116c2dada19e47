"""Whose the files of one folder are, by their names taken together: one name alone may mislead."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from attncourse.course import exercise as contract
from attncourse.grading.classroom import names
from attncourse.grading.classroom.names import Told

SMALL = 1000  # below it a number may be of a sheet or a page, and not a user's of Canvas

_BETWEEN = " _–—.,-"  # what stands between a name and what it is a name of
_BY_FILE = "the name of the file"


def of_files(files: Sequence[str]) -> dict[str, Told]:
    """What the name of each file tells: Moodle's, Blackboard's or Canvas's, or else its own."""
    told = {f: names.moodle(f) or names.blackboard(f) or names.canvas(f) for f in files}
    numbered = {file: t for file, t in told.items() if t and t.system == "Canvas"}
    not_canvas = _mistaken(numbered)
    known = {file: t for file, t in told.items() if t and file not in not_canvas}
    return known | _by_own([file for file in files if file not in known])


def works() -> list[str]:
    """What a file may be called after: the chapters and the exercises, the longest first."""
    found = {*contract.chapters(), *(name.replace("_", "-") for name in contract.names())}
    return sorted(found, key=lambda name: (-len(name), name))


def _mistaken(numbered: Mapping[str, Told]) -> set[str]:
    """The names that only look like Canvas's, such as sheet_2_1_ann.py beside sheet_2_1_ben.py.

    In Canvas a file has a number of its own, and a user one name.
    """
    of_number: dict[int, set[tuple[object, str]]] = {}
    of_user: dict[str, set[str]] = {}
    for t in numbered.values():
        of_number.setdefault(t.number, set()).add((t.student, names.bare(t.name)))
        of_user.setdefault(t.student.number, set()).add(t.student.name)
    wrong = {
        file
        for file, t in numbered.items()
        if len(of_number[t.number]) > 1 or (t.student.number and len(of_user[t.student.number]) > 1)
    }
    small = {f for f, t in numbered.items() if t.number < SMALL and len(t.student.number) < 4}
    one = len(numbered) > 1 and len({t.student for t in numbered.values()}) == 1
    return wrong | (small if wrong or one else set())


def _by_own(files: Sequence[str]) -> dict[str, Told]:
    """By the files' own names: what stands beside a chapter, an exercise, or what several share."""
    known, by = works(), "the name of the file, beside its chapter or exercise"
    found: dict[str, Told] = {}
    for file in files:
        who = _beside(names.stem(file), known) or _beside(names.unversioned(file), known)
        found |= {file: names.own(who, file, by)} if who else {}
    return found | _by_parts([file for file in files if file not in found])


def _beside(stem: str, known: Sequence[str]) -> str:
    """What stands before or after a chapter's or an exercise's name; nothing where none does."""
    for work in known:
        words = r"[\W_]+".join(map(re.escape, work.split("-")))
        for pattern in (rf"(.+?)[{_BETWEEN}]+{words}", rf"{words}[{_BETWEEN}]+(.+)"):
            match = re.fullmatch(pattern, stem, re.IGNORECASE)
            if match:
                return match[1]
    return ""


def _by_parts(files: Sequence[str]) -> dict[str, Told]:
    """By the part of the name that differs: Ada - sheet1, Ada - sheet2, Bob - sheet1."""
    whole = {names.stem(file) for file in files}
    stems = {file: names.unversioned(file) for file in files}
    stems = {file: stem if stem in whole else names.stem(file) for file, stem in stems.items()}
    for between in (" - ", "_", "-"):
        who = _split(stems, between)
        if who:
            by = f"the name of the file, on one side of “{between}”"
            return {file: names.own(who[file], file, by) for file in files}
    return {file: names.own(who, file, _BY_FILE) for file, who in _shortened(stems).items()}


def _split(stems: Mapping[str, str], between: str) -> dict[str, str]:
    """Who each file is of, if all names are of two parts, of which the other is shared.

    The student is the part without numbers, or else the one of which there are more.
    """
    parts = [(f, *(x.strip() for x in stem.split(between))) for f, stem in stems.items()]
    if len(parts) < 3 or not all(len(part) == 3 and all(part) for part in parts):
        return {}
    counts = [Counter(part[side] for part in parts) for side in (1, 2)]
    numbered = [all(any(c.isdigit() for c in text) for text in count) for count in counts]
    order = [(not numbered[side], len(counts[side])) for side in (0, 1)]
    if order[0] == order[1]:
        return {}
    side = order.index(max(order))
    shared = min(counts[1 - side].values()) > 1 and max(counts[side].values()) > 1
    return {part[0]: part[side + 1] for part in parts} if shared else {}


def _shortened(stems: Mapping[str, str]) -> dict[str, str]:
    """The stems without what all begin with, if a number is in it: sheet_2_1_, but not Ada-."""
    ends = zip(min(stems.values(), default=""), max(stems.values(), default=""), strict=False)
    shared = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    cut = max(shared.rfind(c) for c in "_-") + 1
    rest = [stem[cut:] for stem in stems.values()]
    number = any(c.isdigit() for c in shared[:cut]) and not any(c.isdigit() for c in "".join(rest))
    cut = cut if len(stems) > 1 and number and all(rest) else 0
    return {file: stem[cut:] for file, stem in stems.items()}
