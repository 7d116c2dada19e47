"""The worker: holds one submission's functions and maps arguments to results.

It runs in a confined child of the zygote. It knows no expected value, no check and no
misconception, and has nothing of this package that holds an answer. What a submission does to
this process it does to its own answers: nothing said here is believed but values that the judge
compares. What it could still lie about: whether its function modified an argument, and which
exception it raised.
"""

import functools
import random
from typing import Any

from attncourse.course.execution import Failure, Outcome, execute
from attncourse.course.forbidden import PYTHON, refuse_for_good
from attncourse.grading.confined.definitions import Definitions
from attncourse.grading.confined.traces import Traces
from attncourse.grading.parsing import parser as parsing
from attncourse.grading.wire import replay
from attncourse.grading.wire.channel import Channel
from attncourse.grading.wire.frames import (
    LARGEST_REQUEST,
    ChannelError,
    decode_cells,
    encode_cells,
)

MOST_NOTES = 20


def serve(channel: Channel, traces: Traces) -> None:
    """Serve one judge until it hangs up; traces are as no submission has run yet."""
    random.seed(0)
    namespace: dict[str, Any] = {}
    definitions = Definitions(())
    while True:
        try:
            request, values = channel.receive()
        except ChannelError:
            return
        if request["op"] == "parse":
            _parse(channel, request)
        elif request["op"] == "repeat":
            _repeat(channel, request, values)
        elif request["op"] == "load":
            refuse_for_good(request["forbidden"])
            traces.expect(PYTHON if request["forbidden"] else ())
            definitions = Definitions(decode_cells(request["cells"]))
            namespace, notes = definitions.run()
            channel.send({"id": request["id"], "notes": notes[:MOST_NOTES]})
        elif request["op"] == "renew":
            namespace.clear()
            clean = traces.wipe()
            namespace, notes = definitions.run() if clean else ({}, [])
            channel.send({"id": request["id"], "clean": clean, "notes": notes[:MOST_NOTES]})
        else:
            _answer(channel, request, values, namespace)


def _parse(channel: Channel, request: dict[str, Any]) -> None:
    """Find the definitions in a hostile text."""
    channel.most = LARGEST_REQUEST  # nothing of a submission runs here
    names = frozenset(request["watched"])
    try:
        found = parsing.parse(request["text"], request["name"], names)
    except parsing.UnreadableError as error:
        channel.send({"id": request["id"], "unreadable": str(error)})
        return
    rest = {"chapter": found.chapter, "defined": found.defined, "notes": found.notes[:MOST_NOTES]}
    prints = [[one.name, one.lines, one.marks] for one in found.prints]
    more = {"cells": encode_cells(found.cells), "uses": found.uses[:2000], "prints": prints}
    channel.send({"id": request["id"], **more, **rest})


def _repeat(channel: Channel, request: dict[str, Any], values: list[Any]) -> None:
    """Repeat a recorded call, or measure it with a probe: no submission was ever loaded here."""
    args, kwargs, constants = values
    channel.most = LARGEST_REQUEST
    try:
        outcome = execute(
            replay.repeat(request["record"], constants), request["probe"], args, kwargs
        )
    except replay.Unrepeatable as error:
        outcome = Outcome(failure=Failure("Unrepeatable", str(error)))
    _send(channel, request, outcome)


def _answer(
    channel: Channel, request: dict[str, Any], values: list[Any], namespace: dict[str, Any]
) -> None:
    """Call the named function, or a probe on it, and send the outcome."""
    args, kwargs = values
    function = namespace.get(request["function"])
    if callable(function):
        if request["probe"] == "record":
            call = functools.partial(replay.record, function, args, kwargs)
            channel.most = replay.LARGEST
            outcome = execute(call, None, (), {})
        else:
            outcome = execute(function, request["probe"], args, kwargs)
    else:
        message = f"{request['function']} is not a function in this submission"
        outcome = Outcome(failure=Failure("NameError", message))
    _send(channel, request, outcome)


def _send(channel: Channel, request: dict[str, Any], outcome: Outcome) -> None:
    """Send an outcome; what cannot be sent is a failure of the call."""
    failure = outcome.failure and [
        outcome.failure.kind,
        outcome.failure.message,
        outcome.failure.where,
    ]
    text = {"id": request["id"], "failure": failure, "modified": list(outcome.modified)}
    try:
        channel.send(text, outcome.value)
    except ChannelError:
        raise
    except Exception as error:  # a value too large, or of a kind that breaks while it is read
        message = str(error).partition("\n")[0][:200]
        failure = [type(error).__name__, message, ""]
        channel.send(text | {"failure": failure, "modified": []}, None)
