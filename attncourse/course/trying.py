"""A learner's function inside a trained model: what it writes, how well it guesses, what it sees.

A right function changes nothing. A mistake has a voice in the model, or none: that is not a check.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from time import process_time
from typing import Any

import torch
from torch import Tensor

from attncourse.core.errors import CourseError
from attncourse.course.backward_trial import BackwardTrial, backward_trial
from attncourse.course.exercise import names, nearest
from attncourse.course.plugs.plug import Function, Plug
from attncourse.course.plugs.table import BACKWARD, PLUGS, right
from attncourse.models.pretrained.generation import likeliest
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM

PROMPTS = (
    "What is the capital of France?",
    "Tell me a very short story about a fox.",
    "Where do penguins live?",
)
PAIRS = (
    ("A dog runs in the park.", "A puppy plays outside."),
    ("A dog runs in the park.", "Interest rates have risen."),
)
SENTENCE, QUERY = "The trophy does not fit in the suitcase because it is too big.", "it"
HEADS = {"SmolLM": (16, 3), "MiniLM": (3, 1)}  # where "it" looks at the trophy most
SLOW = 0.5  # seconds of the processor for the running sentence, from where on less is tried


@dataclass(frozen=True)
class Amount:
    """How much is tried: tokens written after each prompt, tokens of prose guessed."""

    written: int
    guessed: int


WHOLE, BRIEF, LITTLE = Amount(16, 256), Amount(6, 128), Amount(4, 32)


@dataclass(frozen=True)
class Told:
    """What a model shows of itself.

    maps are those of all heads of all layers; problem says why there is no more.
    """

    words: tuple[str, ...] = ()
    perplexity: float | None = None
    similarities: tuple[float, ...] = ()
    maps: Tensor | None = None
    problem: str = ""


@dataclass(frozen=True)
class Trial:
    """A function in a model beside the right one; Jupyter and Python show it by themselves."""

    name: str
    model: str
    amount: Amount
    labels: tuple[str, ...]
    right: Told
    yours: Told

    def __repr__(self) -> str:
        from attncourse.course.trial_report import text

        return text(self)

    def _repr_html_(self) -> str:
        from attncourse.course.trial_report import as_html

        return as_html(self)


class Sentence(str):
    """A sentence that is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


def in_a_model(
    exercise: str | Function, function: Function | None = None
) -> Trial | BackwardTrial | Sentence:
    """Put your function into a trained model, and see what becomes of it: ``in_a_model(softmax)``.

    Give the exercise's name first where your function is called otherwise, as with `check`. Shown
    are what SmolLM2 writes after three prompts, its perplexity on prose of this course and a map of
    the running sentence, each beside those of the right function; for a backward pass, where the
    gradient of the model's loss points. That nothing changes proves nothing: `check` looks closer.

    >>> in_a_model("sofmax", lambda x: x)
    sofmax has no place in a model; did you mean 'softmax'?
    """
    name = exercise if isinstance(exercise, str) else getattr(exercise, "__name__", "")
    given = function if isinstance(exercise, str) else exercise
    if name not in PLUGS and name not in BACKWARD:
        return Sentence(no_place(name))
    if not callable(given):
        return Sentence(f"in_a_model needs your function as well: in_a_model({name!r}, {name}).")
    try:
        return trial(name, given)
    except CourseError as error:
        return Sentence(f"{str(error)[:1].upper()}{str(error)[1:]}")


def trial(name: str, function: Function) -> Trial | BackwardTrial:
    """The function in the model beside the right one. Raises MissingModel, BackwardError.

    On one thread: several wait for each other where a machine is busy, for minutes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if name in BACKWARD:
            return backward_trial(name, BACKWARD[name](function))
        return _trial(name, function)
    finally:
        torch.set_num_threads(threads)


def _trial(name: str, function: Function) -> Trial:
    plug = PLUGS[name]
    labels = tuple(_model(plug).words(SENTENCE))
    began = process_time()
    maps = _attempt(lambda: _model(plug, function).maps(SENTENCE))
    slow = process_time() - began > SLOW
    amount = LITTLE if slow else BRIEF if plug.brief else WHOLE
    if isinstance(
        maps, Told
    ):  # the values of a map have another width: words may come all the same
        yours = _told(plug, function, amount, None)
        yours = replace(yours, problem=yours.problem or f"there is no map: {maps.problem}")
    else:
        yours = _told(plug, function, amount, maps)
    theirs = _right(plug.model, "" if plug.neutral else name, amount)
    return Trial(name, plug.model, amount, labels, theirs, yours)


@cache
def _right(model: str, name: str, amount: Amount) -> Told:
    """What the model shows with the library's function of that name; just as it is without one."""
    plug = PLUGS[name] if name else Plug(lambda _: {}, model)
    function = right(name) if name else likeliest
    return _told(plug, function, amount, _model(plug, function).maps(SENTENCE))


def _told(plug: Plug, function: Function, amount: Amount, maps: Tensor | None) -> Told:
    """All that a model shows, or as much as there is before it fails."""
    model = _model(plug, function)
    if isinstance(model, MiniLM):
        pairs = _attempt(lambda: tuple(_similarity(model, *pair) for pair in PAIRS))
        return pairs if isinstance(pairs, Told) else Told(similarities=pairs, maps=maps)
    told = Told(maps=maps)
    guessed = _attempt(lambda: model.perplexity(prose(), tokens=amount.guessed))
    if isinstance(guessed, Told):
        return replace(told, problem=guessed.problem)
    told = replace(told, perplexity=guessed)
    words = _attempt(lambda: tuple(_written(plug, function, model, amount)))
    if isinstance(words, Told):
        return replace(told, problem=words.problem)
    return replace(told, words=words)


def _written(plug: Plug, function: Function, model: SmolLM, amount: Amount) -> Iterator[str]:
    """What is written after each prompt: by the model alone, or by the function that writes."""
    for prompt in PROMPTS:
        if plug.writer:
            yield plug.writer(function)(model, prompt, amount.written)
        else:
            yield model.generate(prompt, amount.written, cached=plug.cached)


def _similarity(model: MiniLM, a: str, b: str) -> float:
    return (model.vector(a) @ model.vector(b)).item()


def _attempt(show: Callable[[], Any]) -> Any:
    """What `show` gives, or why it gives nothing."""
    try:
        return show()
    except CourseError as error:
        return Told(problem=str(error))


def _model(plug: Plug, function: Function | None = None) -> SmolLM | MiniLM:
    """The plug's model, with the function in its sockets if there is one."""
    sockets = plug.sockets(function) if function else {}
    return (MiniLM if plug.model == "MiniLM" else SmolLM).load(**sockets)


def no_place(name: str) -> str:
    """Why there is nothing to try."""
    if not name.isidentifier():
        return (
            'this function has no name of its own: say in_a_model("softmax", yours), or the like.'
        )
    every = f"those that have one: {', '.join(PLUGS)}."
    offer = "" if name in names() else nearest(name, PLUGS)
    return f"{name} has no place in a model; {offer or every}"
