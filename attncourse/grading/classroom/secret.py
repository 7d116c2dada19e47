"""The secret of a run, by which the checks draw their inputs: kept beside the results."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.files import unwritten
from attncourse.grading.classroom.settings import changes

NAME = "secret"
LEAST = 16  # characters


class SecretError(CourseError):
    """A secret cannot be used; the message is one sentence."""


def own(out: Path) -> bytes:
    """The secret in a folder of results, made on the first run, which only its owner may read.

    Raises SecretError.
    """
    path = out / NAME
    if not path.exists():
        _write(path, secrets.token_hex(32).encode())
    return read(path)


def keep(out: Path, secret: bytes, change: bool) -> bytes:
    """Keep a secret that was given, so that later runs draw the same inputs.

    Raises UnclearError if the results have another and were not asked to change.
    """
    path = out / NAME
    if path.exists() and read(path) != secret:
        if not change:
            raise changes("secret", "another secret", "this one, by which all would be graded anew")
        path.unlink()
    if not path.exists():
        _write(path, secret)
    return secret


def _write(path: Path, secret: bytes) -> None:
    """Write it whole, or not at all; where another process was faster, its own stays."""
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f"{NAME}-") as file:  # 0600
            file.write(secret + b"\n")
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    except OSError as error:
        raise SecretError(unwritten(path, error)) from None


def read(path: Path) -> bytes:
    """The secret in a file. Raises SecretError."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SecretError(f"the secret {path} cannot be read: {error.strerror}") from None
    if len(secret) < LEAST:
        told = f"got {len(secret)} in {path}"
        raise SecretError(f"a secret must have at least {LEAST} characters: {told}")
    return secret
