"""No attack earns more than an honest grader gives, harms another submission or stays behind."""

import importlib
import importlib.util
import re
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import table
import target
import torch
from attack import RIGHT
from attacks import ATTACKS, LONG, WITH_LIMITS_ONLY

from attncourse.course import exercise as contract
from attncourse.grading.judge import judging, reading
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.memory.grading import Memory
from attncourse.grading.judge.submission import Cell, Submission, UnreadableError
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import Zygote
from attncourse.grading.sandbox import available, choose, missing
from machinery import module_of, only

pytestmark = pytest.mark.early

LIMITS = Limits(seconds=0.4, memory=2**31, budget=20.0, sleep=0.3)
COMPUTED = 4.0  # seconds that an attack may compute, in all processes that it has
SLEPT = 1.5  # seconds that it may sleep
NUMBERS = re.compile(r"\d[._]\d{6}")  # of an input, as Python writes it
SECRET = "SECRET-of-the-teacher"
RUN = b"the secret of this run"


@pytest.fixture(scope="module")
def exercise():
    """What is attacked, by the name of the function that is asked for."""
    read = contract.read(module_of(target))
    return contract.Exercise(**{**vars(read), "name": "weights"})


@pytest.fixture(autouse=True)
def course(monkeypatch, exercise):
    only(monkeypatch, exercise)


@pytest.fixture(scope="module")
def server():
    """A server of the teacher's on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def canary(tmp_path):
    """A file of the teacher's."""
    path = tmp_path / "canary"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def graded(source, folder, zygote, exercise, name="answer.py", neighbour=False):
    """What a submission earns, and all that is told of it."""
    path = folder / name
    path.write_text(source, encoding="utf-8", errors="surrogatepass")
    try:
        submission = reading.read(path, zygote)
    except UnreadableError as error:
        return SimpleNamespace(passed=0, told=str(error), printed="", cpu=0.0, slept=0.0)
    with Worker(submission, LIMITS, zygote) as worker:
        if neighbour:
            worker.begin(exercise.forbidden)
            RemoteAnswer(worker, "neighbour").run(None, (torch.ones(5, 3),), {})
        result = Memory(RUN).grade(submission, worker, exercise)
        told = "\n".join(check.message for check in result.checks)
        worker.stop()  # then all that it computed is known
        return SimpleNamespace(
            passed=result.passed,
            told="\n".join([told, *worker.notes]),
            printed=worker.log.text(),
            cpu=worker.account.cpu,
            slept=worker.account.slept,
        )


def children(zygote):
    """The processes below a zygote."""
    found, below = set(), {zygote._launched.process.pid}
    table = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        table[int(entry.parent.name)] = int(after[1])
    while below:
        below = {pid for pid, parent in table.items() if parent in below} - found
        found |= below
    return found


def touched(canary):
    """Was the teacher's file changed?"""
    left = {path.name for path in canary.parent.iterdir()}
    kept = canary.exists() and canary.read_text() == SECRET
    return (
        not kept
        or canary.stat().st_mode & 0o777 != 0o600
        or left - {"canary", "answer.py", "answer.ipynb"}
    )


def aim(name, exercise):
    """What an attack aims at: if it goes below Python, to the system, where ctypes is allowed."""
    below = "ctypes" in ATTACKS[name].source and not name.startswith("forbidden")
    return replace(exercise, forbidden=()) if below else exercise


def attacked(name, zygote, exercise, canary, server, tmp_path):
    attack, exercise = ATTACKS[name], aim(name, exercise)
    port = server.getsockname()[1]
    source = attack.source
    if attack.file == "answer.py":
        source = source.replace("{{", "\0").replace("}}", "\1")
    source = source.replace("{canary!r}", repr(str(canary))).replace("{canary}", str(canary))
    source = source.replace("{port}", str(port)).replace("\0", "{").replace("\1", "}")
    if attack.file == "answer.py":
        source = "import os, sys, torch\n" + source
    got = graded(source, tmp_path, zygote, exercise, attack.file, attack.neighbour)
    assert got.cpu < COMPUTED
    assert got.slept < SLEPT
    assert got.passed <= attack.most, got.told
    assert attack.told in got.told
    assert len(got.told) < 5000
    assert not any(c in got.told + got.printed for c in "\x1b\u202e\x00")
    assert not NUMBERS.search(got.told.partition("is not as expected")[0])  # of its inputs
    return got


def unharmed(zygote, exercise, tmp_path):
    """Does the next submission get what it deserves?"""
    quick = replace(exercise, checks={"value": target.check_value})
    text = "import torch\n" + RIGHT
    cell = Cell("honest.py", text, script=True)
    honest = Submission(tmp_path / "honest.py", (cell,), ("weights",), frozenset({"weights"}))
    with Worker(honest, LIMITS, zygote) as worker:
        return judging.grade(honest, worker, quick, RUN).passed == 1


def ready(zygote, exercise, tmp_path_factory):
    """Start all that has to be started, which takes no attack's time; an honest answer passes."""
    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        only(patch, exercise)
        assert graded("import torch\n" + RIGHT, folder, zygote, exercise).passed == 3
    return zygote


def connected(server):
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture(scope="module")
def strong(exercise, tmp_path_factory):
    if choose("auto") == "limits":
        pytest.skip("submissions cannot be confined on this machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNCOURSE_TEST", SECRET)
        with Zygote() as made:
            yield ready(made, exercise, tmp_path_factory)


@pytest.fixture(scope="module")
def kernel(exercise, tmp_path_factory):
    """What starts workers confined by the kernel alone, as where there is no bubblewrap."""
    if not available("kernel"):
        pytest.skip(f"kernel: {missing('kernel')}")
    with Zygote("kernel") as made:
        yield ready(made, exercise, tmp_path_factory)


@pytest.fixture(scope="module")
def weak(limited, exercise, tmp_path_factory):
    return ready(limited, exercise, tmp_path_factory)


def each(names):
    """The attacks of these names; the long ones take turns."""
    marks = {name: [pytest.mark.by_turns] for name in LONG}
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


@pytest.mark.parametrize("name", each(ATTACKS))
def test_an_attack_is_held(name, strong, exercise, canary, server, tmp_path):
    got = attacked(name, strong, exercise, canary, server, tmp_path)
    assert "SECRET" not in got.told.replace("'SECRET'", "") + got.printed
    assert not touched(canary)
    assert not connected(server)
    assert not Path("/dev/shm/attncourse-red").exists()
    left = children(strong)
    assert unharmed(strong, exercise, tmp_path)
    assert children(strong) <= left or len(children(strong)) <= len(left)
    assert not [pid for pid in children(strong) if b"sleep" in _command(pid)]


@pytest.mark.by_turns
@pytest.mark.parametrize("name", [name for name, a in ATTACKS.items() if a.confined])
def test_what_must_be_confined_is_held_by_the_kernel_alone(
    name, kernel, exercise, canary, server, tmp_path
):
    if choose("auto") == "kernel":
        return  # all attacks were just tried so
    got = attacked(name, kernel, exercise, canary, server, tmp_path)
    assert "SECRET" not in got.told.replace("'SECRET'", "") + got.printed
    assert not touched(canary)
    assert not connected(server)


@pytest.mark.by_turns
@pytest.mark.parametrize("name", WITH_LIMITS_ONLY)
def test_an_attack_is_held_by_limits_alone(name, weak, exercise, canary, server, tmp_path):
    before = children(weak)
    attacked(name, weak, exercise, canary, server, tmp_path)
    assert not touched(canary)
    assert children(weak) <= before  # before the next is asked
    assert unharmed(weak, exercise, tmp_path)


def test_the_table_tells_of_every_attack():
    told = table.table()
    assert len(ATTACKS) > 60
    assert told.count("\n| ") == len(ATTACKS) + 1
    assert {name.partition(":")[0] for name in ATTACKS} == set(table.KINDS)
    assert {*WITH_LIMITS_ONLY, *LONG} <= set(ATTACKS)


def test_what_an_attack_aims_at_is_there():
    sources = "\n".join(attack.source for attack in ATTACKS.values())
    aims = {(m, n) for m, n in re.findall(r"from (attncourse[\w.]*) import (\w+)", sources)}
    aims |= {(m, "__name__") for m in re.findall(r"import (attncourse[\w.]*)", sources)}
    assert len(aims) > 10
    for module, name in aims:
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), (module, name)


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
