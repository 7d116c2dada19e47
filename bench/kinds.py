"""How every mechanism is used, kind by kind: a table of what the generic tests find.

A row is a row of tests/rows, a column a file tests/mechanisms/test_every_<kind>.py; a cell counts
the tests of that kind which name the row, and those that failed. Refusals, one sentence in place
of a result, are the tests whose names say so.

python bench/kinds.py derivative autocast nan
"""

import collections
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click

TESTS = Path(__file__).parent.parent / "tests"
REFUSING = [TESTS / "kernels", TESTS / "core/test_by_hand.py", TESTS / "mechanisms/serving"]
Cells = collections.Counter[tuple[str, str, bool]]


@click.command()
@click.argument("kinds", nargs=-1)
def main(kinds: tuple[str, ...]) -> None:
    """Run the generic tests of the KINDS (all, if none is named) and print the table."""
    sys.path.insert(0, str(TESTS))
    from rows import MECHANISMS

    folder = TESTS / "mechanisms"
    files = [folder / f"test_every_{kind}.py" for kind in kinds]
    files = files or sorted(folder.glob("test_every_*.py"))
    cells: Cells = collections.Counter()
    for file in files:
        kind = file.stem.removeprefix("test_every_")
        for _, case, passed in outcomes(file):
            cells.update((row, kind, passed) for row in MECHANISMS if names(case, row))
    for line in table(cells, list(MECHANISMS), [f.stem.removeprefix("test_every_") for f in files]):
        click.echo(line)
    for test, case, passed in outcomes(*REFUSING, "-k", "refuse"):
        click.echo(f"{'refused' if passed else 'FAILED'}: {test}{case and f' [{case}'}")


def outcomes(*arguments: Path | str) -> Iterator[tuple[str, str, bool]]:
    """Each test that pytest runs: its name, its case with the bracket behind it, did it pass?"""
    with tempfile.TemporaryDirectory() as folder:
        report = f"{folder}/report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}"]
        subprocess.run(
            [*command, *map(str, arguments)],
            check=False,
            cwd=TESTS.parent,
            stdout=subprocess.DEVNULL,
        )
        for case in ElementTree.parse(report).iter("testcase"):
            test, _, brackets = case.attrib["name"].partition("[")
            failed = any(child.tag in ("failure", "error") for child in case)
            yield test, brackets, not failed


def names(case: str, row: str) -> bool:
    """Is this a test of the row? Its name comes first in the brackets, or after a dash."""
    ends = (f"{row}]", f"{row} by definition]")
    return case.startswith((*ends, f"{row}-")) or case.endswith(tuple(f"-{end}" for end in ends))


def table(cells: Cells, rows: list[str], kinds: list[str]) -> Iterator[str]:
    """The lines of the table: tests that passed, and those that failed where there are any."""

    def cell(row: str, kind: str) -> str:
        passed, failed = (cells[row, kind, x] for x in (True, False))
        return f"{passed}" + (f" {failed} FAILED" if failed else "")

    yield f"{'':34}" + "".join(f"{kind:>14}" for kind in kinds)
    for row in sorted(rows):
        yield f"{row:34}" + "".join(f"{cell(row, kind):>14}" for kind in kinds)
    whole = [sum(cells[r, k, True] > 0 == cells[r, k, False] for r in rows) for k in kinds]
    yield f"{'rows without a failure':34}" + "".join(f"{f'{n} of {len(rows)}':>14}" for n in whole)


if __name__ == "__main__":
    main()
