"""Which tests a run does: long ones take turns, and a quick run ends in time.

A test marked `by_turns` belongs to one of `PARTS` parts, by its name. `--turn 3` runs the third
part of them, `--turn today` the part of this day, `--turn all` (as without the option) every one.
What was left out is counted and told. `--within SECONDS` skips what has not begun by then.
"""

import datetime
import os
import time
import zlib

import pytest

PARTS = 14  # of two weeks, a day each
BEGAN = time.monotonic()
COUNTS = pytest.StashKey[list[int]]()


def pytest_addoption(parser):
    parser.addoption("--turn", default="all", help=f"1 to {PARTS}, today or all")
    parser.addoption("--within", type=float, metavar="SECONDS", help="begin no test after them")


def pytest_configure(config):
    for line in (
        "by_turns: long, and one of many: `make test` runs a part of them, `make nightly` all",
        "early: the file takes long, and so is begun first",
    ):
        config.addinivalue_line("markers", line)
    config.stash[COUNTS] = [0, 0]
    # the day of the process that began: the others of this run ask no clock
    os.environ.setdefault("ATTNCOURSE_TURN", str(datetime.date.today().toordinal() % PARTS + 1))


def turn(config) -> int | None:
    """The part that runs, from 1; None if all do."""
    told = config.getoption("--turn")
    if told == "all":
        return None
    told = os.environ["ATTNCOURSE_TURN"] if told == "today" else told
    if told not in map(str, range(1, PARTS + 1)):
        raise pytest.UsageError(f"--turn takes 1 to {PARTS}, today or all: got {told}")
    return int(told)


def part(nodeid: str) -> int:
    """The part that a test belongs to, the same on every machine."""
    return zlib.crc32(nodeid.encode()) % PARTS + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave out the long tests whose turn it is not, and begin with the files that take longest."""
    chosen = turn(config)
    long = [item for item in items if item.get_closest_marker("by_turns")]
    out = {item for item in long if chosen is not None and part(item.nodeid) != chosen}
    config.stash[COUNTS] = [len(long) - len(out), len(long)]
    if out:
        config.hook.pytest_deselected(items=list(out))
    kept = [item for item in items if item not in out]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("early") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    within = item.config.getoption("--within")
    if within is not None and time.monotonic() - BEGAN > within:
        pytest.skip(f"not begun within {within:g} s")


def pytest_sessionfinish(session):
    """A process of several tells the first what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["turns"] = session.config.stash[COUNTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[COUNTS] = getattr(node, "workeroutput", {}).get("turns", [0, 0])


def pytest_terminal_summary(terminalreporter, config):
    chosen, (ran, all_) = turn(config), config.stash[COUNTS]
    if chosen is not None and all_:
        terminalreporter.write_line(
            f"by turns: part {chosen} of {PARTS}, {ran} of {all_} long tests ran;"
            " `make nightly` runs all"
        )
