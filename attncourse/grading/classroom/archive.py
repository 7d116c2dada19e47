"""Unpacking a zip that a stranger may have made: all of it checked before anything is written."""

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.files import NO_ROOM, WriteError, unwritten
from attncourse.grading.wire.frames import plain_text

MOST_FILES = 20_000
LARGEST_ARCHIVE = 2 * 2**30  # bytes, unpacked
LARGEST_RATIO = 200  # times its packed size that a file may have
RATIO_MATTERS = 2**20  # bytes above which that is asked

LEFT_OUT = frozenset(
    {"__pycache__", "__MACOSX", "node_modules", "site-packages", "venv", "env", "_build"}
)


class ArchiveError(CourseError):
    """The zip is not unpacked; the message says why in one sentence."""


def unpack(path: Path, folder: Path) -> None:
    """Unpack the regular files of a zip into `folder`, which is empty.

    Raises ArchiveError, and WriteError where there is no room.
    """
    name = plain_text(path.name, 100)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = list(_checked(archive, name))
            for entry, target in entries:
                _write(archive, entry, folder / target, name)
            for clone in _clones(archive, name):
                (folder / clone / ".git").mkdir(parents=True, exist_ok=True)
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise WriteError(unwritten(folder, error)) from None
        raise ArchiveError(f"{name} cannot be unpacked: {_reason(error)}") from None
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{name} cannot be unpacked: {_reason(error)}") from None
    except Exception as error:  # zlib.error and whatever else a damaged stream provokes
        raise ArchiveError(f"{name} is damaged ({type(error).__name__})") from None


def left_out(part: str) -> bool:
    """Is a file or folder of this name never looked at? Hidden ones, caches, environments."""
    return part.startswith(".") or part in LEFT_OUT


def _checked(
    archive: zipfile.ZipFile, name: str
) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The entries to unpack and where to; raises ArchiveError before any is written."""
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ArchiveError(f"{name} holds more than {MOST_FILES:,} files and is not unpacked")
    total = 0
    for entry in entries:
        target = _target(entry, name)
        if entry.is_dir() or any(left_out(part) for part in target.parts):
            continue
        if entry.flag_bits & 1:
            raise ArchiveError(f"{name} is encrypted: unpack it yourself, with its password")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "a special file"
            raise ArchiveError(f"{name} holds {what} and is not unpacked")
        size, packed = entry.file_size, entry.compress_size
        if size > RATIO_MATTERS and size > LARGEST_RATIO * packed:
            raise ArchiveError(f"{name} unpacks to more than {LARGEST_RATIO} times its size")
        total += size
        if total > LARGEST_ARCHIVE:
            raise ArchiveError(f"{name} unpacks to more than {LARGEST_ARCHIVE // 2**30} GiB")
        yield entry, target


def _clones(archive: zipfile.ZipFile, name: str) -> set[PurePosixPath]:
    """The folders that hold a .git, which is not unpacked but tells what they are."""
    targets = (_target(entry, name) for entry in archive.infolist())
    found = (target for target in targets if ".git" in target.parts)
    clones = (PurePosixPath(*target.parts[: target.parts.index(".git")]) for target in found)
    return {clone for clone in clones if not any(left_out(part) for part in clone.parts)}


def _target(entry: zipfile.ZipInfo, name: str) -> PurePosixPath:
    """Where an entry goes, inside of the folder. Raises ArchiveError for a way out of it."""
    written = entry.orig_filename
    parts = written.replace("\\", "/").split("/")
    if written.startswith(("/", "\\")) or ".." in parts or "\0" in written or ":" in parts[0]:
        raise ArchiveError(f"{name} holds a path that leads out of its folder, and is not unpacked")
    return PurePosixPath(*(part for part in parts if part not in ("", ".")))


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, name: str) -> None:
    """One file, of no more bytes than its entry says (zipfile sees to that)."""
    if len(str(target).encode(errors="replace")) > 3000 or target.exists():
        raise ArchiveError(f"{name} holds a file twice, or one whose name is too long")
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as file:
        while piece := packed.read(2**20):
            file.write(piece)


def _reason(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return "it is not a zip, or it is damaged"
    if isinstance(error, NotImplementedError):
        return "it is packed in a way that is not supported"
    return getattr(error, "strerror", None) or type(error).__name__
