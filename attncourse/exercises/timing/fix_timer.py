r"""# Mend the clock

This function times a call on a device that works on by itself. It says of a kernel of 56
milliseconds that it takes 8 microseconds, and of its first call something else again. Mend it.

$$t_i = \mathrm{clock}(\text{done}) - \mathrm{clock}(\text{idle}), \qquad
i = 1 \ldots \mathrm{rounds}$$

From the moment at which the device is idle and the call begins, to that at which it is done.

- `device.clock()` gives the host's time in microseconds, `device.synchronise()` returns when the
  device has done all that it was given. `call` hands work over and returns at once.
- The first call of all compiles, which takes long and belongs to no round. When the function is
  called, somebody else's work may still be in the queue; that belongs to no round either.
- The result holds `rounds` times in microseconds, in order, as a list or a tuple: each is the
  handing over and the work of one call. Nothing is averaged.
"""

import itertools

from attncourse.measure.queue_model import timed_on_a_model
from attncourse.measure.timing import waited_samples as solution
from attncourse.testing import assert_same, gaussian

difficulty, minutes = 2, 15
hints = (
    "Step through it: from attncourse.measure.queue_model import ModelDevice; device = "
    "ModelDevice(). Print device.clock() before and after device.launch(1000.0), and after "
    "device.synchronise().",
    "Before the first reading the device has to be idle, before the second it has to be done. And "
    "what the very first call does besides is over after one call that nobody times.",
)
forbidden = ("waited_samples",)


def check_waits_for_the_result(student):
    """what the device takes, and not how soon Python is free again"""
    for kernel in (56_000.0, _microseconds(10)):
        _assert_times(student, kernel)


def check_short_kernels(student):
    """kernels shorter than the handing over"""
    for kernel in (1.0, 3.0):
        _assert_times(student, kernel, handing_over=16.0)


def check_without_the_first_call(student):
    """compiling belongs to no round"""
    _assert_times(student, _microseconds(20), first=300_000.0)
    _assert_times(student, _microseconds(21), first=500.0, rounds=2)


def check_without_earlier_work(student):
    """what was in the queue before belongs to no round"""
    _assert_times(student, _microseconds(30), before=40_000.0)
    _assert_times(student, _microseconds(31), before=70_000.0, first=9000.0, rounds=1)


def check_as_many_as_asked_for(student):
    """one round, two, seven"""
    for rounds in (1, 2, 7):
        _assert_times(student, _microseconds(40 + rounds), rounds=rounds, first=2000.0)


def _assert_times(student, kernel, *, first=1000.0, **options):
    expected = timed_on_a_model(solution, kernel, first=first, **options)
    found = timed_on_a_model(student, kernel, first=first, **options)
    assert_same(found, expected, f"what it returns of a kernel of {kernel:g} microseconds")


def _microseconds(seed):
    """A whole number of some hundreds, so that sums of times are exact."""
    return 200.0 + round(300 * gaussian(1, seed=seed).abs().clamp(max=4).item())


def wrong_not_waited_for(device, call, rounds):
    """You read the clock when Python is free again. The work is in the queue then, and not done:
    call `device.synchronise()` before each reading, and make one call before all rounds.
    """
    samples = []
    for _ in range(rounds):
        start = device.clock()
        call()
        stop = device.clock()
        samples.append(stop - start)
    return samples


stub = wrong_not_waited_for


def wrong_cold(device, call, rounds):
    """You wait, and your first round holds what only a first call does. Make one call before the
    rounds, and let nobody time it.
    """
    samples = []
    for _ in range(rounds):
        device.synchronise()
        start = device.clock()
        call()
        device.synchronise()
        samples.append(device.clock() - start)
    return samples


def wrong_begun_too_early(device, call, rounds):
    """You wait for the end and not for the beginning: what was in the queue before counts in your
    first round. Call `device.synchronise()` before the first reading, too.
    """
    call()
    samples = []
    for _ in range(rounds):
        start = device.clock()
        call()
        device.synchronise()
        samples.append(device.clock() - start)
    return samples


def wrong_waits_for_the_beginning_alone(device, call, rounds):
    """You wait until the device is idle, and then not until it is done. Call `device.synchronise()`
    between the call and the second reading.
    """
    call()
    samples = []
    for _ in range(rounds):
        device.synchronise()
        start = device.clock()
        call()
        stop = device.clock()
        device.synchronise()
        samples.append(stop - start)
    return samples


def wrong_waits_after_all_rounds(device, call, rounds):
    """You wait once, after the last round, and give each round the same share. The handing over is
    hidden behind the work then: wait in each round, and give each its own time.
    """
    call()
    device.synchronise()
    start = device.clock()
    for _ in range(rounds):
        call()
    device.synchronise()
    return [(device.clock() - start) / rounds] * rounds


def wrong_total(device, call, rounds):
    """You return times since the beginning, which grow from round to round. Read the clock anew
    when a round begins.
    """
    call()
    device.synchronise()
    start = device.clock()
    samples = []
    for _ in range(rounds):
        call()
        device.synchronise()
        samples.append(device.clock() - start)
    return samples


def wrong_first_round_thrown_away(device, call, rounds):
    """You time the first call as a round and throw it away, so that one round is missing. Make the
    call that warms up besides the rounds.
    """
    samples = []
    for _ in range(rounds):
        device.synchronise()
        start = device.clock()
        call()
        device.synchronise()
        samples.append(device.clock() - start)
    return samples[1:]


def wrong_mean(device, call, rounds):
    """You return one number. Give the times of all rounds, in order: what to make of them is
    decided later.
    """
    times = solution(device, call, rounds)
    return sum(times) / len(times)


def right_by_waiting_twice(device, call, rounds):
    """one call ahead, then idle before and done after"""
    call()
    samples = []
    for _ in range(rounds):
        device.synchronise()
        start = device.clock()
        call()
        device.synchronise()
        stop = device.clock()
        samples.append(stop - start)
    return samples


def right_by_marks(device, call, rounds):
    """two marks in the queue, of an idle device, as CUDA events are"""
    call()
    samples = []
    for _ in range(rounds):
        device.synchronise()
        start = device.record()
        call()
        stop = device.record()
        samples.append(start.elapsed_time(stop))
    return samples


def right_waiting_at_the_end_of_each(device, call, rounds):
    """two calls ahead, and the end of a round is the beginning of the next"""
    call()
    call()
    device.synchronise()
    times = [device.clock()]
    for _ in range(rounds):
        call()
        device.synchronise()
        times.append(device.clock())
    return [stop - start for start, stop in itertools.pairwise(times)]


shown = right_by_waiting_twice
