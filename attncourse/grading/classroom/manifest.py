"""What a result depends on beside the submission: if any of it changes, all is graded anew."""

import functools
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attncourse
from attncourse.grading.judge.allowance import Limits

# What comes before a submission is graded, or after, and what only measures or is a model.
_NO_VERDICT = ("cli/", "grading/classroom/", "measure/bench/", "models/pretrained/")
_GRADES = ("__init__", "records", "task")  # of `classroom`


def manifest(level: str, limits: Limits, secret: bytes = b"") -> dict[str, Any]:
    """The course, its code, the limits, the isolation, the seed: plain data, the same each time.

    Of the secret that the checks' inputs are drawn by only a hash is told; without one the inputs
    are those that learners see.
    """
    return {
        "course": attncourse.__version__,
        "code": _code(),
        "torch": version("torch"),
        "python": ".".join(map(str, sys.version_info[:2])),
        "isolation": level,
        "limits": {
            "seconds": limits.seconds,
            "memory": limits.memory,
            "budget": limits.budget,
        },
        "seed": hashlib.sha256(secret).hexdigest() if secret else "public",
    }


def digest(value: Any) -> str:
    """SHA-256 of plain data in its canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Plain data as JSON, in one way only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@functools.cache
def _code() -> str:
    """A hash of every module of the package that can change a verdict."""
    root = Path(attncourse.__file__).parent
    found = hashlib.sha256()
    for name in modules(root):
        found.update(f"{name}\0{hashlib.sha256((root / name).read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def modules(root: Path) -> list[str]:
    """The modules below the package's folder that can change a verdict."""
    grades = {f"grading/classroom/{name}.py" for name in _GRADES}
    every = (path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    return sorted(n for n in every if n in grades or not n.startswith(_NO_VERDICT))
