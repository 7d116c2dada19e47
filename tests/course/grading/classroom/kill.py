"""SIGKILL at random moments of a large run: is anything lost, or counted twice?

    python tests/course/grading/classroom/kill.py --students 500 --kills 20 --jobs 2

Makes a class, grades it undisturbed, then again while it is killed, and compares the digests.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import made_class


def main():
    """Print what each kill found, and whether the results are the same."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--students", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--chapters", type=int, default=1, help="notebooks of each student")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        handed = [(p, chosen(i, told.chapters)) for i, p in enumerate(names(told.students))]
        made_class.lay(root / "class", "folders", handed)
        began = time.monotonic()
        digest = finish(command(root, "undisturbed", told.jobs))
        took = time.monotonic() - began
        print(f"undisturbed: {took:.1f} s, digest {digest}", flush=True)
        killed(root, told, took)
        same = finish(command(root, "killed", told.jobs))
        print(f"after {told.kills} kills: digest {same}, {counted(root / 'killed')} closed")
        sys.exit(0 if same == digest else 1)


def chosen(number, chapters):
    """The first notebooks of a learner."""
    return {f"{c}.ipynb": t for c, t in list(made_class.answered(number).items())[:chapters]}


def names(count):
    """As many names as there are students."""
    return [f"{name} {i}" for i, name in enumerate(made_class.people(count))]


def command(root, out, jobs):
    """What a teacher types."""
    script = Path(sys.executable).with_name("attncourse")
    return [str(script), "grade", root / "class", "--out", root / out, "--jobs", str(jobs)]


def finish(words):
    """Let a run end; its digest."""
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return re.search(r"Digest: (\w+)", done.stdout)[1]


def killed(root, told, took):
    """Kill a run again and again; what the journal holds never shrinks."""
    dice, before = random.Random(0), 0
    for number in range(told.kills):
        process = subprocess.Popen(
            command(root, "killed", told.jobs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(dice.uniform(2.0, 4.0 + 2 * took / told.kills))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)
        now = counted(root / "killed")
        print(f"kill {number + 1}: {before} -> {now} submissions closed", flush=True)
        assert now >= before
        before = now


def counted(out):
    """Submissions that the journal closes."""
    path = out / "journal.jsonl"
    return path.read_bytes().count(b'"type":"submission"') if path.exists() else 0


if __name__ == "__main__":
    main()
