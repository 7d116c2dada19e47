"""What every worker would have to do first, done once in the process that all are forks of."""

import gc
import random
import sys
from collections.abc import Sequence

import torch

from attncourse.course.execution import execute
from attncourse.course.forbidden import refuse_for_good, refused
from attncourse.grading.confined import surroundings
from attncourse.grading.confined.traces import Traces
from attncourse.grading.parsing import parser as parsing
from attncourse.grading.sandbox import kernel
from attncourse.grading.wire.frames import decode, encode

# a notebook without cells, to have every version's schema read before nothing can be
_EMPTY = '{"nbformat": %s, "metadata": {}, "cells": [], "worksheets": []}'


def warm_up() -> Traces:
    """Do once what every child would have to do, and stay on one thread."""
    torch.set_num_threads(1)
    random.seed(0)
    _try((None, "gradients", "largest_tensor"))
    # a grammar that jsonschema builds for seconds where it finds this package; not for notebooks
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    for version in ('3, "nbformat_minor": 0', *(f'4, "nbformat_minor": {n}' for n in range(6))):
        parsing.parse(_EMPTY % version, "empty.ipynb")
    decode(*encode({}, torch.ones(2)))
    surroundings.prepare()
    traces = Traces()
    with refused(("softmax",)):  # once all is imported: tables of what PyTorch holds are made
        pass
    gc.collect()
    gc.freeze()  # make forking cheap: no collection touches what is here,
    kernel.large_pages()  # and it lies in large pages, which further zygotes share
    return traces


def refuse(forbidden: Sequence[str], traces: Traces) -> None:
    """Refuse functions for good, in all children from now on: that is as it should be there."""
    refuse_for_good(forbidden)
    traces.expect(traces.places)
    gc.freeze()


def warm_up_counting() -> None:
    """What else is needed to count; elsewhere it would be memory to be copied with every child."""
    _try(("largest_tensor", "flops"))
    gc.freeze()


def _try(probes: tuple[str | None, ...]) -> None:
    """Call a function as children will. Raises RuntimeError where that fails."""
    for probe in probes:
        outcome = execute(lambda a: (a @ a).softmax(-1), probe, (torch.ones(2, 2),), {})
        if outcome.failure:
            raise RuntimeError(outcome.failure.message)
