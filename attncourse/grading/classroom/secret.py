"""The secret of a run, by which the checks draw their inputs: kept beside the results."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from attncourse.core.errors import CourseError

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
        with tempfile.NamedTemporaryFile("w", dir=out, prefix=f"{NAME}-") as file:  # rights: 0600
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # whole, or not at all
    return read(path)


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
