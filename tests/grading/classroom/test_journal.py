"""The journal: whole lines count, a torn tail is cut, later records replace earlier ones."""

import pytest

from attncourse.grading.classroom.journal import NAME, TIMES, Journal, JournalError


def closing(job, *exercises, fault=""):
    return {"type": "submission", "job": job, "exercises": list(exercises), "fault": fault}


def exercise(job, name, state="passed"):
    return {"type": "exercise", "job": job, "exercise": name, "state": state}


def submission(job):
    return [exercise(job, "softmax"), closing(job, "softmax")]


def finished(entry):
    return not entry.missing and not entry.closing["fault"]


@pytest.fixture
def two(tmp_path):
    """A journal of two submissions, and its bytes."""
    with Journal(tmp_path) as log:
        log.add([{"type": "manifest", "digest": "d", "manifest": {}}])
        log.add(submission("a"))
        log.took("a", 0.5)
        log.add(submission("b"))
        log.took("b", 0.25)
    return (tmp_path / NAME).read_bytes()


@pytest.mark.usefixtures("two")
def test_what_was_added_is_read_again(tmp_path):
    with Journal(tmp_path) as log:
        assert (list(log.entries), log.manifests, log.cut) == (["a", "b"], ["d"], 0)
        assert log.entries["a"].records() == submission("a")
        assert finished(log.entries["a"])
    times = (tmp_path / TIMES).read_text().splitlines()
    assert times == ['{"job":"a","seconds":0.5}', '{"job":"b","seconds":0.25}']


def test_cut_anywhere_it_keeps_every_whole_submission_and_goes_on(tmp_path, two):
    path, ends = tmp_path / NAME, []
    lines = two.splitlines(keepends=True)
    for count in range(len(lines) + 1):
        ends.append(sum(map(len, lines[:count])))
    for size in range(0, len(two) + 1, 7):
        path.write_bytes(two[:size])
        with Journal(tmp_path) as log:
            assert list(log.entries) == [
                job for job, end in (("a", 3), ("b", 5)) if size >= ends[end]
            ]
            whole = max(end for i, end in enumerate(ends) if i in (0, 1, 3, 5) and end <= size)
            assert (log.cut, path.stat().st_size) == (size - whole, whole)
            log.add(submission("c"))
        with Journal(tmp_path) as log:
            assert (list(log.entries)[-1], log.cut) == ("c", 0)


def test_a_line_that_was_changed_does_not_count_and_costs_no_other(tmp_path, two):
    changed = two.replace(b'"passed"', b'"PASSED"', 1)
    (tmp_path / NAME).write_bytes(changed)
    with Journal(tmp_path) as log:
        assert log.cut == 0
        assert log.entries["a"].missing == ("softmax",)
        assert finished(log.entries["b"])


def test_later_records_replace_earlier_ones_but_a_fault_replaces_none(tmp_path):
    with Journal(tmp_path) as log:
        log.add([closing("a", fault="lost")])
        assert not finished(log.entries["a"])
        log.add([exercise("a", "x", "needs-regrade"), exercise("a", "y"), closing("a", "x", "y")])
        assert log.entries["a"].missing == ("x",)
        log.add([exercise("a", "x"), closing("a", "x", "y")])
        assert finished(log.entries["a"])
        log.add([closing("a", fault="lost")])
        assert finished(log.entries["a"])


def test_one_run_at_a_time(tmp_path):
    with Journal(tmp_path), pytest.raises(JournalError, match="another run is writing to "):
        Journal(tmp_path)
    Journal(tmp_path).__exit__(None, None, None)
