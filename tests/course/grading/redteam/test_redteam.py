"""No attack earns more than an honest grader gives, harms another submission or stays behind."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import target
from attacks import ATTACKS, RIGHT

from attncourse.course import exercise as contract
from attncourse.course.grading import remote
from attncourse.course.grading.remote import Limits, Worker
from attncourse.course.grading.sandbox import choose
from attncourse.course.submission import UnreadableError

LIMITS = Limits(seconds=0.4, memory=2**31, budget=20.0)
LONGEST = 12.0  # seconds that an attack may take, on a machine that does other things too
SECRET = "SECRET-of-the-teacher"
RUN = b"the secret of this run"


@pytest.fixture(scope="module")
def exercise():
    """What is attacked, by the name of the function that is asked for."""
    read = contract.read(target)
    return contract.Exercise(**{**vars(read), "name": "weights"})


@pytest.fixture(autouse=True)
def course(monkeypatch, exercise):
    monkeypatch.setattr(contract, "all_exercises", lambda: {exercise.name: exercise})


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


def graded(source, folder, zygote, exercise):
    """What a submission earns, and all that is told of it."""
    path = folder / "answer.py"
    path.write_text(source)
    try:
        submission = remote.read(path, zygote)
    except UnreadableError as error:
        return SimpleNamespace(passed=0, told=str(error), printed="")
    with Worker(submission, LIMITS, zygote) as worker:
        result = remote.grade(submission, worker, exercise, RUN)
        told = "\n".join(check.message for check in result.checks)
        return SimpleNamespace(
            passed=result.passed, told="\n".join([told, *worker.notes]), printed=worker.log.text()
        )


def children(zygote):
    """The processes below a zygote."""
    found, below = set(), {zygote._process.pid}
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
    return not kept or canary.stat().st_mode & 0o777 != 0o600 or left - {"canary", "answer.py"}


def attacked(name, zygote, exercise, canary, server, tmp_path):
    attack = ATTACKS[name]
    port = server.getsockname()[1]
    source = attack.source.replace("{{", "\0").replace("}}", "\1")
    source = source.replace("{canary!r}", repr(str(canary))).replace("{canary}", str(canary))
    source = source.replace("{port}", str(port)).replace("\0", "{").replace("\1", "}")
    before = time.monotonic()
    got = graded("import os, sys, torch\n" + source, tmp_path, zygote, exercise)
    assert time.monotonic() - before < LONGEST
    assert got.passed <= attack.most, got.told
    assert attack.told in got.told
    assert len(got.told) < 5000
    assert not any(c in got.told + got.printed for c in "\x1b\u202e\x00")
    return got


def unharmed(zygote, exercise, tmp_path):
    """Does the next submission get what it deserves?"""
    quick = replace(exercise, checks={"value": target.check_value})
    return graded("import torch\n" + RIGHT, tmp_path, zygote, quick).passed == 1


def ready(zygote, exercise, tmp_path_factory):
    """Start all that has to be started, which takes no attack's time; an honest answer passes."""
    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "all_exercises", lambda: {exercise.name: exercise})
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
    from attncourse.course.grading.zygote import Zygote

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNCOURSE_TEST", SECRET)
        with Zygote() as made:
            yield ready(made, exercise, tmp_path_factory)


@pytest.fixture(scope="module")
def weak(limited, exercise, tmp_path_factory):
    return ready(limited, exercise, tmp_path_factory)


@pytest.mark.parametrize("name", ATTACKS)
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


# What must hold where only limits on time, memory and processes are to be had.
WITH_LIMITS_ONLY = (
    "exit: exit at once",
    "exit: killed by itself",
    "exit: signals ignored in a loop",
    "judge: frames above",
    "judge: assert_close patched",
    "judge: global state of torch",
    "judge: threads",
    "forged: an answer that says passed",
    "forged: two answers",
    "forged: a poisoned header",
    "bomb: memory bit by bit",
    "bomb: processes",
    "bomb: a process in a session of its own",
    "bomb: a daemon",
    "bomb: one large file",
    "bomb: a sum of two hundred thousand",
    "spy: the environment",
    "forbidden: by a built string",
    "cost: the counter patched",
    "cost: modes popped while it wastes",
)


@pytest.mark.parametrize("name", WITH_LIMITS_ONLY)
def test_an_attack_is_held_by_limits_alone(name, weak, exercise, canary, server, tmp_path):
    attacked(name, weak, exercise, canary, server, tmp_path)
    assert not touched(canary)
    assert not children(weak)  # before the next is asked
    assert unharmed(weak, exercise, tmp_path)


def test_there_are_more_than_sixty_attacks():
    assert len(ATTACKS) > 60


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
