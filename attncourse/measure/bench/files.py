"""Committed measurements: reading them, and picking from them what a chapter draws."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attncourse.measure.bench.report import Report, Row, from_json


def read_report(path: Path | str) -> Report:
    """The report in a file. Raises ValueError, with the place, where it does not keep the schema,
    and FileNotFoundError where there is no file.
    """
    return from_json(Path(path).read_text(encoding="utf-8"))


def device_files(folder: Path | str) -> list[Path]:
    """Every committed bench file in a folder, `cuda-*.json` first, each kind by name.

    A device appears on the pages that list them when its file is put there.
    """
    kinds = "cuda", "mps", "cpu"
    return [path for kind in kinds for path in sorted(Path(folder).glob(f"{kind}-*.json"))]


def card_file(card: str, suite: str) -> str:
    """What the file of a card is called: cuda-tesla-t4-quick.json.

    By what PyTorch calls the card, without the maker, and by the suite.
    """
    words = re.findall(r"[a-z0-9]+", card.lower())
    kept = [word for word in words if word not in ("nvidia", "amd", "geforce")]
    return "-".join(["cuda", *kept, suite]) + ".json"


def pick(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The measured rows whose fields have the wanted values, such as n=512, dtype="float32".

    Raises ValueError for a field that a row does not have.
    """
    fields = Row.__dataclass_fields__
    unknown = [name for name in wanted if name not in fields]
    if unknown:
        raise ValueError(f"a row must have the field: got {unknown[0]}, not in {', '.join(fields)}")
    return [row for row in _measured(rows) if all(getattr(row, k) == v for k, v in wanted.items())]


def ratios_to_baseline(path: Path | str, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Of the library's mechanisms in a report, forward: seconds over the baseline's, by length.

    Lengths are strings, as JSON has them; ratios are medians, to three places.
    """
    rows, found = read_report(path).rows, {}
    for name in names:
        ours = pick(rows, mechanism=name, implementation="attncourse", direction="forward")
        found[name] = {str(row.n): round(row.ratio.median, 3) for row in ours if row.ratio}
    return found


def roofline_points(rows: Iterable[Row]) -> dict[str, tuple[float, float, float]]:
    """FLOPs, bytes moved and seconds of each row that has all three, by its name.

    For `plots.roofline`. The implementation is named where it is not this library's.
    """
    found = {}
    for row in _measured(rows):
        if row.seconds is not None and row.flops and row.moved_bytes:
            ours = row.implementation == "attncourse"
            name = row.mechanism if ours else f"{row.mechanism} ({row.implementation})"
            found[name] = float(row.flops), float(row.moved_bytes), row.seconds.median
    return found


def _measured(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.state == "measured")
