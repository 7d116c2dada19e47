"""An exception of the learner's code in words: what was raised, where, and what to do about it."""

import re

from attncourse.course.execution import Failure

_NUMPY_CALL = re.compile(
    r"\b(?:np|numpy)\.(?!pi\b|inf\b|e\b|newaxis\b|float|int|bool|ndarray)\w+\("
)
_NUMPY_WORD = re.compile(r"Can't call numpy\(\)|keepdims|numpy\.ndarray|__array\w*__")


def in_words(failure: Failure) -> str:
    """What the learner is told of a failure of their function."""
    if failure.fatal or failure.kind == "ForbiddenError":
        return failure.message
    message = f": {failure.message}" if failure.message else ""
    place = f" ({failure.where})" if failure.where else ""
    return f"your function raised {failure.kind}{message}{place}{_remedy(failure)}"


def _remedy(failure: Failure) -> str:
    """What to do where NumPy was given tensors; nothing where that was not the reason."""
    if "requires grad" in failure.message and "numpy" in failure.message:
        return ". NumPy computes no gradients: use torch's function of the same name"
    if _NUMPY_CALL.search(failure.where) or _NUMPY_WORD.search(failure.message):
        return (
            ". NumPy's functions are not made for tensors: use torch's, where `axis` is called "
            "`dim` and `keepdims` is `keepdim`"
        )
    return ""
