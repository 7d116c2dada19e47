"""The exercises: a folder for each chapter, in it a module for each exercise."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

Function = Callable[..., Any]


def itself(answer: Function) -> Function:
    """An answer to the lender's exercise is one to the borrower's: to mend is to write."""
    return answer


class Borrow(NamedTuple):
    """What an exercise takes over from another, the lender.

    names are functions of the lender's module, ``wrong_*`` or ``right_*``; wrap makes of an answer
    to the lender's exercise the answer to this one that rests on it. A ``check_*`` may be named
    too: it asks this exercise's function as it asks the lender's.
    """

    lender: ModuleType
    wrap: Callable[[Function], Function]
    names: tuple[str, ...]
