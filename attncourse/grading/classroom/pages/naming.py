"""The files of students' pages: readable, in ASCII, no two students' the same."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from attncourse.grading.classroom.names import Student

# Letters that are not an ASCII letter and an accent, as they are written in ASCII.
_WRITTEN = (
    "ß=ss æ=ae œ=oe ø=o ł=l đ=d ð=d þ=th ı=i ħ=h ŋ=ng "
    "а=a б=b в=v г=g д=d е=e ж=zh з=z и=i й=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u "
    "ф=f х=kh ц=ts ч=ch ш=sh щ=shch ъ= ы=y ь= э=e ю=yu я=ya є=ye і=i ї=yi ґ=g "
    "α=a β=v γ=g δ=d ε=e ζ=z η=i θ=th ι=i κ=k λ=l μ=m ν=n ξ=x ο=o π=p ρ=r σ=s ς=s τ=t "
    "υ=y φ=f χ=ch ψ=ps ω=o"
)
_LETTERS = str.maketrans(dict(pair.split("=") for pair in _WRITTEN.split()))


def page_names(students: Iterable[Student]) -> dict[Student, str]:
    """The file of each student's page: the name, with a hash where two would be the same."""
    readable = {student: _readable(str(student)) for student in students}
    count = Counter(readable.values())
    return {
        student: f"{name}.html"
        if name and count[name] == 1
        else f"{name or 'student'}-{_hash(student)}.html"
        for student, name in readable.items()
    }


def _readable(name: str) -> str:
    """A name in small ASCII letters; nothing where there would be none of its own."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(c for c in letters if unicodedata.category(c)[0] != "M").translate(_LETTERS)
    words = (
        re.sub(r"[^a-z0-9]+", "-", bare.encode("ascii", "ignore").decode())
        .strip("-")[:60]
        .strip("-")
    )
    return words if re.search("[a-z]", words) else ""


def _hash(student: Student) -> str:
    return hashlib.sha256(f"{student.name}\0{student.number}".encode()).hexdigest()[:8]
