"""Modules that only draw, as a worker has them: they take every call and do nothing."""

import types
from typing import Any

# The modules that were asked for something since this was last cleared.
USED: set[str] = set()


class Inert(types.ModuleType):
    """A module, and anything in it, that takes every call and does nothing."""

    __all__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing; what it decorates stays what it is."""
        USED.add(self.__name__.partition(".")[0])
        decorates = len(args) == 1 and isinstance(args[0], types.FunctionType) and not kwargs
        return args[0] if decorates else self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __iter__(self) -> Any:
        return iter((self, self))

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __or__

    def __len__(self) -> int:
        return 2  # as many as it is iterated over

    def __float__(self) -> float:
        return 0.0

    def __lt__(self, other: Any) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (object,)


class Bars(Inert):
    """tqdm: what runs through a bar runs through what the bar is about."""

    def __getattr__(self, name: str) -> Any:
        if name == "trange":
            return lambda *numbers, **options: Bar(range(*numbers))
        return Bar if name in ("tqdm", "tqdm_notebook") else super().__getattr__(name)


class Bar(Inert):
    """A bar, or nothing but a name, over what it is about."""

    def __init__(self, about: Any = (), *args: Any, **options: Any) -> None:
        super().__init__("tqdm")
        self._about = about

    def __iter__(self) -> Any:
        return iter(self._about)

    def __len__(self) -> int:
        return len(self._about)
