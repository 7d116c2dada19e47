"""An exception of the learner's code in words: what was raised, where, and what to do about it."""

from attncourse.course.execution import Failure

NO_GRADIENTS = ". NumPy computes no gradients: use torch's function of the same name"
OTHER_NAMES = ". In torch `axis` is called `dim`, and `keepdims` is `keepdim`"


def in_words(failure: Failure) -> str:
    """What the learner is told of a failure of their function."""
    place = f" ({failure.where})" if failure.where else ""
    if failure.fatal or failure.kind == "ForbiddenError":
        return failure.message + place
    message = f": {failure.message}" if failure.message else ""
    return f"your function raised {failure.kind}{message}{place}{_remedy(failure)}"


def _remedy(failure: Failure) -> str:
    """What to do where NumPy was given tensors; nothing where that was not the reason."""
    if "requires grad" in failure.message and "numpy" in failure.message:
        return NO_GRADIENTS
    if "was given a PyTorch tensor" in failure.message:
        return OTHER_NAMES
    return ""
