"""The protocol: all that a judge may order, what is answered, and who believes what of it.

There are two dialogues. The judge begins both, and waits for each answer before the next order.

- With a worker, through two pipes: frames (see `frames`), each an order or an answer under an
  identity that the judge draws anew, and the values that belong to it. A worker obeys; whoever
  judges believes nothing that it says of itself. An answer's fields may hold anything, so that
  each is read as plain data of a fixed form (see `judge.exchange`) or is no answer, and a value
  counts by what it is when a check compares it. No answer means "passed".
- With the zygote, through a socket: a line of JSON for each order and reply, and with `Start` and
  `Twin` descriptors. It runs no line of a submission, so what it replies is believed.

An order travels as its fields and, under "op", its name in small letters.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from attncourse.grading.parsing.parser import Cell
from attncourse.grading.wire.frames import (
    LARGEST_ANSWER,
    LARGEST_PAYLOAD,
    LARGEST_REQUEST,
    plain_text,
)

MOST_NOTES = 20  # on what failed while cells ran, or could not be read
MOST_FUNCTIONS = 1000  # whose names a worker tells


class Unrepeatable(Exception):
    """The call or its record has something that cannot be repeated elsewhere."""


class Order:
    """What a judge asks; the answer may have so many bytes of JSON, and `room` of tensors."""

    largest: ClassVar[int] = LARGEST_ANSWER
    room: int = 0

    @classmethod
    def op(cls) -> str:
        """What it is called on the wire."""
        return cls.__name__.lower()

    def written(self) -> dict[str, Any]:
        """The order as JSON."""
        return {"op": self.op(), **vars(self)}


# What a worker is asked


@dataclass(frozen=True)
class Parse(Order):
    """Read the text of a file: `Findings`.

    Asked of a process that is ended afterwards: it has read a hostile text, and run none.
    """

    largest: ClassVar[int] = LARGEST_REQUEST
    text: str
    name: str


@dataclass(frozen=True)
class Load(Order):
    """Run the cells of a submission: `Ran`."""

    cells: Sequence[Any]


@dataclass(frozen=True)
class Renew(Order):
    """Run them anew, as if no exercise had been asked for, if nothing of one is left: `Ran`."""


@dataclass(frozen=True)
class Call(Order):
    """Call a function, or a probe on it; with its arguments as values: `Answer`."""

    function: str
    probe: str | None = None
    room: int = LARGEST_PAYLOAD


@dataclass(frozen=True)
class Record(Order):
    """Call a function and write down its operators; with its arguments as values: `Answer`.

    The value is the record and its constants, and is no evidence before it is repeated.
    """

    largest: ClassVar[int] = 4 * 2**20
    function: str
    room: int = LARGEST_PAYLOAD


@dataclass(frozen=True)
class Repeat(Order):
    """Repeat a record, or a probe on that; with arguments and constants as values: `Answer`.

    Asked of a process where no submission was ever loaded: this answer is believed.
    """

    record: str
    probe: str | None = None
    room: int = LARGEST_PAYLOAD


WorkerOrder = Parse | Load | Renew | Call | Record | Repeat


# What a worker answers: claims


@dataclass(frozen=True)
class Findings:
    """What `parser.parse` found; or a sentence in `unreadable`, and nothing else.

    A submission can make this say nothing but what another text of its own would.
    """

    unreadable: Any = None
    cells: Any = ()
    chapter: Any = None
    defined: Any = ()
    unsure: Any = ()
    functions: Any = ()
    notes: Any = ()
    uses: Any = ()
    prints: Any = ()


@dataclass(frozen=True)
class Ran:
    """Notes on what failed, and the functions that are there; clean says that all went as before.

    That is: no trace of an exercise is left, and running the cells again gave the same. Whoever
    lies about that spoils the next exercise of the same submission, and nothing else.
    """

    notes: Any
    functions: Any
    clean: Any = True


@dataclass(frozen=True)
class Answer:
    """The failure or None, and which arguments were modified.

    A failure is its kind, its message, its place, and whether it is that of an untouched stub.

    With one value. What could be lied about is whether an argument was modified, and which
    exception was raised; neither helps a wrong value.
    """

    failure: Any
    modified: Any


WorkerAnswer = Findings | Ran | Answer


# What the zygote is asked, and replies


@dataclass(frozen=True)
class Start(Order):
    """Fork a confined child that talks through the three pipes that come along: `Started`.

    It may hold so many bytes, and compute for so many seconds, up to `most` by `Extend`.
    """

    memory: int
    seconds: int
    most: int


@dataclass(frozen=True)
class Extend(Order):
    """Let a child compute for so many seconds from now on: `Extended`."""

    pid: int
    seconds: int


@dataclass(frozen=True)
class Look(Order):
    """See what a child has done until now: `Seen`."""

    pid: int


@dataclass(frozen=True)
class End(Order):
    """End a child and all it started, unless it ends by itself within `patience` s: `Ended`."""

    pid: int
    patience: float


@dataclass(frozen=True)
class Twin(Order):
    """Fork another zygote, for the connection that comes along: `Ready`.

    In it and its children what is forbidden is refused for good; where that is None, it counts
    costs.
    """

    forbidden: Sequence[str] | None


ZygoteOrder = Start | Extend | Look | End | Twin


@dataclass(frozen=True)
class Ready:
    """There it is; also a new zygote's first word, when it has imported what it needs."""


@dataclass(frozen=True)
class Started:
    """The child's process id, as the zygote sees it."""

    pid: int


@dataclass(frozen=True)
class Extended:
    """Seconds that the child has computed until now; None if it has ended."""

    cpu: float | None


@dataclass(frozen=True)
class Seen:
    """Seconds that the child computed, and those that it computed or stood in line to compute.

    None if it has ended, or where the system does not tell; busy is None too if it stands in line
    just now, since how long is counted when it comes to its turn.
    """

    cpu: float | None = None
    busy: float | None = None


@dataclass(frozen=True)
class Ended:
    """A child's exit code (minus a signal's number), and seconds that it computed."""

    code: int
    cpu: float


@dataclass(frozen=True)
class Failed:
    """Instead of any other reply: why it cannot be done, a fault of the grader's own."""

    error: str


ZygoteReply = Ready | Started | Extended | Seen | Ended | Failed


def read(text: dict[str, Any], known: Sequence[type[Order]]) -> Any:
    """The order that a judge wrote. Raises KeyError or TypeError for what is none of the known."""
    kinds = {kind.op(): kind for kind in known}
    return kinds[text["op"]](**{name: value for name, value in text.items() if name != "op"})


def encode_cells(cells: Sequence[Cell]) -> list[Any]:
    """The cells of a submission as JSON."""
    return [[c.label, c.source, c.script, base64.b64encode(c.code).decode()] for c in cells]


def decode_cells(found: Any) -> tuple[Cell, ...]:
    """The cells of their JSON. Raises TypeError or ValueError for what is none."""
    return tuple(
        Cell(plain_text(a, 200), str(b), c is True, base64.b64decode(str(d)))
        for a, b, c, d in found
    )
