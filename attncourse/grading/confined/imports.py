"""Imports that name what an answer may not use: the rest of them is there."""

import ast
import sys
from typing import Any

from attncourse.course.library import NAME, refuse


def import_the_rest(tree: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Import what may be had, name by name; the other names say so when they are used.

    ``from attncourse import attention, flops``: the first is an answer, the second is not. False
    for what is no import.
    """
    if not isinstance(tree, ast.Import | ast.ImportFrom):
        return False
    for alias in tree.names:
        single = ast.copy_location(type(tree)(**vars(tree) | {"names": [alias]}), tree)
        try:
            exec(compile(ast.Module([single], []), "<import>", "exec"), namespace)
        except Exception:
            for name in sys.modules[NAME].__all__ if alias.name == "*" else (alias.name,):
                bound = alias.asname or (name if isinstance(tree, ast.ImportFrom) else NAME)
                namespace.setdefault(bound, _Unavailable(f"{NAME}.{name.rpartition('.')[2]}"))
    return True


class _Unavailable:
    """Stands for what an answer may not use: any use of it says so."""

    def __init__(self, name: str) -> None:
        self.__name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        refuse(self.__name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return refuse(self.__name)

    def __mro_entries__(self, bases: Any) -> Any:
        refuse(self.__name)
