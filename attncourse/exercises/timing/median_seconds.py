r"""# The middle of many times

A call was timed several times. One of them was ten times as long, since the machine had something
else to do. Give the time that half of the samples do not exceed: the median.

$$t_{(1)} \le t_{(2)} \le \dots \le t_{(s)}, \qquad
\mathrm{median} = \tfrac{1}{2}\left(t_{(a)} + t_{(b)}\right)$$

a and b are the two places in the middle, s/2 and s/2 + 1, if the number s of samples is even, and
both (s + 1)/2 if it is odd.

- `samples` are seconds: a tensor with one axis, or a list or tuple of numbers; at least one. They
  come in the order in which they were taken, and are not changed.
- The result is a `float`, in seconds.
"""

import statistics

import torch

from attncourse.measure.timing import median_seconds as solution
from attncourse.testing import assert_that, gaussian

difficulty, minutes = 1, 5
hints = (
    "Sort a copy first. Which place is in the middle of 5 numbers, and which two of 6?",
    "`torch.median` gives one of the samples, the lower of the two in the middle. `float(...)` "
    "makes a number of a tensor with one entry.",
)
forbidden = ("median_seconds", "spread")


def check_an_odd_number(student):
    """an odd number of samples, in any order"""
    for times in ([3.0, 1.0, 2.0], [0.25, 0.125, 8.0, 0.5, 0.375], [7.0]):
        _assert_middle(student, torch.tensor(times).double())


def check_an_even_number(student):
    """an even number of samples: the mean of the two in the middle"""
    for times in ([4.0, 1.0, 3.0, 2.0], [0.5, 0.25], [5.0, 1.0, 1.0, 50.0, 4.0, 2.0]):
        _assert_middle(student, times)


def check_one_that_took_long(student):
    """one sample that took a hundred times as long hardly matters"""
    for seed, count in ((10, 9), (11, 12)):
        times = (1 + 0.05 * gaussian(count, seed=seed).abs()).tolist()
        times[seed % count] *= 100
        _assert_middle(student, times)


def check_many_samples(student):
    """any number of them"""
    for count in range(1, 14):
        _assert_middle(student, gaussian(count, seed=20 + count).exp().tolist())


def check_tensors_and_sequences(student):
    """a tensor of float64 or float32, a list, a tuple"""
    times = [2.0, 0.5, 1.0, 4.0]
    for given in (torch.tensor(times).double(), torch.tensor(times), times, tuple(times)):
        _assert_middle(student, given)


def _assert_middle(student, samples):
    found, expected = student(samples), solution(samples)
    assert_that(type(found) is float, "the result must be a float, in seconds.")
    told = ", ".join(f"{float(x):.3g}" for x in list(samples)[:8])
    near = abs(found - expected) <= 1e-9 * expected
    assert_that(near, f"of {told}{', ...' * (len(samples) > 8)} the median is {expected:.6g}.")


def _floats(samples):
    return [float(x) for x in samples]


def wrong_mean(samples):
    """You took the mean, which one long sample moves as far as it likes. Sort the samples, and take
    the one in the middle.
    """
    times = _floats(samples)
    return sum(times) / len(times)


def wrong_fastest(samples):
    """You took the fastest sample: a best case, which says what the machine can do and not what it
    does. Take the one in the middle.
    """
    return min(_floats(samples))


def wrong_slowest(samples):
    """You took the slowest sample, which is the neighbour's time as much as yours. Take the one in
    the middle.
    """
    return max(_floats(samples))


def wrong_lower_middle(samples):
    """You took the lower of the two in the middle, as `torch.median` does. With an even number of
    samples the median is the mean of both.
    """
    times = sorted(_floats(samples))
    return times[(len(times) - 1) // 2]


def wrong_upper_middle(samples):
    """You took the upper of the two in the middle. With an even number of samples the median is the
    mean of both.
    """
    times = sorted(_floats(samples))
    return times[len(times) // 2]


def wrong_not_sorted(samples):
    """You took the sample that was measured halfway, not the one in the middle by size. Sort a copy
    first.
    """
    times = _floats(samples)
    half = len(times) // 2
    return times[half] if len(times) % 2 else (times[half - 1] + times[half]) / 2


def wrong_middle_of_the_range(samples):
    """You took the middle between the fastest and the slowest, which the slowest alone decides.
    Sort them, and take the sample that has as many below as above.
    """
    times = _floats(samples)
    return (min(times) + max(times)) / 2


def right_by_sorting(samples):
    """sorts a copy, then one or two in the middle"""
    times = sorted(float(sample) for sample in samples)
    half = len(times) // 2
    if len(times) % 2:
        return times[half]
    return (times[half - 1] + times[half]) / 2


def right_by_the_standard_library(samples):
    """Python's own, of floats"""
    return float(statistics.median(_floats(samples)))


def right_by_a_quantile(samples):
    """the quantile 0.5, which lies between samples"""
    return torch.as_tensor(samples, dtype=torch.float64).quantile(0.5).item()


shown = right_by_sorting
