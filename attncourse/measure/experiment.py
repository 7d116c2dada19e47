"""Experiments that take too long for a chapter: measured once, written down, read in one line."""

import json
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import attncourse
from attncourse.measure.bench.report import Provenance

FORMAT = "attncourse-experiment/1"


@dataclass(frozen=True)
class Experiment:
    """What was found, by name, and where it comes from; seconds are those of the whole run."""

    results: dict[str, Any]
    provenance: Provenance
    seconds: float


def measured(name: str) -> Experiment:
    """The experiment in the file `data/<name>.json` of the book.

    Beside the notebook, in the checkout, or where the package's installation has put it. Raises
    FileNotFoundError where there is none, ValueError for a file of another form.

    >>> measured("heads").results["whole"]["perplexity"] > 1
    True
    """
    file = f"{name}.json"
    places = [
        Path("data") / file,
        Path(attncourse.__file__).parents[1] / "book" / "data" / file,
        Path(sysconfig.get_path("data")) / "share" / "attncourse" / file,
    ]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"there is no measured experiment {name!r}: no file data/{file}")
    return read_experiment(path)


def read_experiment(path: Path) -> Experiment:
    """The experiment in this file. Raises ValueError for a file of another form."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise ValueError(f"{path.name} must be of the format {FORMAT}: got {data.get('format')}")
    return Experiment(data["results"], Provenance(**data["provenance"]), data["seconds"])


def write_experiment(
    path: Path | str,
    results: Mapping[str, Any],
    *,
    about: Provenance,
    seconds: float,
) -> None:
    """Write what was found, with its provenance, for `measured` to read.

    Floats are kept as they are given: round them to what another machine would find as well.
    """
    data = {"format": FORMAT, "provenance": asdict(about), "seconds": round(seconds, 1)}
    text = json.dumps(data, indent=1)[:-2] + ',\n "results": {'
    lines = [f"\n  {json.dumps(key)}: {json.dumps(value)}" for key, value in results.items()]
    whole = text + ",".join(lines) + "\n }\n}\n"
    json.loads(whole)
    Path(path).write_text(whole, encoding="utf-8")
