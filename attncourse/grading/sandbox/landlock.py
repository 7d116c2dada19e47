"""Landlock, by ctypes: the files that may be read, and nothing else; no TCP; no signals to others.

Landlock only allows, so what must stay hidden inside a readable folder is left out when the
folder's entries are listed: see `mounts.readable`.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from attncourse.grading.sandbox.kernel import checked, libc, no_new_privileges

OLDEST = 3  # the first version of the interface that also refuses to truncate files

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_FILE_RIGHTS = {3: (1 << 15) - 1, 5: (1 << 16) - 1}  # of all kinds, by the version that has them
_NET_RIGHTS, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals


def version() -> int:
    """The kernel's version of the interface; 0 where there is none."""
    return max(0, libc.syscall(_CREATE, None, 0, _VERSION))


def ruleset(readable: Iterable[Path], writable: Iterable[Path] = ()) -> int:
    """A descriptor of the rules: what lies below `readable` may be read, all else refused."""
    number = version()
    rights = _FILE_RIGHTS[5 if number >= 5 else 3]
    attributes = struct.pack(
        "=QQQ", rights, _NET_RIGHTS if number >= 4 else 0, _SCOPES if number >= 6 else 0
    )
    size = 24 if number >= 6 else 16 if number >= 4 else 8
    rules = checked(libc.syscall(_CREATE, attributes, size, 0))
    os.set_inheritable(rules, False)
    for path in readable:
        _allow(rules, path, _READ_FILE | _READ_DIR)
    for path in writable:
        _allow(rules, path, _READ_FILE | _WRITE_FILE)
    return rules


def restrict(rules: int) -> None:
    """Enforce the rules on this process, for good. Raises OSError."""
    no_new_privileges()
    checked(libc.syscall(_RESTRICT, rules, 0))


def _allow(rules: int, path: Path, rights: int) -> None:
    """Add one rule; a path that is not there needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _READ_FILE | _WRITE_FILE
        rule = struct.pack("=Qi", rights, place)
        checked(libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.create_string_buffer(rule), 0))
    finally:
        os.close(place)
