"""Files with a planted mistake: each is found, and what the statement promises of files is so."""

import pytest
import torch

from attncourse.measure.planted import MISTAKES, find_mistake, planted
from attncourse.measure.roofline import roofline_seconds
from attncourse.measure.timing import median_seconds


def files(mistake, count=60):
    return [planted(mistake, torch.Generator().manual_seed(seed)) for seed in range(count)]


def floors(file):
    peaks = file["ceilings"]
    return [
        roofline_seconds(row["flops"], row["bytes"], peaks["flops"], peaks["bandwidth"])
        for row in file["rows"]
    ]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found_in_every_file(mistake):
    assert {find_mistake(file) for file in files(mistake)} == {mistake}


def test_honest_times_lie_above_their_floors():
    for file in files("none"):
        for floor, row in zip(floors(file), file["rows"], strict=True):
            assert min(row["samples"]) > 1.1 * floor
            assert median_seconds(row["samples"]) < 2.1 * floor
            assert row["samples"][0] < 2.3 * median_seconds(row["samples"])


def test_what_does_not_fit_the_cache_never_comes_from_it():
    for file in files("in cache"):
        for floor, row in zip(floors(file), file["rows"], strict=True):
            fast = median_seconds(row["samples"]) < floor
            assert fast == (row["bytes"] < file["cache_bytes"])
        assert row["bytes"] > file["cache_bytes"] > file["rows"][0]["bytes"]


def test_the_largest_size_cannot_be_handed_over_in_its_floor():
    for file in files("no synchronise"):
        assert max(file["rows"][-1]["samples"]) < 0.5 * floors(file)[-1]


def test_the_same_generator_gives_the_same_file():
    assert files("none", 2) == files("none", 2)
    assert files("none", 1) != files("none", 2)[1:]


def test_another_mistake_is_refused():
    with pytest.raises(ValueError, match=r"^mistake must be one of no synchronise, .*: got 'x'$"):
        planted("x", torch.Generator())
