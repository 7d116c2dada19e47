"""What a submission finds around it in a worker: which modules there are, and what they are.

What holds answers is refused, what only draws takes every call and does nothing.
"""

import contextlib
import importlib
import io
import sys
import types
import warnings
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

import torch

from attncourse.course.library import close_for_good, refuse
from attncourse.grading.confined.inert import USED, Bars, Inert
from attncourse.grading.sandbox.mounts import LIBRARIES, NAME, hidden

# What chapters import, so that a child finds it there.
USUAL = (
    "jaxtyping",
    "numpy",
    f"{NAME}.plots",
    f"{NAME}.measure.weights",
)

_NOTEBOOK = f"{NAME}.course.notebook"
_DRAWING = ("matplotlib", "seaborn", "plotly")
_STOOD_IN_FOR = (*_DRAWING, "IPython", "ipywidgets", "tqdm")

# What a submission's own `check("softmax", mine)` was asked about, by name.
CHECKED: dict[str, Any] = {}
_KNOWN = sys.stdlib_module_names | {*LIBRARIES, NAME}


class _Modules(MetaPathFinder, Loader):
    """Refuses what holds answers and what is not needed; stands in for what only draws."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in _STOOD_IN_FOR:
            return ModuleSpec(name, self, is_package=True)
        if hidden(name):
            refuse(name)
        return None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return (Bars if spec.name.partition(".")[0] == "tqdm" else Inert)(spec.name)

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


class _Muffled(io.TextIOBase):
    """A stream that says nothing while it is told so; who has kept it may print again later."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.quiet = True

    def write(self, text: str) -> int:
        """Pass the text on, or drop it."""
        return len(text) if self.quiet else int(self.stream.write(text))

    def flush(self) -> None:
        """Pass on what is kept."""
        self.stream.flush()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Print nothing while this lasts."""
    out, err = _Muffled(sys.stdout), _Muffled(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield
    out.quiet = err.quiet = False


def _uncompiled(model: Any = None, **options: Any) -> Any:
    """torch.compile where no compiler can be started: the function itself gives the same."""
    return _uncompiled if model is None else model


def ipython() -> dict[str, Any]:
    """The names that Jupyter gives to every notebook."""
    nothing = Inert("IPython")
    return {"display": nothing, "get_ipython": lambda: nothing, "In": [""], "Out": {}, "_": ""}


def begin() -> None:
    """A submission's cells are about to run: nothing was checked, nothing drawn."""
    CHECKED.clear()
    USED.clear()


def drawn() -> list[str]:
    """The modules that were asked to draw."""
    return sorted(USED.intersection(_DRAWING))


def prepare() -> None:
    """What all workers need, done once in the zygote."""
    sys.meta_path[:] = [_Modules(), *map(_Known, sys.meta_path)]
    for name in [name for name in sys.modules if hidden(name)]:
        del sys.modules[name]
    sys.modules[_NOTEBOOK] = _silent_notebook()
    close_for_good()
    # what `check` offers a learner; with the package's own they would have its models
    vars(sys.modules[NAME])["in_a_model"] = lambda *args, **kwargs: None
    for name in USUAL:
        importlib.import_module(name)
    warnings.simplefilter("ignore", SyntaxWarning)  # a learner's \sqrt in a docstring
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # the result says it
    one = lambda *threads: None  # noqa: E731  (no thread can be started here)
    torch.set_num_threads = torch.set_num_interop_threads = one
    torch.compile = _uncompiled


def _silent_notebook() -> types.ModuleType:
    """A stand-in for the notebook's `check` and `hint`: it keeps what is to be checked."""
    module = types.ModuleType(_NOTEBOOK)

    def check(exercise: Any = None, function: Any = None) -> None:
        if isinstance(exercise, str) and callable(function):
            CHECKED[exercise] = function

    module.check = check  # type: ignore[attr-defined]
    module.hint = lambda *args, **kwargs: None  # type: ignore[attr-defined]
    return module
