"""A submission in a process of its own: the same answers as here, and no way to do harm."""

import linecache
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from attncourse.course import patience
from attncourse.course.calls import agree
from attncourse.course.checking import run
from attncourse.course.execution import Failure, Outcome, execute
from attncourse.grading.confined.definitions import Definitions
from attncourse.grading.judge import account
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import RemoteAnswer, grade
from attncourse.grading.judge.process import LARGEST_LOG
from attncourse.grading.judge.submission import Cell, Submission, read
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault, Zygote
from attncourse.testing import assert_that, gaussian

LIMITS = Limits(seconds=20.0, memory=2 * 2**30, budget=1000.0)
SECRET = "ATTNCOURSE_TEST_SECRET"

LEARNERS = """
import os, signal, subprocess, sys, threading, time
import torch
from attncourse import check, hint

def double(x, *, plus=0.0):
    return 2 * x + plus

def squares(x, *, plus=0.0): return x**2 + plus
def unattempted(x): raise NotImplementedError
def divides(x): return x / 0 if isinstance(x, int) else 1 // 0
def modifies(x, *, mask): x.zero_(); mask.logical_not_(); return x
def product(x): return x @ x.mT
def softmaxes(x): return torch.softmax(x, -1)
def a_pair(x): return x.float(), [1, {"a": None}]
def an_array(x): return x.numpy()
def a_sparse(x): return x.to_sparse()
def too_large(x): return "y" * 2**23
def hostile_keys(x): return {Unprintable(): 1}
def random(x): return torch.rand(3)
def exits(x): sys.exit("enough")
def asks(x): return input()

class Unprintable:
    def __str__(self): raise ValueError("no name")

def greedy(x): return torch.zeros(10**12)
def greedy_bit_by_bit(x):
    kept = []
    while True:
        kept.append(torch.empty(2**28))

def prints(x): print("y" * 10**8); return x
def prints_a_word(x): print("a word"); return x

def environment(x): return sorted(os.environ)
def folder(x): return os.getcwd()
def threads(x): return torch.get_num_threads()
def checks(x): return check(double), hint("double")
def seen(x): return [name for name in sys.modules if "mechanisms" in name or "exercises" in name]
def imports(x, name): __import__(name); return 1
def imports_from_the_package(x):
    from attncourse import attention
    return 1

def starts_a_child(x, new): return subprocess.Popen(["sleep", "600"], start_new_session=new).pid
def sleeps(x): time.sleep(600)
def naps(x): time.sleep(0.4); return 1
def computes_for_a_second(x):
    while time.process_time() < 1.1: sum(range(1000))
    return 1

def hangs(x):
    while True: pass
def exits_at_once(x): os._exit(0)
def is_killed(x): os.kill(os.getpid(), signal.SIGKILL)
def is_ended_by_a_nameless_signal(x): os.kill(os.getpid(), signal.SIGRTMIN + 6)
def closes(x): os.closerange(3, 64)
def writes_garbage(x):
    for number in range(3, 21):
        try:
            os.write(number, b"\\xff" * 64)
        except OSError:
            pass
def stops(x):
    os.write(1, b"before")
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    path = tmp_path_factory.mktemp("submission") / "answer.py"
    path.write_text(LEARNERS)
    return read(path)


@pytest.fixture(scope="module")
def worker(submission, zygote):
    """One worker for all tests; a test that loses it leaves the next to start another."""
    with Worker(submission, LIMITS, zygote) as started:
        yield started


@pytest.fixture(scope="module")
def local(submission):
    """The same functions in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "submission", None)
        done = Definitions(submission.cells).run()
        assert done.notes == []
        yield done.functions
    linecache.clearcache()


def ask(worker, name, *args, probe=None, forbidden=(), **kwargs):
    if worker._forbidden != forbidden:
        worker.begin(forbidden, worker.limits.seconds)
    return RemoteAnswer(worker, name).run(probe, args, kwargs)


def ask_as_it_is(worker, name):
    return RemoteAnswer(worker, name).run(None, (None,), {})


def submitted(source):
    """A submission that is one file."""
    return Submission(Path("answer.py"), (Cell("answer.py", source, script=True),))


def alive(process):
    """Is the process there, and no zombie?"""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True
    )
    return bool(shown.stdout.strip()) and not shown.stdout.startswith("Z")


# The same as here


CALLS = {
    "a value": ("double", (gaussian(3, 5),), {"plus": 1.5}, None, ()),
    "a value in bfloat16": ("double", (gaussian(3).bfloat16(),), {}, None, ()),
    "a value on meta": ("double", (torch.empty(3, 5, device="meta"),), {}, None, ()),
    "a tuple": ("a_pair", (gaussian(3),), {}, None, ()),
    "gradients": ("double", (gaussian(3),), {}, "gradients", ()),
    "FLOPs": ("product", (gaussian(3, 5),), {}, "flops", ()),
    "operators": ("product", (gaussian(3, 5),), {}, "operators", ()),
    "the largest tensor": ("product", (gaussian(3, 5),), {}, "largest_tensor", ()),
    "a modified argument": (
        "modifies",
        (gaussian(3),),
        {"mask": torch.tensor([True])},
        None,
        (),
    ),
    "an exception": ("divides", (3,), {}, None, ()),
    "another exception": ("divides", (gaussian(3),), {}, None, ()),
    "an exception in a probe": ("divides", (gaussian(3),), {}, "gradients", ()),
    "wrong arguments": ("double", (), {}, None, ()),
    "a stub": ("unattempted", (gaussian(3),), {}, None, ()),
    "a stub in a probe": ("unattempted", (gaussian(3),), {}, "flops", ()),
    "a forbidden function": ("softmaxes", (gaussian(3),), {}, None, ("softmax",)),
    "the same function allowed": ("softmaxes", (gaussian(3),), {}, None, ()),
    "random numbers": ("random", (None,), {}, None, ()),
    "an exit": ("exits", (None,), {}, None, ()),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_worker_gives_the_outcome_that_the_function_gives_here(worker, local, what):
    name, args, kwargs, probe, forbidden = CALLS[what]
    there = ask(worker, name, *args, probe=probe, forbidden=forbidden, **kwargs)
    here = execute(local[name], probe, args, kwargs, forbidden)
    if here.value is not None and getattr(here.value, "is_meta", False):
        assert (there.value.shape, there.value.dtype) == (here.value.shape, here.value.dtype)
        assert there.value.is_meta
    else:
        assert agree(there, here)
    assert there.modified == here.modified
    assert there.failure == here.failure


def test_a_right_answer_passes_all_checks_in_a_worker(worker, exercise):
    there = Submission(Path("answer.py"), (), ("double",), frozenset({"double"}))
    result = grade(there, worker, exercise)
    assert [check.message for check in result.checks] == ["", "", ""]
    assert result.state == "passed"


def test_a_wrong_answer_is_named_in_a_worker(worker, exercise):
    result = run(exercise, RemoteAnswer(worker, "squares"))
    assert [check.misconception.name for check in result.checks] == ["squared"] * 3


def test_an_exercise_that_is_not_there_is_not_attempted_and_starts_no_process(exercise):
    worker = Worker(Submission(Path("answer.py")), LIMITS)
    result = grade(worker.submission, worker, exercise)
    assert result.state == "not attempted"
    assert {c.message for c in result.checks} == {"answer.py defines no function double."}
    assert worker._process is None


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("an_array", "ndarray"), ("a_sparse", "sparse_coo tensor of float64")],
)
def test_a_value_that_cannot_travel_is_named(worker, name, foreign):
    assert ask(worker, name, gaussian(3)).value.type_name == foreign


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("too_large", "ValueError", "the value is too large to be sent"),
        ("hostile_keys", "ValueError", "no name"),
        ("no_such_function", "NameError", "no_such_function is not a function in this submission"),
        ("os", "NameError", "os is not a function in this submission"),
        ("asks", "EOFError", "EOF when reading a line"),
    ],
)
def test_a_failure_that_costs_only_the_call(worker, name, kind, message):
    failure = ask(worker, name, gaussian(3)).failure
    assert (failure.kind, failure.message, failure.fatal) == (kind, message, False)
    assert ask(worker, "double", 3).value == 6.0


# What it sees and what it does not


def test_the_judges_environment_is_not_visible(submission):
    with pytest.MonkeyPatch.context() as patch, Worker(submission, LIMITS) as worker:
        patch.setenv(SECRET, "the teacher's")
        seen = ask(worker, "environment", None).value
    allowed = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "HOME", "TMPDIR", "PWD"}
    threads = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    pythons = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONHASHSEED"}
    inside_torch = {name for name in seen if name.startswith(("TORCH", "KMP", "TRITON", "KINETO"))}
    assert set(seen) - allowed - threads - pythons - inside_torch == set()


def test_it_runs_on_one_thread_whatever_it_asks_for(worker):
    assert ask(worker, "threads", None).value == 1


def test_where_it_may_write_it_has_a_folder_of_its_own(submission, limited):
    with Worker(submission, LIMITS, limited) as worker:
        folder = Path(ask(worker, "folder", None).value)
        assert not [path for path in folder.iterdir() if not path.name.startswith("torch")]
        worker.begin()
        assert not folder.exists()
        assert Path(ask(worker, "folder", None).value) != folder


@pytest.mark.parametrize(
    "module",
    [
        "attncourse.mechanisms",
        "attncourse.mechanisms.dense.softmax",
        "attncourse.exercises.scores_and_scaling.softmax",
    ],
)
def test_the_solutions_cannot_be_imported(worker, module):
    failure = ask(worker, "imports", None, module).failure
    assert failure.kind == "ForbiddenError"
    assert failure.message.startswith("this exercise asks you to write it yourself: attncourse.")
    failure = ask(worker, "imports_from_the_package", None).failure
    told = "this exercise asks you to write it yourself: attncourse.attention is not allowed"
    assert failure.message == told
    assert failure.where == "answer.py, line 43: from attncourse import attention"


def test_the_solutions_are_not_loaded_already(worker):
    assert ask(worker, "seen", None).value == []


def test_check_and_hint_do_nothing_there(worker):
    assert ask(worker, "checks", None).value == (None, None)


# Too much


@pytest.mark.parametrize("name", ["greedy", "greedy_bit_by_bit"])
def test_a_memory_bomb_is_a_failure_of_the_call(worker, name):
    failure = ask(worker, name, None).failure
    assert (failure.kind, failure.fatal) == ("MemoryError", False)
    assert failure.message.startswith("there is not enough memory")
    assert ask(worker, "double", 3).value == 6.0


def test_of_a_hundred_megabytes_printed_a_few_are_kept(worker):
    ask(worker, "prints_a_word", 1)
    assert ask(worker, "prints", 3).value == 3
    deadline = time.monotonic() + 60
    while worker.log._dropped + len(worker.log._kept) < 10**8 and time.monotonic() < deadline:
        time.sleep(0.01)
    text = worker.log.text()
    assert text.startswith("a word\nyyy")
    assert LARGEST_LOG <= len(text) < LARGEST_LOG + 100
    assert text.endswith(" bytes more")


# Lost processes, each of which costs a new one


FATAL = {
    "exits_at_once": "the process that ran it exited with code 0.",
    "is_killed": "the process that ran it was ended by SIGKILL.",
    "is_ended_by_a_nameless_signal": "the process that ran it was ended by signal 40.",
    "closes": "the process that ran it exited with code 1.",
    "writes_garbage": "the process that ran it sent what is not an answer.",
}


@pytest.mark.parametrize("name", FATAL)
def test_a_process_that_is_lost_is_a_fatal_failure_that_says_how(worker, name):
    outcome = ask(worker, name, None)
    assert outcome == Outcome(failure=Failure("ProcessEnded", FATAL[name], fatal=True))
    assert worker._process is None
    assert not worker.stalled
    assert ask(worker, "double", 3).value == 6.0


QUICK = Limits(seconds=0.9, memory=2 * 2**30)


def test_a_loop_is_ended_for_the_time_it_computes(submission, zygote):
    with Worker(submission, QUICK, zygote) as worker:
        outcome = ask(worker, "hangs", None)
        told = (
            "it used more processor time than it may (0.9 s, or 20 times what the solution takes), "
            "and was stopped."
        )
        assert outcome.failure == Failure("TimeoutError", told, fatal=True)
        assert not worker.stalled
        assert 0.8 < worker.account.cpu < 3


@pytest.mark.parametrize("name", ["sleeps", "stops"])
def test_who_sleeps_is_ended_for_that_and_not_for_the_time_that_passes(submission, zygote, name):
    with Worker(submission, Limits(sleep=0.4), zygote) as worker:
        outcome = ask(worker, name, None)
        told = "it did not return: it slept for 0.4 s, and was stopped."
        assert outcome.failure == Failure("TimeoutError", told, fatal=True)
        assert worker.stalled
        assert 0.4 <= worker.account.slept < 2


def test_who_does_not_return_where_nobody_counts_is_ended_for_the_time_that_passes(
    submission, zygote, monkeypatch
):
    monkeypatch.setattr(account, "waiting", lambda seconds: 0.3)
    with Worker(submission, Limits(), zygote) as worker:
        told = (
            "it did not return in time for what it may compute (5 s, or 20 times what the "
            "solution takes), and was stopped."
        )
        assert ask(worker, "sleeps", None).failure == Failure("TimeoutError", told, fatal=True)
        assert worker.stalled


def test_ten_exercises_that_sleep_cost_no_more_than_three(submission, zygote):
    told = []
    with Worker(submission, Limits(sleep=0.4), zygote) as worker:
        for _ in range(10):
            worker.begin()
            told.append(ask_as_it_is(worker, "sleeps").failure.message)
        assert worker.account.slept < 3
    assert told[:3] == ["it did not return: it slept for 0.4 s, and was stopped."] * 3
    assert told[3:] == ["the submission has slept for the 1.2 s that it may in all."] * 7


def test_who_sleeps_a_little_in_every_call_uses_up_his_sleep_too(submission, zygote):
    with Worker(submission, Limits(sleep=0.6), zygote) as worker:
        told = []
        for _ in range(12):
            worker.begin()
            told.append(ask_as_it_is(worker, "naps"))
        assert [outcome.value for outcome in told[:4]] == [1] * 4
        assert told[-1].failure.kind == "BudgetError"


def test_who_is_kept_from_computing_does_not_sleep(submission, zygote):
    """Twelve processes beside it for two processors: it stands in line most of the time."""
    loop = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(loop) for _ in range(12)]
    try:
        with Worker(submission, Limits(sleep=0.3), zygote) as worker:
            assert ask(worker, "computes_for_a_second", None).value == 1
            assert worker.account.slept < 0.1
    finally:
        for process in beside:
            process.kill()
            process.wait()


@pytest.mark.parametrize(("allowed", "kind"), [(0.9, "TimeoutError"), (1.4, "NoneType")])
def test_what_is_computed_decides_to_a_fraction_of_a_second(submission, zygote, allowed, kind):
    with Worker(submission, Limits(seconds=allowed), zygote) as worker:
        failure = ask(worker, "computes_for_a_second", None).failure
        assert type(failure).__name__ == kind or failure.kind == kind


def test_a_submission_that_has_used_up_its_time_is_asked_no_more(submission, zygote):
    with Worker(submission, Limits(seconds=0.9, budget=0.5), zygote) as worker:
        ask(worker, "hangs", None)
        told = "the submission has used up its 0.5 s of processor time."
        assert ask(worker, "double", 3).failure == Failure("BudgetError", told, fatal=True)
        assert worker._process is None


@pytest.mark.parametrize("new", [False, True], ids=["its session", "a session of its own"])
@pytest.mark.parametrize("forbidden", [(), ("softmax",)])
def test_a_child_does_not_outlive_its_worker(submission, limited, new, forbidden):
    with Worker(submission, LIMITS, limited) as worker:
        outcome = ask(worker, "starts_a_child", None, forbidden=forbidden, new=new)
        if os.getuid():  # the limit on processes holds for all but root
            assert outcome.failure.kind == "BlockingIOError"
            return
        child = outcome.value
        assert alive(child)
    assert not alive(child)


def test_records_tell_the_limit_that_is_given_and_not_what_was_measured(
    submission, zygote, exercise, monkeypatch
):
    messages = set()
    for seconds in (0.001, 0.06):
        monkeypatch.setitem(patience.REFERENCE, exercise.name, seconds)
        with Worker(submission, Limits(seconds=0.5), zygote) as worker:
            worker.begin((), worker.limits.of(exercise))
            assert worker.account.seconds == max(0.5, 20 * seconds)
            messages.add(ask_as_it_is(worker, "hangs").failure.message)
    assert len(messages) == 1


def test_who_has_waited_too_long_altogether_may_try_again(submission, zygote):
    with Worker(submission, LIMITS, zygote) as worker:
        worker.account.waited = 10**6
        assert ask(worker, "double", 3).failure.kind == "BudgetError"
        assert worker.stalled


def test_a_zygote_that_was_killed_is_started_again(submission):
    with Zygote("limits") as mine, Worker(submission, LIMITS, mine) as worker:
        assert ask(worker, "double", 3).value == 6.0
        worker.begin()
        os.killpg(mine._launched.process.pid, signal.SIGKILL)
        assert ask(worker, "double", 3).value == 6.0


def test_what_forbids_the_same_is_started_from_one_process(zygote):
    softmax = zygote.refusing(("softmax",))
    assert zygote.refusing(()) is zygote
    assert zygote.refusing(["softmax"]) is softmax
    assert len({zygote, softmax, zygote.counting, zygote.refusing(("cosine_similarity",))}) == 4


def test_a_process_that_forbids_and_was_killed_is_started_again(submission):
    with Zygote("limits") as mine, Worker(submission, LIMITS, mine) as worker:
        softmax = {"forbidden": ("softmax",)}
        for _ in range(2):
            failure = ask(worker, "softmaxes", gaussian(3), **softmax).failure
            assert failure.kind == "ForbiddenError"
            first = mine._launched.process.pid
            *_, twin = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            worker.begin(**softmax)
            os.kill(int(twin), signal.SIGKILL)
        assert ask(worker, "softmaxes", gaussian(3)).value.sum() == pytest.approx(1)


def test_a_job_whose_zygote_was_lost_is_a_fault_of_the_grader_and_no_answer(submission):
    with Zygote("limits") as mine, Worker(submission, LIMITS, mine) as worker:
        assert ask(worker, "double", 3).value == 6.0
        mine._socket.close()
        with pytest.raises(GraderFault):
            ask(worker, "exits_at_once", None)


def test_a_zygote_ends_with_the_judge(tmp_path):
    """All that the judge does when it is killed is to hang up."""
    mine = Zygote("limits")
    mine._connected()
    process = mine._launched.process
    mine._socket.close()
    assert process.wait(timeout=60) == 0
    mine._socket = None
    mine.stop()


# From one exercise to the next


STAYS = """
import builtins, gc, math, os, random, signal, sys, time, types, warnings
import numpy, torch
import torch.nn.functional as F
count = 0

def double(x, *, plus=0.0): return 2 * x + plus
def counts(x):
    global count
    count += 1
    return count
def draws(x): return random.random(), float(numpy.random.rand()), float(torch.rand(()))
def warns(x): warnings.simplefilter("error"); return 1
def warned(x): warnings.warn("a warning that is one"); return 1
def computes(x):
    until = time.process_time() + x
    while time.process_time() < until: sum(range(1000))
    return 1
def ignores(x):
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True: pass
def hoards(x): types.hoard = torch.ones(x); return 1
def needs(x): return torch.ones(x).sum()
def sets_an_alarm(x): signal.setitimer(signal.ITIMER_REAL, 0.2); return 1

def float64(x): torch.set_default_dtype(torch.float64)
def no_gradients(x): torch.set_grad_enabled(False)
def a_device(x): torch.set_default_device("meta")
def a_mode(x): torch.utils._python_dispatch.TorchDispatchMode().__enter__()
def no_denormals(x): torch.set_flush_denormal(True)
def an_operator(x): torch.matmul = None
def a_method(x): torch.Tensor.sum = lambda *args: 0
def a_function(x): F.softmax = None
def a_builtin(x): builtins.divmod = None
def a_constant(x): math.pi = 3
def a_new_name(x): torch.mine = 1
def a_name_that_is_gone(x): del numpy.pi
def numpy_errors(x): numpy.seterr(all="raise")
def an_environment(x): os.environ["MINE"] = "1"
def a_trace(x): sys.settrace(lambda *args: None)
def a_finder(x): sys.meta_path.insert(0, None)
def no_collection(x): gc.disable()
def deep(x): sys.setrecursionlimit(5000)
def a_timer(x): signal.setitimer(signal.ITIMER_REAL, 1000)
def a_handler(x): signal.signal(signal.SIGALRM, signal.SIG_IGN)
def the_grader(x): sys.modules["attncourse.course.execution"].execute = None
"""

LEFT = re.findall(r"^def (\w+)", STAYS.partition("sets_an_alarm")[2], re.MULTILINE)
HARMLESS = ["double", "counts", "draws", "warns"]


@pytest.fixture(scope="module")
def confined(zygote):
    """What starts workers that can leave nothing behind but what they say."""
    if zygote.level == "limits":
        pytest.skip("submissions cannot be confined here")
    return zygote


@pytest.fixture(scope="module")
def staying(tmp_path_factory):
    path = tmp_path_factory.mktemp("staying") / "answer.py"
    path.write_text(STAYS)
    return read(path)


def pid(worker):
    worker.start()
    return worker._process._job.pid


@pytest.mark.parametrize("name", HARMLESS)
def test_the_next_exercise_shares_the_process_and_finds_no_trace(staying, confined, name):
    with Worker(staying, LIMITS, confined) as worker:
        worker.begin()
        first = [ask_as_it_is(worker, "counts").value, ask_as_it_is(worker, "draws").value]
        own = pid(worker)
        ask_as_it_is(worker, name)
        worker.begin()
        again = [ask_as_it_is(worker, "counts").value, ask_as_it_is(worker, "draws").value]
        assert again == first
        assert ask_as_it_is(worker, "warned").value == 1
        assert pid(worker) == own


@pytest.mark.parametrize("name", LEFT)
def test_a_process_in_which_something_is_left_serves_no_other_exercise(staying, confined, name):
    with Worker(staying, LIMITS, confined) as worker:
        own = pid(worker)
        assert ask_as_it_is(worker, name).failure is None
        worker.begin()
        assert pid(worker) != own
        assert ask(worker, "double", 3).value == 6.0


def test_what_forbids_something_else_or_is_to_be_alone_has_its_own_process(staying, confined):
    with Worker(staying, LIMITS, confined) as worker:
        seen = [pid(worker)]
        softmax = {"forbidden": ("softmax",)}
        for order in (softmax, softmax, {}, {"alone": True}):
            worker.begin(**order)
            seen.append(pid(worker))
        assert seen[1] == seen[2]
        assert len(set(seen)) == 4


def test_where_threads_may_be_left_every_exercise_has_its_own_process(staying, limited):
    with Worker(staying, LIMITS, limited) as worker:
        first = pid(worker)
        worker.begin()
        assert pid(worker) != first


def test_every_exercise_has_its_full_time(staying, confined):
    with Worker(staying, Limits(seconds=0.9), confined) as worker:
        own = pid(worker)
        for number in range(1, 4):
            assert RemoteAnswer(worker, "computes").run(None, (0.6,), {}).value == 1
            assert pid(worker) == own
            worker.begin()
            worker.start()
            assert worker.account.cpu >= 0.6 * number
        failure = RemoteAnswer(worker, "computes").run(None, (5.0,), {}).failure
        assert (failure.kind, failure.fatal) == ("TimeoutError", True)
        assert not worker.stalled
        assert not worker.doubtful
        assert 2.4 < worker.account.cpu < 5


def test_who_ignores_that_his_time_is_up_is_told_so_and_has_not_waited(staying, confined):
    with Worker(staying, Limits(seconds=0.4), confined) as worker:
        failure = ask_as_it_is(worker, "ignores").failure
        assert failure.kind == "TimeoutError"
        assert failure.message.startswith("it used more processor time than it may")
        assert not worker.stalled


def test_what_may_be_the_fault_of_another_exercise_is_tried_alone(staying, confined, exercise):
    two_thirds = 10 * 2**24  # numbers in float32: of 1 GiB, which is the limit

    def check_sum(student):
        """It adds up."""
        assert_that(student(two_thirds) == two_thirds, "the sum is wrong")

    solution = lambda x: torch.ones(x).sum()  # noqa: E731
    needs = replace(
        exercise, name="needs", forbidden=(), solution=solution, checks={"sum": check_sum}, wrong={}
    )
    there = Submission(staying.path, staying.cells, ("needs",), frozenset({"needs"}))
    with Worker(there, replace(LIMITS, memory=3 * 2**29), confined) as worker:
        assert RemoteAnswer(worker, "hoards").run(None, (two_thirds,), {}).value == 1
        own = pid(worker)
        worker.begin()
        assert RemoteAnswer(worker, "needs").run(None, (two_thirds,), {}).failure.kind == (
            "MemoryError"
        )
        assert pid(worker) == own
        assert worker.doubtful
        assert grade(there, worker, needs).state == "passed"
        assert pid(worker) != own


ONCE = {
    "a name that may be given once": (
        "torch.library.define('once::f', '(Tensor x) -> Tensor')\ndef double(x, *, plus=0.0): X\n"
    ),
    "a trace in a module": (
        "import types\nif not hasattr(types, 'once'):\n    types.once = True\n"
        "    def double(x, *, plus=0.0): X\n"
    ),
    "a function that is made once": (
        "import types\nplus_once = types.__dict__.setdefault('once', [1])\n"
        "HALF = plus_once.pop() / 2 if plus_once else None\n"
        "def double(x, *, plus=0.0): return 4 * HALF * x + plus\n"
    ),
    "memory that is kept": (
        "import types\nkept = types.__dict__.setdefault('kept', [])\n"
        "def double(x, *, plus=0.0):\n    kept.append(1)\n"
        "    if len(kept) > 12: raise MemoryError\n    return 2 * x + plus\n"
    ),
}


@pytest.mark.parametrize("what", ONCE)
def test_definitions_that_run_only_once_cost_no_later_exercise(what, confined, exercise):
    source = "import torch\n" + ONCE[what].replace("X", "return 2 * x + plus")
    cell = Cell("answer.py", source, script=True)
    there = Submission(Path("answer.py"), (cell,), ("double",), frozenset({"double"}))
    with Worker(there, LIMITS, confined) as worker:
        for _ in range(3):
            assert grade(there, worker, exercise).state == "passed"


def test_an_alarm_that_another_exercise_set_ends_nothing_of_the_next(staying, confined):
    with Worker(staying, LIMITS, confined) as worker:
        assert ask_as_it_is(worker, "sets_an_alarm").value == 1
        worker.begin()
        assert RemoteAnswer(worker, "computes").run(None, (0.5,), {}).value == 1


# Loading


def test_a_cell_that_raises_while_it_is_loaded_costs_only_itself(zygote):
    source = "A = 1\nB = A / 0\ndef double(x): return 2 * x\nimport no_such_module\nexit(3)\n"
    with Worker(submitted(source), LIMITS, zygote) as worker:
        assert ask(worker, "double", 4).value == 8
        assert worker.notes == (
            "answer.py, line 2: ZeroDivisionError: division by zero",
            "answer.py, line 4: ModuleNotFoundError: No module named 'no_such_module'",
            "answer.py, line 5: SystemExit: 3",
        )


def test_a_statement_that_never_ends_costs_only_itself(zygote):
    source = "while True: pass\ndef double(x): return 2 * x\n"
    with Worker(submitted(source), QUICK, zygote) as worker:
        assert ask(worker, "double", 4).value == 8
        assert worker.notes == ("answer.py, line 1 was stopped: it computed for too long",)
        worker.begin()
        assert ask_as_it_is(worker, "double").failure.kind == "TypeError"


def test_cells_that_cannot_be_stopped_are_given_up_for_good(zygote):
    ignoring = "from signal import signal\nfor n in (27, 14): signal(n, 1)\nwhile True: pass"
    source = f"def double(x): return x\nif True:\n    {ignoring.replace(chr(10), chr(10) + '    ')}"
    with Worker(submitted(source), QUICK, zygote) as worker:
        failure = ask(worker, "double", 1).failure
        assert (failure.kind, failure.fatal) == ("TimeoutError", True)
        assert re.match("while its cells were run, it .* was stopped.$", failure.message)
        assert ask(worker, "double", 1).failure == failure
        assert worker._process is None  # no second process is started


def test_cells_that_end_the_process_are_given_up_for_good(zygote):
    with Worker(submitted("import os\nos._exit(7)\n"), LIMITS, zygote) as worker:
        reason = "while its cells were run, the process that ran it exited with code 7."
        assert ask(worker, "double", 1).failure == Failure("ProcessEnded", reason, fatal=True)
        assert worker._process is None


def test_cells_too_large_to_be_sent_are_given_up_for_good(zygote):
    with Worker(submitted("A = '" + "x" * 2**25 + "'"), LIMITS, zygote) as worker:
        reason = "its cells cannot be run: the value is too large to be sent."
        assert ask(worker, "double", 1).failure == Failure("LoadError", reason, fatal=True)


def test_imports_of_the_course_that_are_not_there_are_not_noted(zygote):
    source = "from attncourse import attention\nimport attncourse.mechanisms\nimport torch\n"
    with Worker(submitted(source + "def double(x): return 2 * x\n"), LIMITS, zygote) as worker:
        assert ask(worker, "double", 4).value == 8
        assert worker.notes == ()


def test_of_an_import_that_names_answers_too_the_rest_is_there(zygote):
    source = (
        "from attncourse import attention, flops, causal_mask as mask\n"
        "def double(x): return flops(lambda a: a @ a, torch.ones(2, 2)) * x\n"
        "def masked(x): return mask(3, 3)\n"
        "import torch\n"
    )
    with Worker(submitted(source), LIMITS, zygote) as worker:
        assert ask(worker, "double", 1).value == 16
        failure = ask(worker, "masked", 1).failure
        told = "this exercise asks you to write it yourself: attncourse.causal_mask is not allowed"
        assert failure.message == told
        assert failure.where == "answer.py, line 3: def masked(x): return mask(3, 3)"
        assert worker.notes == ()


def test_plotting_does_nothing_and_costs_nothing(zygote):
    source = (
        "import torch\nimport matplotlib.pyplot as plt\nfrom matplotlib import cm\n"
        "import IPython\nfrom attncourse.plots import QUERY, Step, heatmap, panels, strip\n"
        "def double(x):\n    figure, ax = plt.subplots()\n    with plt.rc_context({}):\n"
        "        ax.plot([1], color=cm.viridis(0.5))\n"
        "    row = torch.eye(2)\n    strip([Step('Q', row, QUERY)] * 2, between=['='])\n"
        "    panels(heatmap(row), figure)\n    return 2 * x\n"
    )
    with Worker(submitted(source), LIMITS, zygote) as worker:
        assert ask(worker, "double", 4).value == 8
        assert worker.notes == ()  # nothing was drawn before it was asked


RUNS_ONCE = """
import torch
L = torch.library.Library("mine", "DEF")
L.define("twice(Tensor x) -> Tensor")
def double(x): return 2 * x
"""


def test_cells_that_can_run_only_once_are_run_in_another_process(confined):
    with Worker(submitted(RUNS_ONCE), LIMITS, confined) as worker:
        seen = []
        for _ in range(3):
            worker.begin()
            assert ask_as_it_is(worker, "double").failure.kind == "TypeError"
            assert worker.notes == ()
            seen.append(pid(worker))
        assert len(set(seen)) == 3


def test_a_worker_that_was_never_started_is_stopped_in_peace():
    with Worker(Submission(Path("answer.py")), LIMITS) as worker:
        assert worker.log.text() == ""
    worker.stop()
