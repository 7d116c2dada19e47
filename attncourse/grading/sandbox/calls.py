"""The system calls that mapping tensors to tensors needs, by machine: all others are refused."""

import platform

# name: number on x86_64, number on aarch64; None where the machine has no such call
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # files that are open, and opening more (which ones, Landlock decides)
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "close_range": (436, 436),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "eventfd2": (290, 19),
    "fadvise64": (221, 223),
    "umask": (95, 166),
    # memory
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    # signals to itself, sleeping, clocks
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "restart_syscall": (219, 128),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    # asking about itself and the machine
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getgroups": (115, 158),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "getcpu": (309, 168),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    # what the C library does unasked
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "set_tid_address": (218, 96),
    "membarrier": (324, 283),
    "arch_prctl": (158, None),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "wait4": (61, 260),
    "waitid": (247, 95),
}

# calls allowed for some values of an argument: its place, and the values (OWN is the process's id)
OWN = -1
_RESTRICTED: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "fcntl": (72, 25, 1, (0, 1, 2, 3, 4, 1030)),  # copy a descriptor, get and set its flags
    "kill": (62, 129, 0, (OWN,)),
    "tgkill": (234, 131, 0, (OWN,)),
    "tkill": (200, 130, 0, (OWN,)),
    "prlimit64": (302, 261, 0, (0, OWN)),
}

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def known_machine() -> bool:
    """Are the numbers of this machine's system calls known?"""
    return platform.machine() in _MACHINES


def architecture() -> int:
    """The kernel's number for this machine's calling convention."""
    return _MACHINES[platform.machine()][1]


def allowed() -> list[int]:
    """The calls that are allowed whatever their arguments."""
    column = _MACHINES[platform.machine()][0]
    return sorted(n for numbers in _ALLOWED.values() if (n := numbers[column]) is not None)


def restricted() -> list[tuple[int, int, tuple[int, ...]]]:
    """The calls allowed for some values of an argument: number, place, values."""
    on_arm = _MACHINES[platform.machine()][0] == 1
    rows = _RESTRICTED.values()
    return [(arm if on_arm else x86, place, values) for x86, arm, place, values in rows]
