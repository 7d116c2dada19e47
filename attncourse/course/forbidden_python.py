"""What PyTorch writes in Python, refused by name wherever PyTorch keeps it.

A function stands in modules and in tables of decompositions, a class is refused where it computes.
It is the text of PyTorch that is refused here: who copies it into his answer has written it.
"""

import contextlib
import functools
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NoReturn

import torch

Refusals = Mapping[str, Callable[..., NoReturn]]

_Place = tuple[MutableMapping[Any, Any] | type, Any]  # a namespace, a table or a class; and a key

# Where the instances of a class compute; a layer may be made, but not be called.
_COMPUTING = ("__init__", "_call", "__call__")
_LAYERS = ("forward", "_forward_impl")


@contextlib.contextmanager
def refused(refusals: Refusals) -> Iterator[None]:
    """Put the refusals in all places, while this lasts."""
    kept = [(place, _get(place)) for place, _ in _places(refusals)]
    try:
        for place, refusal in _places(refusals):
            _put(place, refusal)
        yield
    finally:
        for place, value in kept:
            _put(place, value)


def refuse_for_good(refusals: Refusals) -> None:
    """Put the refusals in all places, and in the functions themselves, however they are kept."""
    for place, refusal in _places(refusals):
        try:
            refusal()
        except RuntimeError as error:
            _overwrite(_get(place), str(error))
        _put(place, refusal)


def _places(refusals: Refusals) -> list[tuple[_Place, Callable[..., NoReturn]]]:
    """Every place of what is refused, as far as it is imported, with the refusal."""
    loaded = sum(name.startswith("torch") for name in sys.modules)
    homes, tables = _homes(loaded), _tables(loaded)
    return [
        (place, refusal)
        for name, refusal in refusals.items()
        for place in (*(p for home in homes.get(name, ()) for p in _of(home, name)), *tables[name])
    ]


def _of(home: types.ModuleType, name: str) -> list[_Place]:
    """The places of one name in a module: the name itself, or the methods of a class."""
    value = vars(home)[name]
    if not isinstance(value, type):
        return [(vars(home), name)]
    methods = _LAYERS if issubclass(value, torch.nn.Module) else _COMPUTING
    return [(value, method) for method in methods if method in vars(value)]


@functools.lru_cache(maxsize=1)
def _homes(loaded: int) -> dict[str, list[types.ModuleType]]:
    """The modules of PyTorch that hold a function or class, by its name, of so many modules."""
    found: dict[str, list[types.ModuleType]] = {}
    for module in [m for name, m in sys.modules.items() if name.partition(".")[0] == "torch"]:
        if isinstance(module, types.ModuleType):
            for name, value in list(vars(module).items()):
                if issubclass(type(value), types.FunctionType | type):
                    found.setdefault(name, []).append(module)
    return found


@functools.lru_cache(maxsize=1)
def _tables(loaded: int) -> defaultdict[str, list[_Place]]:
    """The entries of the tables of decompositions, by the operator's name."""
    found: defaultdict[str, list[_Place]] = defaultdict(list)
    for table in torch._decomp.global_decomposition_table.values():
        for key in table:
            found[str(getattr(key, "_opname", ""))].append((table, key))
    return found


def _get(place: _Place) -> Any:
    home, key = place
    return vars(home)[key] if isinstance(home, type) else home[key]


def _put(place: _Place, value: Any) -> None:
    home, key = place
    if isinstance(home, type):
        setattr(home, key, value)
    else:
        home[key] = value


def _overwrite(function: Any, text: str) -> None:
    """Have a function raise this, and those that it wraps: whoever kept one calls a refusal."""
    if not isinstance(function, types.FunctionType):
        return
    inner = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    function.__defaults__ = function.__kwdefaults__ = None
    function.__code__ = _raising(text, function.__code__.co_freevars)
    for wrapped in inner:
        if getattr(wrapped, "__name__", "") == function.__name__:
            _overwrite(wrapped, text)


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _raising(text: str, free: tuple[str, ...]) -> types.CodeType:
    """The code of a function that takes anything and raises, needing no name from outside."""
    constants = tuple(text if c == "TEXT" else c for c in _refusal.__code__.co_consts)
    return _refusal.__code__.replace(co_consts=constants, co_freevars=free)


def _refusal(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError("TEXT")
