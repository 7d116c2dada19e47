"""The worker process: holds one submission's functions and maps arguments to results.

Started as ``python -m attncourse.course.grading.worker READ WRITE MEMORY`` with two pipes. It
knows no expected value, no check and no misconception, and cannot import the solutions.
"""

import ast
import linecache
import resource
import sys
import types
import warnings
from importlib.abc import MetaPathFinder
from typing import Any

import torch

from attncourse.course.execution import Failure, Outcome, execute
from attncourse.course.grading.channel import Channel, ChannelError

_HIDDEN = ("attncourse.mechanisms", "attncourse.models", "attncourse.exercises")


class _HideSolutions(MetaPathFinder):
    """Refuse to import what holds the answers."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith(_HIDDEN):
            raise ImportError(f"{name} is not available while a submission is graded")


def main() -> None:
    """Serve one judge until it hangs up."""
    reading, writing, memory = (int(word) for word in sys.argv[1:4])
    channel = Channel(reading, writing)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.meta_path.insert(0, _HideSolutions())
    warnings.simplefilter("ignore", SyntaxWarning)  # a learner's \sqrt in a docstring
    sys.modules["attncourse.course.notebook"] = _silent_notebook()
    namespace: dict[str, Any] = {"__name__": "submission"}
    channel.send({"ready": True})
    while True:
        try:
            request, values = channel.receive()
        except ChannelError:
            return
        if request["op"] == "load":
            channel.send({"notes": _load(request["cells"], namespace)})
        else:
            _answer(channel, request, values, namespace)


def _silent_notebook() -> types.ModuleType:
    """A stand-in for the notebook's `check` and `hint`, which do nothing under grading."""
    module = types.ModuleType("attncourse.course.notebook")
    module.check = module.hint = lambda *args, **kwargs: None  # type: ignore[attr-defined]
    return module


def _load(cells: list[Any], namespace: dict[str, Any]) -> list[str]:
    """Run the kept statements of each cell; one that fails is noted and costs only itself."""
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
                reason = str(error).partition("\n")[0][:200]
                notes.append(
                    f"{label}, line {body[index].lineno}: {type(error).__name__}: {reason}"
                )
    return notes


def _answer(
    channel: Channel, request: dict[str, Any], values: list[Any], namespace: dict[str, Any]
) -> None:
    """Call the named function, or a probe on it, and send the outcome."""
    args, kwargs = values
    function = namespace.get(request["function"])
    if callable(function):
        outcome = execute(function, request["probe"], args, kwargs, request["forbidden"])
    else:
        message = f"{request['function']} is not a function in this submission"
        outcome = Outcome(failure=Failure("NameError", message))
    failure = outcome.failure and [
        outcome.failure.kind,
        outcome.failure.message,
        outcome.failure.where,
    ]
    text = {"failure": failure, "modified": list(outcome.modified)}
    try:
        channel.send(text, outcome.value)
    except ChannelError:
        raise
    except Exception as error:  # a value too large, or of a kind that breaks while it is read
        message = str(error).partition("\n")[0][:200]
        channel.send({"failure": [type(error).__name__, message, ""], "modified": []}, None)


if __name__ == "__main__":
    main()
