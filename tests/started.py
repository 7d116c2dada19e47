"""A plugin for nbval: a kernel that dies as it is started is started again.

The ports of a kernel are free when they are chosen. Another process, which starts its own kernel at
the same moment, can take one of them before the kernel does, and then the kernel dies.
"""

from typing import Any

from nbval import kernel

TRIES = 3
_start = kernel.start_new_kernel


def pytest_configure() -> None:
    kernel.start_new_kernel = start


def start(*args: Any, **options: Any) -> Any:
    """nbval's own way to start a kernel, a few times if need be."""
    for _ in range(TRIES - 1):
        try:
            return _start(*args, **options)
        except RuntimeError as error:
            if "died" not in str(error):
                raise
    return _start(*args, **options)
