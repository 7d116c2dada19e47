r"""# The floor under a time

Some work takes a number of operations, and has to move a number of bytes. A machine does at most so
many operations a second, and moves at most so many bytes a second; at best it does both at once.
What is the least time?

$$t \ge \max\!\left(\frac{\mathrm{flops}}{\mathrm{peak\_flops}},\;
\frac{\mathrm{bytes\_moved}}{\mathrm{peak\_bandwidth}}\right)$$

- `flops` in operations, `bytes_moved` in bytes, both 0 or more; the peaks in operations and bytes
  per second, above 0.
- The result is a number, in seconds.
"""

from attncourse.measure.roofline import roofline_seconds as solution
from attncourse.testing import assert_that, gaussian

difficulty, minutes = 1, 5
hints = (
    "Work out both times for 6 billion operations and 1 billion bytes on a machine with 1,000 "
    "billion operations and 100 billion bytes a second. Which of the two can you not get below?",
    "A quotient for the operations, a quotient for the bytes. They overlap: neither a sum nor the "
    "smaller one.",
)
forbidden = ("roofline_seconds",)


def check_by_hand(student):
    """bound by arithmetic, by bandwidth, and by both at once"""
    _assert_seconds(student, 6e9, 1e8, 1e12, 1e11)
    _assert_seconds(student, 6e9, 1e9, 1e12, 1e11)
    _assert_seconds(student, 2e9, 1e8, 1e12, 5e10)


def check_on_many_machines(student):
    """any work on any machine"""
    draws = gaussian(24, 4, std=2.0, seed=10).exp().tolist()
    for flops, moved, peak, bandwidth in draws:
        _assert_seconds(student, 1e9 * flops, 1e8 * moved, 1e12 * peak, 1e11 * bandwidth)


def check_without_work_or_without_bytes(student):
    """no operations, or no bytes, or neither"""
    for flops, moved in ((0, 3e9), (7e12, 0), (0, 0)):
        _assert_seconds(student, flops, moved, 2e13, 9e11)


def check_takes_whole_numbers(student):
    """whole numbers, and times far below and far above a second"""
    _assert_seconds(student, 2 * 8192**3, 3 * 8192**2 * 8, 19_500_000_000_000, 1_555_000_000_000)
    _assert_seconds(student, 2, 12, 10**12, 10**11)
    _assert_seconds(student, 10**21, 10**9, 10**12, 10**11)


def _assert_seconds(student, *args):
    found, expected = student(*args), solution(*args)
    number = isinstance(found, int | float) and not isinstance(found, bool)
    assert_that(number, "the result must be a number, in seconds.")
    near = abs(found - expected) <= 1e-9 * max(expected, 1e-12)
    names = ("flops", "bytes_moved", "peak_flops", "peak_bandwidth")
    given = ", ".join(f"{name}={value:g}" for name, value in zip(names, args, strict=True))
    assert_that(near, f"{given}: the floor is {expected:g} s, not {found:g} s.")


def wrong_added(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You added both times. A machine computes while it moves, so at best the shorter is hidden
    behind the longer: take the larger of the two.
    """
    return flops / peak_flops + bytes_moved / peak_bandwidth


def wrong_smaller(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You took the smaller of the two. Both have to be done, so the slower one decides: take the
    larger.
    """
    return min(flops / peak_flops, bytes_moved / peak_bandwidth)


def wrong_arithmetic_alone(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You left the bytes out, so that a copy would take no time. Work out their time, too, and take
    the larger.
    """
    return flops / peak_flops


def wrong_bytes_alone(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You left the operations out, so that a product of large matrices would be as fast as a copy.
    Work out their time, too, and take the larger.
    """
    return bytes_moved / peak_bandwidth


def wrong_peaks_exchanged(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You divided operations by bytes a second. Each amount belongs to the peak of its own unit:
    exchange the two.
    """
    return max(flops / peak_bandwidth, bytes_moved / peak_flops)


def wrong_rate(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You computed the rate under the roof, in operations a second. Asked is a time: divide the
    operations by that rate, or begin with two times.
    """
    if not bytes_moved:
        return peak_flops
    return min(peak_flops, flops / bytes_moved * peak_bandwidth)


def wrong_milliseconds(flops, bytes_moved, peak_flops, peak_bandwidth):
    """You return milliseconds. The peaks are per second, and so is the result: leave the factor of
    a thousand out.
    """
    return 1e3 * max(flops / peak_flops, bytes_moved / peak_bandwidth)


def right_larger_of_both(flops, bytes_moved, peak_flops, peak_bandwidth):
    """both times, then the larger"""
    arithmetic = flops / peak_flops
    transfer = bytes_moved / peak_bandwidth
    return max(arithmetic, transfer)


def right_by_the_ridge(flops, bytes_moved, peak_flops, peak_bandwidth):
    """asks on which side of the ridge the intensity lies"""
    if flops * peak_bandwidth > bytes_moved * peak_flops:
        return flops / peak_flops
    return bytes_moved / peak_bandwidth


def right_by_the_rate(flops, bytes_moved, peak_flops, peak_bandwidth):
    """the operations over the rate that the roof allows"""
    if not flops or not bytes_moved:
        return flops / peak_flops + bytes_moved / peak_bandwidth
    return flops / min(peak_flops, flops / bytes_moved * peak_bandwidth)


shown = right_larger_of_both
