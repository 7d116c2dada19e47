"""A filter on system calls, by ctypes: no process, thread, socket, signal to others, mount, ...

What is not on the list fails with EPERM, so that Python raises PermissionError and the process
lives. There is no way back, and nothing for a child to inherit: there are no children.
"""

import ctypes
import os
import struct

from attncourse.grading.sandbox import calls
from attncourse.grading.sandbox.kernel import checked, libc, no_new_privileges

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # of classic BPF
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # refuse: errno 1, EPERM
_X32 = 0x40000000  # the bit of another calling convention on x86_64


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def restrict() -> None:
    """Refuse every system call that is not on the list, for good. Raises OSError."""
    code = program(os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    filter = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    no_new_privileges()
    checked(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(filter), 0, 0))


def program(own: int) -> bytes:
    """The filter as instructions of classic BPF; `own` is the id of the process."""
    code = [
        _step(_LOAD, 4),  # the calling convention
        _step(_EQUAL, calls.architecture(), then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),  # the call's number
        _step(_AT_LEAST, _X32, otherwise=1),
        _step(_RETURN, _REFUSE),
    ]
    for number, place, values in calls.restricted():
        code += _if_argument(number, place, [own if v == calls.OWN else v for v in values])
    for number in calls.allowed():
        code += [_step(_EQUAL, number, otherwise=1), _step(_RETURN, _ALLOW)]
    return b"".join([*code, _step(_RETURN, _REFUSE)])


def _if_argument(number: int, place: int, values: list[int]) -> list[bytes]:
    """Allow a call if its argument is one of the values (of 32 bits), refuse it otherwise."""
    tests = [_step(_EQUAL, v, then=len(values) - i) for i, v in enumerate(values)]
    body = [
        _step(_LOAD, 16 + 8 * place),
        *tests,
        _step(_RETURN, _REFUSE),
        _step(_RETURN, _ALLOW),
    ]
    return [_step(_EQUAL, number, otherwise=len(body)), *body]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
