"""What of this package an answer may use; the rest is refused while a learner's code runs.

An answer is the learner's own. What holds answers (mechanisms, models, masks, the exercises) is
refused with the same words in a notebook, where it may have been imported long before, and in a
worker, where it is not there at all.
"""

import contextlib
import functools
import inspect
import sys
import types
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, NoReturn

import attncourse
from attncourse.course.forbidden import ForbiddenError, message

NAME = attncourse.__name__
_PACKAGE = vars(attncourse)
_find, _home_of = _PACKAGE["__getattr__"], _PACKAGE["_HOME_OF"]

# The modules an answer may use.
OPEN = (
    "",
    "core",
    "core.autocast",
    "core.dtypes",
    "core.errors",
    "core.numbers",
    "core.probes",
    "core.rules",
    "core.shapes",
    "core.transforms",
    "course",
    "course.notebook",
    "measure",
    "measure.cost",
    "measure.queue_model",
    "measure.small_models",
    "measure.weights",
    "plots",
    "testing",
)
_ROOMS = ("cli", "exercises", "grading", "kernels", "mechanisms", "models")
_MACHINERY = ("course", "grading", "cli")  # runs while an answer does, and computes none


def refused(module: str) -> bool:
    """Is this a module of the package that an answer may not use?"""
    package, _, inside = module.partition(".")
    return package == NAME and inside not in OPEN


def refuse(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Say that an answer may not use this."""
    raise ForbiddenError(message(name))


def public(name: str) -> Any:
    """The package's own name, as an answer sees it: what it may not use is refused."""
    if name in _ROOMS or refused(_home_of.get(name, "")):
        refuse(f"{NAME}.{name}")
    return _find(name)


class Library:
    """The parts of the package that are loaded and that an answer may not use."""

    def __init__(self) -> None:
        self.modules = {name: found for name, found in sys.modules.items() if refused(name)}
        answers = [m for n, m in self.modules.items() if n.split(".")[1] not in _MACHINERY]
        found = (one for module in answers for one in _functions(module))
        self.functions = {id(function): (function, told) for function, told in found}

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Refuse them while this lasts, whatever was imported before."""
        rooms = {name: _PACKAGE.pop(name) for name in _ROOMS if name in _PACKAGE}
        codes = [(function, function.__code__) for function, _ in self.functions.values()]
        finder = _Closed()
        try:
            for name in self.modules:
                sys.modules.pop(name, None)
            sys.meta_path.insert(0, finder)
            _PACKAGE["__getattr__"] = public
            for function, told in self.functions.values():
                function.__code__ = _refusing(told)
            yield
        finally:
            for function, code in codes:
                function.__code__ = code
            _PACKAGE["__getattr__"] = _find
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(finder)
            sys.modules.update(self.modules)
            _PACKAGE.update(rooms)


class _Closed(MetaPathFinder):
    """Refuses the import of what is closed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return refuse(name) if refused(name) else None


def _functions(module: types.ModuleType) -> Iterator[tuple[types.FunctionType, str]]:
    """The functions that a module defines, and those of its classes, as they are called."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for inner in vars(value).values() if isinstance(value, type) else (value,):
            while isinstance(inner, staticmethod | classmethod):
                inner = inner.__func__
            while inner is not None:
                # one with a closure cannot have the code of one without; what it wraps has none
                if isinstance(inner, types.FunctionType) and not inner.__code__.co_freevars:
                    yield inner, f"{NAME}.{name}"
                inner = getattr(inner, "__wrapped__", None)


def _template(*args: Any, **kwargs: Any) -> Any:
    refusing: Any = "REFUSING"
    return refusing()


@functools.lru_cache(maxsize=4096)
def _refusing(told: str) -> types.CodeType:
    """Code that refuses, to stand for a function's own for a while."""
    here = inspect.unwrap(_template).__code__  # our own tests wrap it
    refusing = functools.partial(refuse, told)
    constants = tuple(
        refusing if constant == "REFUSING" else constant for constant in here.co_consts
    )
    return here.replace(co_consts=constants)


def close_for_good() -> None:
    """Refuse, as long as this process lives, the names of the package that are answers."""
    _PACKAGE["__getattr__"] = public
