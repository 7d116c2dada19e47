"""The worker: holds one submission's functions and maps arguments to results.

It runs in a confined child of the zygote. It knows no expected value, no check and no
misconception, and has nothing of this package that holds an answer. What a submission does to
this process it does to its own answers: nothing said here is believed but values that the judge
compares. What it could still lie about: whether its function modified an argument, and which
exception it raised.
"""

import ast
import functools
import importlib
import linecache
import random
import sys
import types
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

import torch

from attncourse.course import parsing
from attncourse.course.execution import Failure, Outcome, execute
from attncourse.course.forbidden import refuse_for_good
from attncourse.course.grading import replay
from attncourse.course.grading.channel import LARGEST_REQUEST, Channel, ChannelError
from attncourse.course.grading.sandbox.mounts import LIBRARIES, NAME, hidden

MOST_NOTES = 20

_REFUSED = "is not available while a submission is graded"

# What chapters import, so that a child finds it there.
_USUAL = (
    "jaxtyping",
    "numpy",
    f"{NAME}.plots",
    f"{NAME}.measure.weights",
    f"{NAME}.measure.analytic",
)

_DRAWING = ("matplotlib", "seaborn", "plotly", "IPython", "ipywidgets", "tqdm")
_KNOWN = sys.stdlib_module_names | {*LIBRARIES, NAME}


class _Modules(MetaPathFinder, Loader):
    """Refuses what holds answers and what is not needed; stands in for what only draws."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in _DRAWING:
            return ModuleSpec(name, self, is_package=True)
        if hidden(name):
            raise ImportError(f"{name} {_REFUSED}", name=name)
        return None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Inert(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


class _Known(MetaPathFinder):
    """Finds what another finder does, of the modules that a worker is given alone."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        known = top in _KNOWN or top in sys.modules
        return self.finder.find_spec(name, path, target) if known else None

    def __getattr__(self, name: str) -> Any:  # what else it can, such as the packages' versions
        return getattr(self.finder, name)


class _Inert(types.ModuleType):
    """A module, and anything in it, that takes every call and does nothing."""

    __all__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __iter__(self) -> Any:
        return iter((self, self))

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __or__

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (object,)


def prepare() -> None:
    """What all workers need, done once in the zygote."""
    sys.modules["attncourse.course.notebook"] = _silent_notebook()
    sys.meta_path[:] = [_Modules(), *map(_Known, sys.meta_path)]
    for name in [name for name in sys.modules if hidden(name)]:
        del sys.modules[name]
    for name in _USUAL:
        importlib.import_module(name)
    one = lambda *threads: None  # noqa: E731  (no thread can be started here)
    torch.set_num_threads = torch.set_num_interop_threads = one


def serve(channel: Channel) -> None:
    """Serve one judge until it hangs up."""
    warnings.simplefilter("ignore", SyntaxWarning)  # a learner's \sqrt in a docstring
    random.seed(0)
    namespace: dict[str, Any] = {"__name__": "submission"}
    while True:
        try:
            request, values = channel.receive()
        except ChannelError:
            return
        if request["op"] == "parse":
            _parse(channel, request)
        elif request["op"] == "repeat":
            _repeat(channel, request, values)
        elif request["op"] == "load":
            refuse_for_good(request["forbidden"])
            notes = _load(request["cells"], namespace)[:MOST_NOTES]
            channel.send({"id": request["id"], "notes": notes})
        else:
            _answer(channel, request, values, namespace)


def _silent_notebook() -> types.ModuleType:
    """A stand-in for the notebook's `check` and `hint`, which do nothing under grading."""
    module = types.ModuleType("attncourse.course.notebook")
    module.check = module.hint = lambda *args, **kwargs: None  # type: ignore[attr-defined]
    return module


def _parse(channel: Channel, request: dict[str, Any]) -> None:
    """Find the definitions in a hostile text."""
    channel.most = LARGEST_REQUEST  # nothing of a submission runs here
    names = frozenset(request["watched"])
    try:
        found = parsing.parse(request["text"], request["name"], names)
    except parsing.UnreadableError as error:
        channel.send({"id": request["id"], "unreadable": str(error)})
        return
    cells = [[cell.label, cell.source, list(cell.keep)] for cell in found.cells]
    rest = {"chapter": found.chapter, "defined": found.defined, "notes": found.notes[:MOST_NOTES]}
    prints = [[one.name, one.lines, one.marks] for one in found.prints]
    more = {"cells": cells, "uses": found.uses[:2000], "prints": prints}
    channel.send({"id": request["id"], **more, **rest})


def _load(cells: list[Any], namespace: dict[str, Any]) -> list[str]:
    """Run the kept statements of each cell; one that fails is noted and costs only itself.

    An import of what is not available here is noted only where nothing of this package is meant:
    a chapter's own cells import the library.
    """
    notes = []
    for label, source, keep in cells:
        filename = f"<{label}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        body = ast.parse(source).body
        for index in keep:
            statement = ast.Module([body[index]], [])
            try:
                exec(compile(statement, filename, "exec"), namespace)
            except (Exception, SystemExit) as error:
                if isinstance(error, ImportError) and hidden(error.name or ""):
                    _import_the_rest(body[index], namespace)
                    continue
                reason = str(error).partition("\n")[0][:200]
                notes.append(
                    f"{label}, line {body[index].lineno}: {type(error).__name__}: {reason}"
                )
    return notes


def _import_the_rest(statement: ast.stmt, namespace: dict[str, Any]) -> None:
    """Import what may be had, name by name; the other names say so when they are used.

    ``from attncourse import attention, flops``: the first is an answer, the second is not.
    """
    if not isinstance(statement, ast.ImportFrom):
        return
    for alias in statement.names:
        name, whole = alias.asname or alias.name, f"{statement.module}.{alias.name}"
        single = ast.copy_location(ast.ImportFrom(statement.module, [alias], 0), statement)
        try:
            exec(compile(ast.Module([single], []), "<import>", "exec"), namespace)
        except ImportError:
            namespace[name] = _Unavailable(whole)


class _Unavailable:
    """Stands for what cannot be imported here: any use of it raises ImportError."""

    def __init__(self, name: str) -> None:
        self.__name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ImportError(f"{self.__name} {_REFUSED}", name=self.__name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self()


def _repeat(channel: Channel, request: dict[str, Any], values: list[Any]) -> None:
    """Repeat a recorded call, or measure it with a probe: no submission was ever loaded here."""
    args, kwargs, constants = values
    channel.most = LARGEST_REQUEST
    try:
        outcome = execute(
            replay.repeat(request["record"], constants), request["probe"], args, kwargs
        )
    except replay.Unrepeatable as error:
        outcome = Outcome(failure=Failure("Unrepeatable", str(error)))
    _send(channel, request, outcome)


def _answer(
    channel: Channel, request: dict[str, Any], values: list[Any], namespace: dict[str, Any]
) -> None:
    """Call the named function, or a probe on it, and send the outcome."""
    args, kwargs = values
    function = namespace.get(request["function"])
    if callable(function):
        if request["probe"] == "record":
            call = functools.partial(replay.record, function, args, kwargs)
            channel.most = replay.LARGEST
            outcome = execute(call, None, (), {})
        else:
            outcome = execute(function, request["probe"], args, kwargs)
    else:
        message = f"{request['function']} is not a function in this submission"
        outcome = Outcome(failure=Failure("NameError", message))
    _send(channel, request, outcome)


def _send(channel: Channel, request: dict[str, Any], outcome: Outcome) -> None:
    """Send an outcome; what cannot be sent is a failure of the call."""
    failure = outcome.failure and [
        outcome.failure.kind,
        outcome.failure.message,
        outcome.failure.where,
    ]
    text = {"id": request["id"], "failure": failure, "modified": list(outcome.modified)}
    try:
        channel.send(text, outcome.value)
    except ChannelError:
        raise
    except Exception as error:  # a value too large, or of a kind that breaks while it is read
        message = str(error).partition("\n")[0][:200]
        failure = [type(error).__name__, message, ""]
        channel.send(text | {"failure": failure, "modified": []}, None)
