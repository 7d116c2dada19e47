"""Trainings that run each in a process of its own, and the processor's time that they take."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

Job = tuple[Any, ...]  # a function that a new process can import, and what it is given


def timed(job: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """What a job finds, and the seconds of the processor that it took, on one thread."""
    torch.set_num_threads(1)
    start = time.process_time()
    return job(*args), time.process_time() - start


def in_processes(jobs: Mapping[str, Job], processes: int) -> Iterator[tuple[str, Any, float]]:
    """The name of each job, what it found and its seconds, in the order in which they are given."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        begun = {name: pool.submit(timed, *job) for name, job in jobs.items()}
        for name, job in begun.items():
            yield name, *job.result()
