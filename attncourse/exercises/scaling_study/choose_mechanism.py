r"""# The fastest that fits into the memory

You have a price list of mechanisms: what each takes in time and in memory, as a polynomial of the
length. A text of n tokens comes, and there is room for `memory` numbers. Choose the fastest
mechanism that fits:

$$\mathrm{time}(n) = t_0 + t_1 n + t_2 n^2, \qquad \mathrm{room}(n) = r_0 + r_1 n + r_2 n^2 .$$

- `offers` is a list of pairs (time, room), one for each mechanism, each of them a tuple of three
  numbers: fixed, for each token, for each pair of tokens. They are at least 0, and `n` at least 1.
- A mechanism fits where its room(n) is at most `memory`.
- The result is the place in the list, an `int` from 0, of the mechanism with the least time(n) of
  those that fit; the first of them, if several take the same time. Where none fits, or none is
  offered, it is -1.
"""

import functools

from attncourse.measure.cost import flops, largest_tensor
from attncourse.measure.scaling import choose_mechanism as solution
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.blockwise import blockwise_attention
from attncourse.mechanisms.patterns.block_local import block_attention
from attncourse.testing import assert_same, assert_that, gaussian

difficulty, minutes = 3, 15
hints = (
    "Two questions in a row: which of them fit, and which of these is the fastest? Write a small "
    "function for a polynomial at n, and use it for both.",
    "Keep the best place so far and its time. Go through the list, skip what does not fit, and "
    "take over what is *faster* than the best so far, not merely as fast.",
)
forbidden = ("choose_mechanism",)

TABLE = (0.0, 4.0, 16.0), (0.0, 2.0, 1.0)
STATE = (500.0, 100.0, 0.0), (64.0, 1.0, 0.0)
TILES = (40.0, 8.0, 20.0), (10.0, 4.0, 0.0)


def check_the_fastest_of_those_that_fit(student):
    """three mechanisms by hand: a table of pairs, a state, tiles"""
    for n, memory, expected in (
        (4, 1000, 0),
        (40, 3000, 1),
        (10, 1000, 1),
        (8, 1000, 0),
        (8, 60, 2),
        (8, 80, 0),
    ):
        chosen = student(n, memory, [TABLE, STATE, TILES])
        assert_same(chosen, expected, f"the choice at {n} tokens with room for {memory}")


def check_room_that_is_just_enough(student):
    """room for exactly as many numbers as are needed is enough, one less is not"""
    assert_same(student(8, 80, [TABLE]), 0, "the choice with room to the number")
    assert_same(student(8, 79, [TABLE]), -1, "the choice with one number too few")


def check_nothing_fits(student):
    """no mechanism fits, and none is offered"""
    assert_same(student(300, 200, [TABLE, STATE, TILES]), -1, "the choice at 300 tokens")
    assert_same(student(5, 200, []), -1, "the choice among none")


def check_the_first_of_equals(student):
    """of two that are equally fast the first, whatever room they take"""
    one, other = ((7.0, 1.0, 0.0), (5.0, 1.0, 0.0)), ((1.0, 2.0, 0.0), (1.0, 1.0, 0.0))
    slow = (90.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    assert_same(student(6, 50, [slow, one, other]), 1, "the choice between two equals")
    assert_same(student(6, 50, [other, slow, one]), 0, "the choice in another order")


def check_counted_by_running_them(student):
    """what is chosen is run: its largest tensor fits, and none that fits has fewer FLOPs"""
    for n in (16, 48, 96):
        for memory in (60, 100, 300, 1600, 10_000):
            chosen = student(n, memory, OFFERS)
            fit = {i: cost for i, cost in enumerate(_counted(n)) if cost[1] <= memory}
            fits = chosen in fit if fit else chosen == -1
            assert_that(fits, f"mechanism {chosen} does not fit into {memory} at {n} tokens.")
            if fit:
                least = min(work for work, _ in fit.values())
                assert_same(fit[chosen][0], least, "the number of FLOPs of what was chosen")


def check_other_price_lists(student):
    """price lists of other lengths and numbers"""
    for seed in range(5):
        rows = gaussian(3 + seed % 4, 6, std=1.0, seed=seed).exp().tolist()
        offers = [(tuple(row[:3]), tuple(row[3:])) for row in rows]
        for n in (1, 3, 17, 90):
            expected = solution(n, 1.2 * n**2, offers)
            assert_same(student(n, 1.2 * n**2, offers), expected, f"the choice at {n} tokens")


WIDTH, BLOCK, TILE = 4, 24, 16
MECHANISMS = (
    attention,
    functools.partial(blockwise_attention, block=TILE),
    functools.partial(block_attention, block=BLOCK),
)
OFFERS = [  # in FLOPs, and in numbers of the largest tensor
    ((0.0, 0.0, 4.0 * WIDTH), (0.0, 0.0, 1.0)),
    ((0.0, 0.0, 4.0 * WIDTH), (0.0, float(TILE), 0.0)),
    ((0.0, 4.0 * WIDTH * BLOCK, 0.0), (0.0, float(WIDTH), 0.0)),
]


@functools.cache
def _counted(n):
    """FLOPs and largest tensor of each mechanism, as it runs."""
    q, k, v = (gaussian(n, WIDTH, seed=i) for i in range(3))
    return [(flops(f, q, k, v), largest_tensor(f, q, k, v)) for f in MECHANISMS]


def _at(cost, n):
    return cost[0] + cost[1] * n + cost[2] * n**2


def _fitting(n, memory, offers):
    return [i for i, (_, room) in enumerate(offers) if _at(room, n) <= memory]


def _time(n, offers):
    return lambda i: _at(offers[i][0], n)


def wrong_memory_ignored(n, memory, offers):
    """You chose the fastest of all, whether it fits or not. Leave out first what needs more room
    than there is.
    """
    return min(range(len(offers)), key=_time(n, offers), default=-1)


def wrong_the_smallest(n, memory, offers):
    """You chose the one with the least room. Room is a condition, and time is the wish: of those
    that fit take the fastest.
    """
    return min(_fitting(n, memory, offers), key=lambda i: _at(offers[i][1], n), default=-1)


def wrong_by_the_largest_power(n, memory, offers):
    """You compared the growth alone, as if every text were endless. Below the crossing the fixed
    time decides: put n into the whole polynomial.
    """
    return min(_fitting(n, memory, offers), key=lambda i: offers[i][0][::-1], default=-1)


def wrong_fixed_time_forgotten(n, memory, offers):
    """You left the fixed time out, and that is most of the time of a short text: add it."""
    fit = _fitting(n, memory, offers)
    return min(fit, key=lambda i: _at((0, *offers[i][0][1:]), n), default=-1)


def wrong_room_without_the_square(n, memory, offers):
    """You counted room for each token and none for the pairs, and a table of pairs is what does not
    fit. Use all three numbers of the room.
    """
    fit = [i for i, (_, room) in enumerate(offers) if _at((*room[:2], 0), n) <= memory]
    return min(fit, key=_time(n, offers), default=-1)


def wrong_strictly_less(n, memory, offers):
    """You ask for room to spare. What needs exactly as much as there is fits: *at most*, not less
    than.
    """
    fit = [i for i, (_, room) in enumerate(offers) if _at(room, n) < memory]
    return min(fit, key=_time(n, offers), default=-1)


def wrong_the_last_of_equals(n, memory, offers):
    """You let a later mechanism that is only as fast take the place of an earlier one. Take over
    what is faster, and keep the first of equals.
    """
    return min(_fitting(n, memory, offers)[::-1], key=_time(n, offers), default=-1)


def wrong_the_slowest(n, memory, offers):
    """You chose the slowest of those that fit: look for the least time, not the most."""
    return max(_fitting(n, memory, offers), key=_time(n, offers), default=-1)


def wrong_place_among_those_that_fit(n, memory, offers):
    """You counted places among those that fit, and the caller counts in the whole list: keep the
    place that each one had there.
    """
    fit = _fitting(n, memory, offers)
    return fit.index(min(fit, key=_time(n, offers))) if fit else -1


def wrong_raises_where_none_fits(n, memory, offers):
    """Where nothing fits you have nothing to choose from, and `min` of nothing raises an error. Ask
    for that case first, and return -1.
    """
    return min(_fitting(n, memory, offers), key=_time(n, offers))


def wrong_the_fastest_where_none_fits(n, memory, offers):
    """Where nothing fits you choose something all the same, and whoever runs it runs out of memory.
    Return -1, so that the caller can decide.
    """
    fit = _fitting(n, memory, offers) or range(len(offers))
    return min(fit, key=_time(n, offers), default=-1)


def right_by_sorting(n, memory, offers):
    """sorts by time, which keeps equals in their order, and takes the first that fits"""
    order = sorted(range(len(offers)), key=_time(n, offers))
    return next((i for i in order if _at(offers[i][1], n) <= memory), -1)


def right_by_filtering(n, memory, offers):
    """those that fit first, then the least time among them"""
    fit = _fitting(n, memory, offers)
    return min(fit, key=_time(n, offers)) if fit else -1
