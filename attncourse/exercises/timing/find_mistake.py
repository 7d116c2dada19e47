r"""# Read a file of times

Somebody sends you a file of measurements. One mistake was made in it, or none. Which?

$$\frac{\mathrm{median}\, t_i}{\mathrm{floor}} \ge 1$$

where nothing is wrong.

- `file` is a dict: `file["ceilings"]` has `"flops"` and `"bandwidth"`, per second;
  `file["cache_bytes"]` is the size of the cache; `file["rows"]` are some sizes of one call,
  smallest first, each with `"n"`, `"flops"`, `"bytes"` and `"samples"`, the seconds in the order in
  which they were taken.
- The result is one of six strings. `"no synchronise"`: all samples are the time to hand the call
  over. `"in cache"`: a call bound by bandwidth whose small sizes found their bytes in the cache;
  the largest does not fit. `"cold start"`: the first sample of each row takes at least 8 times as
  long. `"busy neighbour"`: from about the middle of each row on, samples take at least twice as
  long. `"one run"`: one sample a row. `"none"`.
- Honest times are 1.1 to 1.6 floors, with a few per cent of noise. They may drift upwards by a
  fifth within a row, the first may be up to twice as long as the next, and in each row one of the
  others is a hiccup of ten times its length. None of that is a mistake.
"""

import statistics

import torch

from attncourse.measure.planted import find_mistake as solution
from attncourse.measure.planted import planted
from attncourse.measure.roofline import roofline_seconds
from attncourse.measure.timing import median_seconds
from attncourse.testing import assert_that, gaussian

difficulty, minutes = 3, 25
hints = (
    "Ask for the impossible first. Your `roofline_seconds` and `median_seconds` tell of each row "
    "whether its median lies below its floor. In which rows can it, if a cache was warm?",
    "Two mistakes are seen in the order of the samples: compare the first with the median of the "
    "rest, and the median of the first third with that of the last. Medians do not mind a hiccup.",
)
forbidden = ("find_mistake", "planted")

KNOWN = ("no synchronise", "in cache", "cold start", "busy neighbour", "one run", "none")


def check_a_clock_that_did_not_wait(student):
    """the clock was read when the call returned"""
    _assert_found(student, "no synchronise", 100)


def check_a_warm_cache(student):
    """small sizes found their bytes in the cache"""
    _assert_found(student, "in cache", 200)


def check_a_cold_start(student):
    """the first sample of each row did more than the others"""
    _assert_found(student, "cold start", 300)


def check_a_busy_neighbour(student):
    """somebody else came in the middle"""
    _assert_found(student, "busy neighbour", 400)


def check_one_run(student):
    """one sample a row"""
    _assert_found(student, "one run", 500)


def check_an_honest_file(student):
    """a file with hiccups and no mistake"""
    _assert_found(student, "none", 600)


def _assert_found(student, mistake, seed):
    for number in range(5):
        found = student(_file(mistake, seed + number))
        assert_that(isinstance(found, str), "the result must be a string, the mistake's name.")
        assert_that(found in KNOWN, f"{found!r} is none of the six names.")
        assert_that(found == mistake, f"a file with the mistake {mistake!r} is called {found!r}.")


def _file(mistake, seed):
    """A file that only who has the secret can know."""
    drawn = int(abs(gaussian(1, seed=seed).item()) * 2**40)
    return planted(mistake, torch.Generator().manual_seed(drawn))


def _floor(file, row):
    peaks = file["ceilings"]
    return roofline_seconds(row["flops"], row["bytes"], peaks["flops"], peaks["bandwidth"])


def _below(file, time=median_seconds, floor=_floor):
    return [time(row["samples"]) < floor(file, row) for row in file["rows"]]


def _by_order(file, first=None, later=None):
    """What the order of the samples tells."""
    if first is None:
        first = _cold
    if later is None:
        later = _rising
    rows = [row["samples"] for row in file["rows"]]
    if all(map(first, rows)):
        return "cold start"
    return "busy neighbour" if all(map(later, rows)) else "none"


def _cold(times):
    """Is the first far above the others?"""
    return times[0] > 4 * median_seconds(times[1:])


def _rising(times):
    """Does the last third take longer than the first?"""
    third = len(times) // 3
    return median_seconds(times[-third:]) > 1.5 * median_seconds(times[:third])


def _single(file):
    return len(file["rows"][0]["samples"]) == 1


def wrong_without_floors(file):
    """You look at the samples alone. Steady times can be impossible ones: compare the median of
    each row with its floor.
    """
    return "one run" if _single(file) else _by_order(file)


def wrong_every_impossible_time_called_the_same(file):
    """You call every time below its floor a clock that did not wait. Where the largest size keeps
    to its floor, somebody did wait: the small ones came from a cache.
    """
    if _single(file):
        return "one run"
    return "no synchronise" if any(_below(file)) else _by_order(file)


def wrong_cache_alone(file):
    """You call every time below its floor a warm cache. What does not fit the cache cannot come
    from it: if the largest size is too fast as well, nobody waited.
    """
    if _single(file):
        return "one run"
    return "in cache" if any(_below(file)) else _by_order(file)


def wrong_arithmetic_floor_alone(file):
    """Your floor is that of the arithmetic. A call bound by bandwidth lies far above it, even from
    a cache: take the larger of both floors.
    """
    if _single(file):
        return "one run"
    below = _below(file, floor=lambda f, row: row["flops"] / f["ceilings"]["flops"])
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    return _by_order(file)


def wrong_hiccup_called_cold(file):
    """You call a file cold because one sample in it is long, wherever it stands. Only a first
    sample is cold: compare the first with the others.
    """
    below = _below(file)
    if _single(file):
        return "one run"
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    return _by_order(file, first=lambda times: max(times) > 4 * median_seconds(times))


def wrong_means_of_halves(file):
    """You compare means, and a hiccup of ten times the length moves a mean of ten samples to twice
    what it was. Compare medians of the beginning and of the end.
    """
    below = _below(file)
    if _single(file):
        return "one run"
    if any(below):
        return "no synchronise" if below[-1] else "in cache"

    rows = [row["samples"] for row in file["rows"]]
    if all(map(_cold, rows)):
        return "cold start"
    halves = [(times[: len(times) // 2], times[len(times) // 2 :]) for times in rows]
    later = [statistics.mean(b) > 1.5 * statistics.mean(a) for a, b in halves]
    return "busy neighbour" if any(later) else "none"


def wrong_no_cold_start(file):
    """You do not look at the first sample. One long sample of twenty does not move a median, so it
    has to be asked for: compare it with the median of the others.
    """
    below = _below(file)
    if _single(file):
        return "one run"
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    return _by_order(file, first=lambda times: False)


def wrong_no_neighbour(file):
    """You do not compare the beginning of a row with its end, so a machine that somebody else began
    to use looks honest. Compare the medians of both.
    """
    below = _below(file)
    if _single(file):
        return "one run"
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    return _by_order(file, later=lambda times: False)


def wrong_one_run_is_enough(file):
    """You trust a single sample. It may be the hiccup or the cold one, and nobody could tell: ask
    first how many there are.
    """
    below = _below(file)
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    return "none" if _single(file) else _by_order(file)


def right_by_the_largest_size(file):
    """asks for one run, then the largest size, the others, the first sample, the last third"""
    rows = file["rows"]
    ratios = []
    for row in rows:
        if len(row["samples"]) == 1:
            return "one run"
        peaks = file["ceilings"]
        floor = roofline_seconds(row["flops"], row["bytes"], peaks["flops"], peaks["bandwidth"])
        ratios.append(median_seconds(row["samples"]) / floor)
    if ratios[-1] < 1:
        return "no synchronise"
    if min(ratios) < 1:
        return "in cache"
    times = rows[0]["samples"]
    if _cold(times):
        return "cold start"
    return "busy neighbour" if _rising(times) else "none"


def right_by_the_growth(file):
    """a clock that did not wait gives the same time for every size"""
    rows = file["rows"]
    if all(len(row["samples"]) < 2 for row in rows):
        return "one run"
    middles = [statistics.median(row["samples"]) for row in rows]
    if middles[-1] < 2 * middles[0]:
        return "no synchronise"
    fits = [row for row in rows if row["bytes"] < file["cache_bytes"]]
    if any(statistics.median(row["samples"]) < _floor(file, row) for row in fits):
        return "in cache"
    return _by_order(file)


shown = right_by_the_largest_size
