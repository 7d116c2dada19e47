"""Calling Linux by ctypes: the C library, errors, and the calls without a wrapper in Python."""

import ctypes
import os
import struct
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 24, 36, 38
_CPUCLOCK_SCHED = 2  # of another process: clock_getcpuclockid(3)
_MADV_COLLAPSE, _LARGE = 25, 2 * 2**20
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """The result of a call; raises OSError where it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def no_new_privileges() -> None:
    """Never gain rights by executing a file; the kernel wants this before it restricts."""
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def not_readable() -> None:
    """Hide the memory and environment of this process in /proc from others of the same user."""
    checked(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none gets away."""
    if sys.platform == "linux":
        checked(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def end_with_parent() -> None:
    """Be killed when the parent ends."""
    if sys.platform == "linux":
        checked(libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used. Raises OSError where there is none."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def busy(pid: int | str) -> float | None:
    """Seconds that a process, in all its threads, computed or stood in line for a processor.

    What passes besides, it sleeps, however busy the machine is. None if it stands in line just
    now, for a time that is not counted yet; and where the system does not tell.
    """
    spent = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "R":
                    return None
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                spent += sum(map(int, file.read().split()[:2]))
    except (OSError, ValueError):
        return None
    return spent * 1e-9


def in_line() -> float:
    """Seconds that this thread stood in line for a processor; 0 where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) * 1e-9
    except (OSError, ValueError):
        return 0.0


def tells_sleep() -> bool:
    """Does the system tell how long a process sleeps?"""
    try:
        with open("/proc/self/schedstat") as file:
            return int(file.read().split()[0]) > 0
    except (OSError, ValueError):
        return False


def drop_capabilities() -> None:
    """Give up all that root may do beyond what its files allow, for good."""
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for other users: nothing to drop
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
    nothing = ctypes.create_string_buffer(24)
    checked(libc.syscall(_SYS_CAPSET[os.uname().machine], header, nothing))


def large_pages() -> None:
    """Gather this process's memory in pages of 2 MiB, where the kernel can (Linux 6.1).

    A fork copies an entry for each page, and its child's end clears one: of 512 times fewer.
    """
    if sys.platform != "linux":
        return
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    for addresses, rights, *_, name in (line for line in lines if len(line) in (5, 6)):
        begin, end = (int(address, 16) for address in addresses.split("-"))
        if rights == "rw-p" and name in ("0", "[heap]"):
            for place in range(-(-begin // _LARGE) * _LARGE, end - _LARGE + 1, _LARGE):
                libc.madvise(place, _LARGE, _MADV_COLLAPSE)  # what cannot be gathered stays
