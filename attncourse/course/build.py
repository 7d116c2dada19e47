"""All that is generated in a checkout: written anew, or compared with what is there.

Exercise and solution notebooks and the copies of pages whole, ``_toc.yml``, the boxes of exercises
on the chapters' pages, and the passages of hand-written pages.
"""

import itertools
import re
import shutil
from pathlib import Path
from typing import Any

from attncourse.course import (
    bank,
    boxes,
    budgets,
    chapters,
    claims,
    contents,
    copies,
    coverage,
    gpu,
    links,
    passages,
    render,
    rules,
)
from attncourse.course.bootstrap import repository_url
from attncourse.course.contents import CHAPTERS, ROOT, TITLES, UNGRADED, toc
from attncourse.course.exercise import all_exercises, broken, names
from attncourse.course.plain import FOLDER
from attncourse.course.prose import markdown

GENERATED = {*CHAPTERS, ROOT}  # notebooks of which a part is generated: boxes, passages
_CONTENTS = "attncourse/course/contents.py"


def files(root: Path) -> dict[Path, str]:
    """The text that each generated file should have, by its path under `root`.

    Of files that are only in part generated those that are there; what cannot be read is left out.
    """
    found = render.notebooks(root)
    if (root / "book").is_dir():
        found[Path("_toc.yml")] = toc(root)
    pages = _pages(root)
    found |= {path: _text(page) for path, page in pages.items() if path.stem in GENERATED}
    found |= copies.files(root, pages) | gpu.files(root)
    for page in map(Path, passages.PAGES):
        if (root / page).is_file():
            found[page] = passages.renewed((root / page).read_text(encoding="utf-8"), root)
    return found


def write(root: Path) -> dict[Path, Path | None]:
    """Write every generated file that changed; strays are left alone.

    What stood in a notebook's place, perhaps a learner's work, is kept under ``.replaced``.
    Returns the paths written, each with the path of the copy kept, or None where there is none.
    """
    written: dict[Path, Path | None] = {}
    for path, text in files(root).items():
        target = root / path
        if not target.exists() or _read(target) != text:
            learners = target.exists() and path.parts[0] in render.FOLDERS
            written[path] = _keep(root, path) if learners else None
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return written


def write_copies(root: Path) -> list[Path]:
    """Write the copies of pages alone; returns those that changed."""
    changed = []
    for path, text in (copies.files(root, _pages(root)) | gpu.files(root)).items():
        target = root / path
        if not target.exists() or _read(target) != text:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def problems(root: Path) -> list[str]:
    """One sentence for all that is wrong with the exercises and the chapters of a checkout."""
    stale = [f"{path} is not as generated: run `attncourse build`" for path in drift(root)]
    stale += [f"{path} is not the course's: move it elsewhere" for path in strays(root)]
    unruly = [found for e in all_exercises().values() for found in rules.broken_rules(e)]
    url, pages = repository_url(root), sorted((root / "book").glob("*.ipynb"))
    faults = [found for page in pages for found in chapters.problems(page, url)]
    faults += [found for page in budgets.written(root) for found in budgets.problems(page)]
    places = [*rules.misplaced(), *unlisted(root), *idle(root), *links.problems(root / "book")]
    settled = [*claims.problems(root), *coverage.problems(root), *bank.problems(root)]
    return [*broken().values(), *unruly, *stale, *places, *faults, *settled]


def drift(root: Path) -> list[Path]:
    """The generated files that are not as generated: changed or missing."""
    return sorted(
        path
        for path, text in files(root).items()
        if not (root / path).exists() or _read(root / path) != text
    )


def strays(root: Path) -> list[Path]:
    """The files beside the generated notebooks that are not the course's."""
    there = {
        path.relative_to(root)
        for folder in (*render.FOLDERS, FOLDER)
        for path in (root / folder).glob("**/*")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts and path.name[0] != "."
    }
    pages = {Path(FOLDER, path.name) for path in (root / "book").glob("*.ipynb")}
    return sorted(there - set(render.paths()) - pages - {gpu.PATH})


def unlisted(root: Path) -> list[str]:
    """A sentence for each page that the contents do not name, or name by another title."""
    found = []
    for page in sorted(p for kind in ("*.ipynb", "*.md") for p in (root / "book").glob(kind)):
        title, listed = _title(page), TITLES.get(page.stem)
        if listed is None and page.stem != ROOT:
            found.append(f"{page.name} is not in the contents: name it in {_CONTENTS}")
        if listed and title and title != listed:
            found.append(f"{page.name} is titled {title!r}, and {listed!r} in {_CONTENTS}")
    return found


def idle(root: Path) -> list[str]:
    """A sentence for each written chapter without exercises that the contents do not excuse."""
    graded = set(names().values())
    found = [
        f"the chapter {slug} has no exercises: write one, or say in UNGRADED of {_CONTENTS} why"
        for slug in CHAPTERS
        if contents.page(root, slug) and slug not in graded and slug not in UNGRADED
    ]
    return found + [
        f"the chapter {slug} has exercises: it is not to stand in UNGRADED of {_CONTENTS}"
        for slug in UNGRADED
        if slug in graded
    ]


def _title(page: Path) -> str:
    """The first heading of a page; nothing where it has none or cannot be read."""
    try:
        found = re.search(r"^# +(.+?) *$", markdown(page), re.MULTILINE)
    except ValueError:
        return ""
    return found[1] if found else ""


def _pages(root: Path) -> dict[Path, Any]:
    """The notebooks of all pages that can be read, by their paths."""
    paths = sorted((root / "book").glob("*.ipynb"))
    pages = {path.relative_to(root): _renewed(path, root) for path in paths}
    return {path: page for path, page in pages.items() if page is not None}


def _renewed(path: Path, root: Path) -> Any:
    """A page's notebook with boxes and passages as they should be; None if it cannot be read."""
    import nbformat

    try:
        notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    boxes.place(notebook, path.stem)
    passages.renew(notebook, root)
    return notebook


def _text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _keep(root: Path, path: Path) -> Path:
    """Copy a file that is about to be replaced to the first free name."""
    folder = Path(".replaced", path.parent)
    (root / folder).mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.stem}-{number}{path.suffix}" for number in itertools.count(1))
    free = next(name for name in names if not (root / name).exists())
    shutil.copy2(root / path, root / free)
    return free


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
