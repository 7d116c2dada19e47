"""A learner's backward pass inside SmolLM2: where the gradient of its loss points, layer by layer.

Forwards the model is as it was, and writes the same words: a wrong backward pass shows nowhere but
in gradients.
"""

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from attncourse.core.errors import CourseError
from attncourse.mechanisms.exact.backward import attention_backward, with_backward
from attncourse.models.pretrained.slopes import slopes
from attncourse.models.pretrained.smollm import SmolLM

Function = Callable[..., Any]

SENTENCE = "The trophy does not fit in the suitcase because it is too big."
SHOWN = (29, 20, 10, 0)  # a layer's input, counted from 0
_NEAR = 0.005


class BackwardError(CourseError):
    """A backward pass gave no gradients; the message says why."""


@dataclass(frozen=True)
class BackwardTrial:
    """The gradients of a model with a backward pass of one's own beside the true ones.

    angle (31,) holds the cosines between the two at the tokens between the layers, ratio (31,)
    their lengths, yours over the true one's. Jupyter and Python show it by themselves.
    """

    name: str
    angle: Tensor
    ratio: Tensor

    def headline(self) -> str:
        """What became of the gradient, in a sentence."""
        said = "are the true ones" if self.right() else "go astray"
        return f"Your {self.name} in SmolLM2: it writes the same words, and its gradients {said}."

    def right(self) -> bool:
        """Are direction and length those of the true gradients, at each layer?"""
        near = (self.angle > 1 - _NEAR) & ((self.ratio - 1).abs() < _NEAR)
        return bool(near.all())

    def note(self) -> str:
        """How to go on, where nothing is to be seen."""
        if not self.right():
            return ""
        return f"That nothing changes proves nothing: check({self.name}) looks closer."

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Where, the cosine with the true gradient, how many times its length."""
        for layer in SHOWN:
            angle, ratio = self.angle[layer].item(), self.ratio[layer].item()
            yield f"into layer {layer}", f"{angle:.2f}", f"{ratio:.3g}"

    def __repr__(self) -> str:
        lines = [self.headline(), "gradient            cosine  times the length"]
        lines += [f"{a:18} {b:>7}  {c:>16}" for a, b, c in self.rows()]
        return "\n".join([*lines, *filter(None, [self.note()])])

    def _repr_html_(self) -> str:
        titles = ("the gradient of the loss", "cosine with the true one", "times its length")
        head = "".join(f'<th scope="col" style="text-align:left">{t}</th>' for t in titles)
        body = "".join(f"<tr>{''.join(map('<td>{}</td>'.format, row))}</tr>" for row in self.rows())
        title = f'<div style="font-weight:600">{html.escape(self.headline())}</div>'
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div role="status">{title}{table}<div>{html.escape(self.note())}</div></div>'


def backward_trial(name: str, backward: Function) -> BackwardTrial:
    """The gradients with `backward(q, k, v, grad)` beside the true ones.

    Raises BackwardError for what fails or does not fit, MissingModel.
    """
    true, yours = _gradients(attention_backward), _told(name, backward)
    lengths = yours.norm(dim=-1) / true.norm(dim=-1)
    return BackwardTrial(name, torch.cosine_similarity(yours, true, dim=-1), lengths)


def _told(name: str, backward: Function) -> Tensor:
    def checked(*given: Tensor) -> Any:
        return _three(name, backward(*given), given)

    model = SmolLM.load(attention=with_backward(checked))
    try:
        return slopes(model, SENTENCE).flatten(1)
    except CourseError:
        raise
    except Exception as error:
        said = str(error).partition("\n")[0][:200]
        what = type(error).__name__ + (f": {said}" if said else "")
        raise BackwardError(f"your {name} gave no gradients: {what}") from error


def _three(name: str, found: Any, given: tuple[Tensor, ...]) -> Any:
    """The gradients of q, k and v, if that is what it is; else BackwardError."""
    if not isinstance(found, tuple) or len(found) != 3:
        got = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        raise BackwardError(f"your {name} must return the tuple (dq, dk, dv): got {got}")
    for letter, grad, x in zip("qkv", found, given, strict=False):
        if not isinstance(grad, Tensor) or (grad.shape, grad.dtype) != (x.shape, x.dtype):
            got = f"{tuple(grad.shape)}" if isinstance(grad, Tensor) else type(grad).__name__
            kind = f", {grad.dtype}" if isinstance(grad, Tensor) and grad.dtype != x.dtype else ""
            raise BackwardError(
                f"the gradient of {letter} must be like {letter}, {tuple(x.shape)}: got {got}{kind}"
            )
    return found


@cache
def _gradients(backward: Function) -> Tensor:
    """The true gradients, by the library's own."""
    return slopes(SmolLM.load(attention=with_backward(backward)), SENTENCE).flatten(1)
