"""Writing with a language model, token after token."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from attncourse.core.errors import CourseError
from attncourse.models.past import Past

Choice = Callable[[Tensor], Any]

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # the model's own


class NoNumbersError(CourseError):
    """A model's logits are not finite, so that there is no next token."""


def chat_frame(prompt: str, *, system: str = "") -> str:
    """A prompt in the frame in which SmolLM2-Instruct was trained, up to where it answers.

    Its template begins with a system's turn, `SYSTEM` where the user gives none. That is 21 tokens,
    computed before every answer: here there is such a turn only where it is given.
    """
    turns = (("system", system), ("user", prompt))
    said = "".join(f"<|im_start|>{who}\n{what}<|im_end|>\n" for who, what in turns if what)
    return f"{said}<|im_start|>assistant\n"


def likeliest(logits: Tensor) -> int:
    """The token with the largest logit: greedy decoding."""
    return int(logits.argmax())


def continued(
    logits: Callable[..., Tensor],
    ids: Sequence[int],
    *,
    past: Past | None,
    choose: Choice = likeliest,
) -> Iterator[int]:
    """One chosen token after the other behind `ids`, without end.

    With a `past` each step computes the new token alone, without one all tokens anew. Raises
    NoNumbersError where the logits are not finite.
    """
    known, new = list(ids), list(ids)
    while True:
        last = logits(torch.tensor(known if past is None else new), past=past)[-1]
        if not last.isfinite().all():
            raise NoNumbersError(f"the logits after {len(known)} tokens are not finite (NaN)")
        new = [int(choose(last))]
        known += new
        yield new[0]
