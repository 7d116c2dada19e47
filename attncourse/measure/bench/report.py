"""The result of a bench as data: dataclasses, a JSON file, and the schema that it keeps."""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any, Final, Literal

from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Spread

FORMAT: Final = "attncourse-bench/2"

State = Literal["measured", "wrong", "out of memory", "too slow", "failed", "left out"]
Direction = Literal["forward", "forward+backward"]


@dataclass(frozen=True)
class Provenance:
    """Where and how numbers came about; no name of a host, a person or a folder.

    settings are the card's clocks, power and temperature as they were found, before and after.
    """

    date: str
    command: str
    commit: str
    device: str
    cores: int
    threads: int
    system: str
    python: str
    torch: str
    attncourse: str
    packages: dict[str, str]
    settings: dict[str, str]


@dataclass(frozen=True)
class Row:
    """One implementation at one length in one direction.

    seconds and their ratio to the suite's baseline in the same round are medians with quartiles;
    launch_seconds is how long Python takes to hand the work to a device that works on by itself;
    peak_bytes lie above the inputs; flops are counted; moved_bytes are those of inputs and outputs,
    which no form can avoid; exponent is log2 of the time over the time at n / 2, growth what theory
    says of it; floor_seconds is the larger of FLOPs over matrix rate and moved bytes over
    bandwidth. error is relative to the definition in float64. What does not apply, or was not
    measured because the state says so, is null. "left out" is what a run did not try, for lack of
    time or memory or by this card; the remark begins with which.
    """

    suite: str
    mechanism: str
    implementation: str
    direction: Direction
    n: int
    state: State
    remark: str
    growth: float
    batch: int = 1
    h: int = 8
    d: int = 64
    dtype: str = "float32"
    error: float | None = None
    seconds: Spread | None = None
    ratio: Spread | None = None
    samples: int | None = None
    launch_seconds: float | None = None
    peak_bytes: int | None = None
    flops: int | None = None
    moved_bytes: int | None = None
    exponent: float | None = None
    floor_seconds: float | None = None


@dataclass(frozen=True)
class Pitfall:
    """One call, timed with one mistake: every sample in the order in which it was taken, and their
    median over that of the same call timed as it should be.
    """

    call: str
    mistake: str
    remark: str
    seconds: Spread
    ratio: float
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """A run: provenance, the machine's ceilings by dtype, rows, and calls timed with mistakes.

    complete says that the run came to its end; a run that was stopped keeps what it had.
    """

    format: Literal["attncourse-bench/2"]
    provenance: Provenance
    ceilings: dict[str, Ceilings]
    rows: tuple[Row, ...]
    pitfalls: tuple[Pitfall, ...] = ()
    complete: bool = True


def to_json(report: Report) -> str:
    """The report as JSON text, which `from_json` reads back as the same report."""
    return json.dumps(dataclasses.asdict(report), indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Report:
    """Read a report. Raises ValueError, with the place, where it does not keep the schema."""
    import jsonschema  # type: ignore[import-untyped]

    try:
        data = json.loads(text)
        jsonschema.validate(data, schema())
    except json.JSONDecodeError as error:
        raise ValueError(f"a bench file must be JSON: got {error}") from None
    except jsonschema.ValidationError as error:
        place = "/".join(map(str, error.absolute_path)) or "the file"
        raise ValueError(
            f"a bench file must keep {FORMAT}: got {error.message} at {place}"
        ) from None
    report: Report = _build(Report, data)
    return report


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a report, derived from the dataclasses."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema_of(Report)}


_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _schema_of(kind: Any) -> dict[str, Any]:
    """The schema of one type."""
    arguments = typing.get_args(kind)
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {
            "type": "object",
            "properties": {name: _schema_of(hint) for name, hint in hints.items()},
            "required": list(hints),
            "additionalProperties": False,
        }
    if isinstance(kind, types.UnionType):
        return {"anyOf": [_schema_of(option) for option in arguments]}
    if typing.get_origin(kind) is Literal:
        return {"enum": list(arguments)}
    if typing.get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    return {"type": "array", "items": _schema_of(arguments[0])}


def _build(kind: Any, data: Any) -> Any:
    """The value of a type that validated data stands for."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        made: Any = kind
        return made(**{name: _build(hints[name], value) for name, value in data.items()})
    if isinstance(kind, types.UnionType):
        return None if data is None else _build(typing.get_args(kind)[0], data)
    if typing.get_origin(kind) is dict:
        return {name: _build(typing.get_args(kind)[1], value) for name, value in data.items()}
    if typing.get_origin(kind) is tuple:
        return tuple(_build(typing.get_args(kind)[0], item) for item in data)
    return float(data) if kind is float else data
