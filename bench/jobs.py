"""Trainings that run each in a process of its own, and the processor's time that they take."""

import time
from collections.abc import Callable
from typing import Any

import torch


def timed(job: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """What a job finds, and the seconds of the processor that it took, on one thread."""
    torch.set_num_threads(1)
    start = time.process_time()
    return job(*args), time.process_time() - start
