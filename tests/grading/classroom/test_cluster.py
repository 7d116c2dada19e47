"""A Dask cluster grades as this machine does, also when it loses a worker."""

import os
import signal

import pytest
from distributed import Client, LocalCluster
from made_class import DIVIDED, SOFTMAX, STUB

from attncourse.grading.classroom import schedule
from attncourse.grading.classroom.cluster import Cluster
from attncourse.grading.classroom.schedule import ClusterError
from attncourse.grading.classroom.task import Graded, Task
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.sandbox import choose

LIMITS = Limits(seconds=2.0)
LEVEL = choose("auto")

pytestmark = [
    pytest.mark.early,
    pytest.mark.skipif(LEVEL == "limits", reason="submissions cannot be confined here"),
]


@pytest.fixture(scope="module")
def two():
    """Two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path):
    """Ten students: right, wrong, not attempted, one that ends the process that runs it."""
    made = tmp_path / "class"
    made.mkdir()
    texts = [SOFTMAX, DIVIDED, STUB, "def softmax(x):\n    import os\n    os._exit(0)\n"]
    for i in range(10):
        (made / f"s{i}.py").write_text(f"{texts[i % 4]}# {i}\n")
    return made


@pytest.mark.by_turns
def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(tmp_path, two, folder, graded):
    here = graded(folder, tmp_path / "here")
    killed, heard = [], []

    def listen(done, total, whose):
        heard.append((done, whose))
        if done == 1:  # each worker has been given others
            killed.append(next(iter(two.scheduler_info["workers"])))
            worker = next(w for w in two.workers.values() if w.worker_address == killed[0])
            os.kill(worker.process.pid, signal.SIGKILL)

    with Cluster(two.scheduler_address, LEVEL, LIMITS) as scheduler:
        there = graded(folder, tmp_path / "there", scheduler, listen)
    assert killed[0] not in two.scheduler_info["workers"]
    assert [done for done, _ in heard] == list(range(11))
    assert sorted(whose for _, whose in heard[1:]) == [f"s{i}" for i in range(10)]
    assert there.book.digest == here.book.digest
    journal = (tmp_path / "there/journal.jsonl").read_bytes()
    assert journal.count(b'"type":"submission"') == 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("manifest.version = lambda name: '2.6.0'", "torch as this machine, .*: got 2.6.0$"),
        ("manifest._code = lambda: 'f' * 64", "code of the course as this machine, .*: got f{16}$"),
    ],
)
def test_a_worker_with_another_torch_or_course_is_refused(two, change, sentence):
    place = "from attncourse.grading.classroom import manifest"
    keep = f"{place}\nmanifest.kept = manifest.version, manifest._code"
    back = f"{place}\nmanifest.version, manifest._code = manifest.kept"
    with Client(two, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=300)  # one was killed, and is being started again
        client.run(exec, f"{keep}\n{change}")
        try:
            told = f"^the worker at tcp:.* must have the same {sentence}"
            with pytest.raises(ClusterError, match=told):
                Cluster(two.scheduler_address, LEVEL, LIMITS).__enter__()
        finally:
            client.run(exec, back)


@pytest.mark.by_turns
def test_a_cluster_that_hangs_is_given_up(tmp_path, two, folder, graded, monkeypatch):
    place = "from attncourse.grading.classroom import task"
    hang = (
        f"{place}\nimport threading\n"
        "task.kept, task.held = task.grade_submission, threading.Event()\n"
        "task.grade_submission = lambda one, held=task.held: held.wait(600)"
    )
    back = f"{place}\ntask.held.set()\ntask.grade_submission = task.kept"
    with Client(two, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=300)
        with Cluster(two.scheduler_address, LEVEL, LIMITS) as scheduler:
            client.run(exec, hang)
            try:
                told = (
                    "^the cluster does not answer: see to its workers, then give the same command"
                )
                with monkeypatch.context() as patch:
                    patch.setattr(f"{Cluster.__module__}.patience", lambda limits: 2.0)
                    with pytest.raises(ClusterError, match=told):
                        graded(folder, tmp_path / "out", scheduler)
            finally:
                client.run(exec, back)
            journal = (tmp_path / "out/journal.jsonl").read_text()
            assert journal.count("the cluster did not answer in time") == 6  # three for each worker
            again = graded(folder, tmp_path / "out", scheduler)
    assert [row.state for row in again.book.rows] == ["graded"] * 10


def test_where_there_is_no_scheduler_it_is_said(monkeypatch):
    monkeypatch.setattr("attncourse.grading.classroom.cluster.CONNECTING", 0.2)
    with pytest.raises(ClusterError, match=r"^there is no Dask scheduler at tcp://127.0.0.1:9: "):
        Cluster("tcp://127.0.0.1:9", LEVEL, LIMITS)
    with pytest.raises(ClusterError, match=r"^there is no Dask scheduler at nowhere://x: "):
        Cluster("nowhere://x", LEVEL, LIMITS)


def test_a_cluster_is_not_given_what_nothing_confines():
    with pytest.raises(ClusterError, match="^a cluster must confine submissions "):
        Cluster("tcp://127.0.0.1:9", "limits", LIMITS)


def test_one_by_one_gives_no_task_before_the_last_is_done():
    seen = []

    def scheduler(tasks):
        for task in tasks:
            seen.append(task.job)
            yield Graded(task.job, (), {})

    tasks = [Task(job, "ada", "", "a.py", b"", LIMITS, LEVEL) for job in "ab"]
    for done in schedule.one_by_one(scheduler)(tasks):
        seen.append(done.job)
    assert seen == ["a", "a", "b", "b"]
