"""The table that the generic tests run over, a file for each module of mechanisms.

Each file gives MECHANISMS, by name: the generic tests of values, gradients, dtypes and layouts run
over these rows. A public function that stands in no row is named in ELSEWHERE, which says that a
test file of its own does all that, or in OPTIONS. The tests of bad input run over every public
function whose arguments are tensors; OPTIONS gives them the other arguments of a function that
stands in no row.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch

from attncourse.mechanisms import definition_of


@dataclass(frozen=True)
class Mechanism:
    """A function, a form nobody here wrote, its inputs, and the definition it must equal.

    plain is the same formula in PyTorch's operators or in an independent package. inputs(*lead,
    std, seed) gives float64 tensors with any leading axes. The definition is the one beside the
    function; plain, where there is none. rounded_once says that half-precision input is computed in
    float32 and rounded at the end, so that both results are bit-equal.
    """

    fast: Callable[..., Any]
    plain: Callable[..., Any]
    inputs: Callable[..., tuple[torch.Tensor, ...]]
    definition: Callable[..., Any] | None = None
    rounded_once: bool = True

    def __post_init__(self) -> None:
        if self.definition is None:
            object.__setattr__(self, "definition", definition_of(self.fast) or self.plain)

    def forms(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return self.fast, self.definition


FILES = [import_module(f"rows.{module.name}") for module in pkgutil.iter_modules(__path__)]
MECHANISMS: dict[str, Mechanism] = {
    name: row for file in FILES for name, row in file.MECHANISMS.items()
}
ELSEWHERE = {function for file in FILES for function in getattr(file, "ELSEWHERE", ())}


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a partial."""
    return bare(function.func) if isinstance(function, partial) else function


def options_by_function() -> dict[Callable[..., Any], dict[str, Any]]:
    """The options with which the table calls each function of the library."""
    forms = [form for row in MECHANISMS.values() for form in row.forms()]
    found = {bare(form): getattr(form, "keywords", {}) for form in forms}
    for file in FILES:
        found |= getattr(file, "OPTIONS", {})
    return found
