"""Kernels that die as they are started, in the run of the notebooks."""

import pytest

pytest.importorskip("nbval")

import started


@pytest.fixture
def starts(monkeypatch):
    """Starts a kernel as these say, one after the other: an error is raised."""

    def given(*what):
        left = list(what)

        def one(name):
            now = left.pop(0)
            if isinstance(now, Exception):
                raise now
            return name, now

        monkeypatch.setattr(started, "_start", one)
        return left

    return given


DIED = RuntimeError("Kernel died before replying to kernel_info")


def test_who_lost_a_port_gets_another(starts):
    starts(DIED, DIED, "a kernel")
    assert started.start("python3") == ("python3", "a kernel")


def test_what_dies_each_time_is_told(starts):
    left = starts(*[DIED] * 5)
    with pytest.raises(RuntimeError, match="died"):
        started.start("python3")
    assert len(left) == 2


def test_what_does_not_answer_is_not_waited_for_again(starts):
    left = starts(RuntimeError("Kernel didn't respond in 60 seconds"), "a kernel")
    with pytest.raises(RuntimeError, match="respond"):
        started.start("python3")
    assert left == ["a kernel"]
