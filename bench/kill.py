"""SIGKILL at random moments of a large run: is anything lost, or counted twice?

A class is made (see made.py) and graded undisturbed; then again by the same command, which is
killed again and again and at last left to end. After each kill the journal must hold all that it
held before, and no submission twice; the results of both must be the same, byte for byte.

python bench/kill.py --students 500 --kills 20
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import made

SAME = ("gradebook.csv", "results.json", "junit.xml", "class.html")


@click.command()
@click.option("--students", default=500, show_default=True)
@click.option("--exercises", default=3, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--jobs", "-n", default=os.cpu_count(), show_default="cores", type=int)
@click.option("--seed", default=0, show_default=True)
def main(students: int, exercises: int, kills: int, jobs: int, seed: int) -> None:
    """Print what each kill left, and whether the results are the same."""
    with tempfile.TemporaryDirectory(prefix="attncourse-kill-") as name:
        root = Path(name)
        made.write(root / "class", students, exercises)
        (root / "secret").write_text("the same for both, to compare them")
        whole, torn = root / "undisturbed", root / "killed"
        began = time.monotonic()
        with subprocess.Popen(
            command(root / "class", whole, jobs), stdout=subprocess.DEVNULL
        ) as run:
            wait_for_more(whole, 0, run)
            first = time.monotonic() - began
        took = time.monotonic() - began
        click.echo(f"undisturbed: {len(closed(whole))} submissions in {took:.0f} s")
        words = command(root / "class", torn, jobs)
        for number, found in enumerate(survived(words, torn, kills, students, first, seed), 1):
            click.echo(f"kill {number}: {found} submissions are kept")
        before = len(closed(torn))
        finish(command(root / "class", torn, jobs))
        differing = different(whole, torn)
        click.echo(f"left to end: {len(closed(torn)) - before} more, {len(closed(torn))} in all")
        click.echo(f"different files: {', '.join(differing) or 'none'}")
        sys.exit(1 if differing else 0)


def command(folder: Path, out: Path, jobs: int) -> list[str]:
    """What a teacher types."""
    script = Path(sys.executable).with_name("attncourse")
    words = [str(script), "grade", str(folder), "--out", str(out), "--jobs", str(jobs)]
    names = ",".join(exercise.name for exercise in made.chosen(None))
    return [*words, "--secret", str(folder.parent / "secret"), "--exercises", names]


def survived(
    words: Sequence[str], out: Path, kills: int, students: int, first: float, seed: int
) -> Iterator[int]:
    """Kill the command at random moments; how many submissions are kept each time.

    One time in four that is before its first result, which took `first` seconds; else at most
    half a second after any number of new ones. Raises AssertionError if anything was lost, or
    stands there twice.
    """
    dice, before = random.Random(seed), Counter[str]()
    for left in range(kills, 0, -1):
        missing = students - len(before)
        more = min(dice.randrange(1 + 3 * missing // (2 * left)), max(0, missing - 2))
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            if dice.random() < 0.25:
                wait_for_more(out, len(before), run, dice.uniform(0.0, first))
            else:
                wait_for_more(out, len(before) + more, run)
                time.sleep(dice.uniform(0.0, 0.5))
            run.kill()  # SIGKILL
        now = closed(out)
        assert before <= now, f"lost: {before - now}"
        assert set(now.values()) <= {1}, f"twice: {now - Counter(set(now))}"
        before = now
        yield len(now)


def wait_for_more(
    out: Path, count: int, run: subprocess.Popen[bytes], seconds: float = float("inf")
) -> None:
    """Wait until the journal closes more submissions, the run has ended, or so long."""
    end = time.monotonic() + seconds
    while len(closed(out)) <= count and run.poll() is None and time.monotonic() < end:
        time.sleep(0.1)


def finish(words: Sequence[str]) -> None:
    """Let a run end."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def closed(out: Path) -> Counter[str]:
    """How often the journal closes each submission, in lines that are whole."""
    path = out / "journal.jsonl"
    found: Counter[str] = Counter()
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if line.endswith(b"\n"):
            record = json.loads(line)["record"]
            found.update([record["job"]] if record["type"] == "submission" else [])
    return found


def different(one: Path, other: Path) -> list[str]:
    """The files of results that are not the same in both."""
    return [name for name in SAME if (one / name).read_bytes() != (other / name).read_bytes()]


if __name__ == "__main__":
    main()
