"""Peak memory of a call: what it allocates above its inputs while it runs."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attncourse.core.probes import probe
from attncourse.measure.timing import without_collection

Function = Callable[..., Any]


@probe
def peak_bytes(fn: Function, *args: Any, **kwargs: Any) -> int:
    """The most bytes that ``fn(*args, **kwargs)`` holds at once above what there was before it.

    Every allocation and release of PyTorch's CPU allocator counts, as the allocator itself reports
    them to the profiler: tensors, the result, and the workspaces inside operators, which no
    Python-level watch of tensors sees. The arguments do not count, since they exist before. Not
    seen is what a library under PyTorch takes for itself (the packing buffers of a matrix product)
    and Python's own memory. The count is exact and the same on every run; the call is made once
    and takes a little longer than usual.

    >>> peak_bytes(torch.zeros, 1024)  # of 4 bytes each
    4096
    """
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or each call writes lines to stderr
    with (
        without_collection(),  # what others left must not be released meanwhile
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        result = fn(*args, **kwargs)
    del result
    recorded = profiler.profiler.kineto_results.events()
    changes = [event for event in recorded if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    held = peak = 0
    for change in changes:
        held += change.nbytes()
        peak = max(peak, held)
    return peak


@contextmanager
def memory_limit(fraction: float = 0.9) -> Iterator[None]:
    """Within the block, allocations beyond `fraction` of the memory now free raise an error.

    Linux lends more memory than there is and ends the process that uses it. Under this limit an
    allocation that is too large raises RuntimeError instead, which `is_out_of_memory` recognises.
    Where the limit cannot be set (other systems) nothing is limited.
    """
    try:
        import resource

        free, used = (
            _kilobytes("/proc/meminfo", "MemAvailable"),
            _kilobytes("/proc/self/status", "VmData"),
        )
        before = resource.getrlimit(resource.RLIMIT_DATA)
    except (ImportError, OSError, AttributeError):
        yield
        return
    wanted = int(1024 * (used + fraction * free))
    bounds = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *bounds]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_out_of_memory(error: BaseException) -> bool:
    """Does an error say that memory ran out? PyTorch's CPU allocator says so in a RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    phrases = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in phrases)


def _kilobytes(path: str, field: str) -> int:
    """A number from a table of the kernel's, in KiB."""
    with open(path) as table:
        for line in table:
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    raise OSError(f"{path} has no line {field}")
