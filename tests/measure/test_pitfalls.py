"""How timing goes wrong, as data: every mistake on every subject, beside the right way."""

from dataclasses import replace

import pytest
import torch

from attncourse.measure.bench import pitfalls
from attncourse.measure.bench.pitfalls import MISTAKES, SUBJECTS
from attncourse.measure.timing import spread


@pytest.fixture
def short(monkeypatch):
    """Subjects so short that they take no time, and no rest."""
    made = tuple(replace(subject, n={"cpu": 16, "cuda": 16}) for subject in SUBJECTS)
    monkeypatch.setattr(pitfalls, "SUBJECTS", made)
    monkeypatch.setattr(pitfalls.time, "sleep", lambda seconds: None)


@pytest.mark.usefixtures("short")
def test_every_subject_is_timed_with_every_mistake_and_without():
    told = []
    found = list(pitfalls.pitfalls(quick=True, listen=told.append))
    assert len(told) == len(SUBJECTS)
    names = dict.fromkeys(each.call for each in found)
    assert list(names) == [f"{s.name}, n = 16, 8 heads, d = 64, float32" for s in SUBJECTS]
    for name in names:
        mine = {each.mistake: each for each in found if each.call == name}
        assert list(mine) == list(MISTAKES)
        right = mine["none"]
        assert right.ratio == 1.0
        assert len(mine["cold"].samples) == len(mine["one run"].samples) == 1
        assert mine["one run"].samples[0] in right.samples
        for each in mine.values():
            assert each.seconds == spread(each.samples)
            assert each.ratio == pytest.approx(each.seconds.median / right.seconds.median)


@pytest.mark.usefixtures("short")
def test_the_right_way_changes_its_inputs_and_zeros_are_zeros(monkeypatch):
    seen = []

    def spy(*inputs):
        seen.append((inputs[0].data_ptr(), bool(inputs[0].any())))
        return inputs[0]

    subject = replace(pitfalls.SUBJECTS[0], function=spy)
    monkeypatch.setattr(pitfalls, "SUBJECTS", (subject,))
    list(pitfalls.pitfalls(quick=True))
    pointers = [pointer for pointer, _ in seen]
    # the cold call, 5 that warm up, 5 right ones, 5 of zeros, 5 without waiting, 5 the same
    assert len(set(pointers[6:11])) == 5
    assert [random for _, random in seen[6:16]] == [True] * 5 + [False] * 5
    assert len(set(pointers[21:26])) == 1
    assert len(seen) == 1 + 5 * 5 + 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_real_device_not_waiting_looks_fast():
    found = list(pitfalls.pitfalls("cuda", quick=True))
    assert any(each.ratio < 0.5 for each in found if each.mistake == "no synchronise")
