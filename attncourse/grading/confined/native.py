"""No way past PyTorch: where functions are forbidden, no code is called by its address.

PyTorch's own kernels lie in a library that any process may open, behind the dispatcher in which
they are refused. Python reports whoever opens a library or looks into memory, and a hook that
hears of it cannot be taken away.
"""

import _ctypes
import ctypes
import sys
import types
from typing import Any, NoReturn

_REFUSED = "ctypes is not available in an exercise that forbids functions"

# What calls code or reads memory by an address, of which Python reports nothing.
_BY_ADDRESS = (
    *("CDLL", "PyDLL", "CFUNCTYPE", "PYFUNCTYPE", "LibraryLoader", "cdll", "pydll", "pythonapi"),
    *("cast", "memmove", "memset", "string_at", "wstring_at", "_CFuncPtr", "CFuncPtr"),
    *("call_function", "call_cdeclfunction", "dlopen", "dlsym"),
)


def shut() -> None:
    """Refuse, for as long as this process lives, to call code or read memory by its address."""
    for module in (ctypes, _ctypes):
        for name in _BY_ADDRESS:
            if hasattr(module, name):
                setattr(module, name, _Refused())
    constants = tuple(_REFUSED if c == "TEXT" else c for c in _heard.__code__.co_consts)
    code = _heard.__code__.replace(co_consts=constants)
    sys.addaudithook(types.FunctionType(code, {}, "heard"))


def _heard(event: str, given: tuple[Any, ...]) -> None:
    """Refuse what Python reports of ctypes, and to be changed."""
    if event.startswith("ctypes.") or (event == "object.__setattr__" and "__code__" in given):
        raise RuntimeError("TEXT")


class _Refused:
    """Stands for what is refused."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(_REFUSED)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(_REFUSED, name=name)
