"""What an answer could leave behind in its process, so that the next exercise finds no trace.

Told by the submission's own process, and so no proof: whoever lies here spoils his own next
exercise and nothing else, since what a judge believes is only values that it compares.
"""

import builtins
import gc
import math
import os
import random
import signal
import sys
import types
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from attncourse.grading.sandbox.mounts import NAME

_MODULES = ("torch", "torch.nn", "torch.nn.functional", "torch.linalg", "torch.autograd", "numpy")
_OTHERS = (builtins, math, random, torch.Tensor, torch.nn.Module, torch.autograd.Function)
_USUAL = "__warningregistry__"  # where Python remembers what it has warned of


class Traces:
    """The names and settings that all answers share, as they were when this was made."""

    def __init__(self) -> None:
        ours = (name for name in sys.modules if name.partition(".")[0] == NAME)
        found = {name: sys.modules[name] for name in (*_MODULES, *ours)}
        self.places: dict[str, Any] = {other.__name__: other for other in _OTHERS} | found
        self.settings = _settings()
        self.numbers = np.random.get_state()
        self.filters = list(warnings.filters)
        self.names: dict[str, tuple[dict[str, Any], list[int]]] = {}
        self.expect(self.places)

    def expect(self, places: Iterable[str]) -> None:
        """What the modules of these names hold now is as it should be."""
        for name in places:
            if name in self.places:
                kept = dict(vars(self.places[name]))
                self.names[name] = kept, list(map(id, kept.values()))

    def wipe(self) -> bool:
        """Put back what is harmless; is everything else as it was?"""
        warnings.filters[:] = self.filters  # type: ignore[index]
        random.seed(0)
        np.random.set_state(self.numbers)
        gc.collect()
        try:
            found = ((vars(self.places[name]), *kept) for name, kept in self.names.items())
            return all(_same(*one) for one in found) and _settings() == self.settings
        except Exception:  # the submission broke what is asked here
            return False


def _same(now: Mapping[str, Any], before: dict[str, Any], values: list[int]) -> bool:
    """The same names with the same values; a module that was imported since is no difference."""
    if list(map(id, now.values())) == values:
        return True
    if any(now.get(name, now) is not value for name, value in before.items()):
        return False
    new = (now[name] for name in now.keys() - before.keys() - {_USUAL})
    return all(isinstance(value, types.ModuleType) for value in new)


def _settings() -> tuple[Any, ...]:
    """What can be set for a whole process and changes what functions give."""
    backends: Any = torch.backends
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_anomaly_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
        backends.mkldnn.enabled,
        (backends.cuda.flash_sdp_enabled(), backends.cuda.math_sdp_enabled()),
        bool(torch.tensor(1e-310, dtype=torch.float64) * 1),  # are tiny numbers flushed to zero?
        np.geterr(),
        dict(os.environ),
        sys.getrecursionlimit(),
        (sys.gettrace(), sys.getprofile()),
        tuple(map(id, sys.meta_path)),
        gc.isenabled(),
        [signal.getitimer(timer) for timer in (0, 1, 2)],
        [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGINT)],
    )
