"""One file for each attention mechanism: the definition of f, f_by_definition, then f beside it."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

Function = Callable[..., Any]


def definition_of(function: Function) -> Function | None:
    """The function ``<name>_by_definition`` of the same module; of a partial, with its arguments.

    None where there is none: a function so plain defines itself.
    """
    if isinstance(function, partial):
        definition = definition_of(function.func)
        return definition and partial(definition, *function.args, **function.keywords)
    home = import_module(function.__module__)
    return getattr(home, f"{function.__name__}_by_definition", None)


def forms_of(function: Function) -> tuple[Function, ...]:
    """Every form of a function, its definition first: those in FORMS of its module, or the two."""
    forms: tuple[Function, ...] = getattr(import_module(function.__module__), "FORMS", ())
    definition = definition_of(function)
    return forms if function in forms else (definition, function) if definition else (function,)
