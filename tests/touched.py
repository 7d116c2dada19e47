"""Prints the test files that a change touches, nearest first: python tests/touched.py [REVISION]

What changed is what differs from the revision (without one from HEAD, or where nothing does, from
the commit before it). A test file is touched if it imports what changed, directly or not; how many
imports lie between is how far it is. `make quick` runs what this prints.
"""

import ast
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALL = ("tests/conftest.py", "tests/turns.py", "tests/typechecker.py", "pyproject.toml")
# Who reads a file without importing it: tests of pages, of the build, of whole folders.
READERS = {
    "book/": ("tests/test_book.py", "tests/test_chapters.py"),
    "book/_ext/": ("tests/site/test_questions.py", "tests/site/test_small_book.py"),
    "book/_static/": ("tests/site/test_figures.py", "tests/site/test_small_book.py"),
    "_toc.yml": ("tests/test_book.py",),
    "exercises/": ("tests/course/test_render.py",),
    "attncourse/exercises/": ("tests/test_exercises.py", "tests/exercises/test_attempts.py"),
}
WHOLE = ("rows",)  # packages that import each of their modules when they are imported


def git(*words: str) -> list[str]:
    """The lines that git prints."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed(revision: str | None) -> set[str]:
    """The files that differ, those that git does not know among them."""
    new = git("ls-files", "--others", "--exclude-standard")
    found = {*git("diff", "--name-only", revision or "HEAD"), *(() if revision else new)}
    return found or set(git("diff", "--name-only", "HEAD~1"))


def files() -> dict[str, Path]:
    """Every module of the package and of the tests, by its name."""
    package = {p: p.relative_to(ROOT) for p in ROOT.glob("attncourse/**/*.py")}
    tests = {p: p.relative_to(ROOT / "tests") for p in ROOT.glob("tests/**/*.py")}
    return {
        ".".join(place.with_suffix("").parts).removesuffix(".__init__"): path
        for path, place in (package | tests).items()
    }


def imported(path: Path, known: dict[str, Path], front: dict[str, str]) -> Iterator[str]:
    """The known modules that a file imports; a name of the package's front is its home's."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [front.get(name, name) for name in inside]
            names += [node.module] if any(name not in known for name in names) else []
        else:
            continue
        for name in names:
            here = name if name in known else _beside(path, name, known)
            if here is not None:
                yield here


def _beside(path: Path, name: str, known: dict[str, Path]) -> str | None:
    """A test's neighbour, which it imports by its bare name."""
    neighbour = path.with_name(f"{name.partition('.')[0]}.py")
    return next((module for module, place in known.items() if place == neighbour), None)


def homes() -> dict[str, str]:
    """Where the names of the package's front live: ``attncourse.softmax`` and so on."""
    lines = ast.parse((ROOT / "attncourse" / "__init__.pyi").read_text(encoding="utf-8")).body
    imports = [line for line in lines if isinstance(line, ast.ImportFrom)]
    return {f"attncourse.{x.name}": str(line.module) for line in imports for x in line.names}


def distances(start: set[str], known: dict[str, Path]) -> dict[str, int]:
    """How many imports lie between each module and the nearest that changed."""
    front, users = homes(), defaultdict(set)
    for module, path in known.items():
        for other in imported(path, known, front):
            users[other].add(module)
        users[module] |= {package for package in WHOLE if module.startswith(f"{package}.")}
    far, queue = dict.fromkeys(start, 0), deque(sorted(start))
    while queue:
        module = queue.popleft()
        for user in sorted(users[module] - far.keys()):
            far[user] = far[module] + 1
            queue.append(user)
    return far


def touched(change: set[str]) -> list[str]:
    """The test files that the change touches, the nearest first."""
    known = files()
    names = {path.relative_to(ROOT).as_posix(): module for module, path in known.items()}
    if change & {*ALL}:
        return ["tests"]
    far = distances({names[path] for path in change if path in names}, known)
    found = {known[module].relative_to(ROOT).as_posix(): steps for module, steps in far.items()}
    for start, readers in READERS.items():
        if any(path.startswith(start) for path in change):
            found |= {reader: min(1, found.get(reader, 1)) for reader in readers}
    tests = [path for path in found if Path(path).name.startswith("test_")]
    return sorted(tests, key=lambda path: (found[path], path))


if __name__ == "__main__":
    print("\n".join(touched(changed(sys.argv[1] if len(sys.argv) > 1 else None))))
