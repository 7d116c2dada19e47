"""The worker: holds one submission's functions and maps arguments to results.

It runs in a confined child of the zygote. It knows no expected value, no check and no
misconception, and has nothing of this package that holds an answer. What a submission does to
this process it does to its own answers: nothing said here is believed but values that the judge
compares (see `protocol`).
"""

import functools
import random
from collections.abc import Callable
from typing import Any, assert_never, get_args

from attncourse.course.execution import Failure, Outcome, execute
from attncourse.grading.confined import replay
from attncourse.grading.confined.definitions import Definitions, Pass
from attncourse.grading.confined.traces import Traces
from attncourse.grading.parsing import parser as parsing
from attncourse.grading.wire import protocol
from attncourse.grading.wire.channel import Channel
from attncourse.grading.wire.frames import ChannelError
from attncourse.grading.wire.protocol import (
    MOST_FUNCTIONS,
    MOST_NOTES,
    Answer,
    Findings,
    Ran,
    WorkerAnswer,
    WorkerOrder,
)

MOST_USES = 2000


class Worker:
    """Obeys one judge; traces are as no submission has run yet."""

    def __init__(self, channel: Channel, traces: Traces) -> None:
        self.channel = channel
        self.traces = traces
        self.definitions = Definitions(())
        self.done = Pass()

    def serve(self) -> None:
        """Obey one order after the other until the judge hangs up."""
        random.seed(0)
        while True:
            try:
                text, values = self.channel.receive()
            except ChannelError:
                return
            identity = text.pop("id")
            order: WorkerOrder = protocol.read(text, get_args(WorkerOrder))
            self.channel.most, self.channel.room = order.largest, order.room
            self._send(identity, *self._obey(order, values))

    def _obey(self, order: WorkerOrder, values: list[Any]) -> tuple[Any, ...]:
        """The answer to an order, and the values that go with it."""
        match order:
            case protocol.Parse():
                return (_parse(order),)
            case protocol.Load():
                return (self._load(order),)
            case protocol.Renew():
                return (self._renew(),)
            case protocol.Call(name, probe):
                return _told(self._with(name, lambda f: execute(f, probe, *values)))
            case protocol.Record(name):
                return _told(self._with(name, lambda f: _record(f, *values)))
            case protocol.Repeat():
                return _told(_repeat(order, *values))
            case _:
                assert_never(order)

    def _load(self, order: protocol.Load) -> Ran:
        """Run the cells."""
        self.definitions = Definitions(protocol.decode_cells(order.cells))
        self.done = self.definitions.run()
        return self._ran()

    def _renew(self) -> Ran:
        """Run the cells anew, unless something is left of what ran before; is all as it was?"""
        before = self.done
        self.done = Pass()
        if not self.traces.wipe():
            return self._ran(clean=False)
        self.done = self.definitions.run()
        return self._ran(self.done.same(before))

    def _ran(self, clean: bool = True) -> Ran:
        notes, functions = self.done.notes[:MOST_NOTES], list(self.done.functions)
        return Ran(notes, functions[:MOST_FUNCTIONS], clean)

    def _with(self, name: str, ask: Callable[[Any], Outcome]) -> Outcome:
        """What is asked of the function of that name."""
        function = self.done.functions.get(name)
        if callable(function):
            return ask(function)
        return Outcome(failure=Failure("NameError", f"{name} is not a function in this submission"))

    def _send(self, identity: str, answer: WorkerAnswer, *values: Any) -> None:
        """Send an answer; what cannot be sent is a failure of the call."""
        try:
            self.channel.send({"id": identity, **vars(answer)}, *values)
        except ChannelError:
            raise
        except Exception as error:  # a value too large, or of a kind that breaks while it is read
            message = str(error).partition("\n")[0][:200]
            failed = Answer([type(error).__name__, message, "", False], [])
            self.channel.send({"id": identity, **vars(failed)}, None)


def _parse(order: protocol.Parse) -> Findings:
    """Read a hostile text."""
    try:
        found = parsing.parse(order.text, order.name)
    except parsing.UnreadableError as error:
        return Findings(str(error))
    return Findings(
        cells=protocol.encode_cells(found.cells),
        chapter=found.chapter,
        defined=found.defined,
        unsure=found.unsure,
        functions=[[one.name, one.parameters, one.label] for one in found.functions],
        notes=found.notes[:MOST_NOTES],
        uses=found.uses[:MOST_USES],
        prints=[[one.name, one.lines, one.marks] for one in found.prints],
    )


def _record(function: Any, args: Any, kwargs: Any) -> Outcome:
    """Call a function and write down its operators."""
    return execute(functools.partial(replay.record, function, args, kwargs), None, (), {})


def _repeat(order: protocol.Repeat, args: Any, kwargs: Any, constants: Any) -> Outcome:
    """Repeat a recorded call, or measure it with a probe: no submission was ever loaded here."""
    try:
        return execute(replay.repeat(order.record, constants), order.probe, args, kwargs)
    except protocol.Unrepeatable as error:
        return Outcome(failure=Failure(type(error).__name__, str(error)))


def _told(outcome: Outcome) -> tuple[Answer, Any]:
    """An outcome as it is sent."""
    failure = outcome.failure
    told = failure and [failure.kind, failure.message, failure.where, failure.untouched]
    return Answer(told, list(outcome.modified)), outcome.value
