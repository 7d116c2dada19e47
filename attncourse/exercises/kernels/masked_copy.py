r"""# A copy, a program for every block

A kernel copies the first `n` numbers of a row, each program `block` of them, so that the last
program may reach past n. This one copies whole blocks. Mend it:

$$\mathrm{target}_i = \begin{cases} x_i & i < n \\ -1 & \text{otherwise.} \end{cases}$$

- `x` is (b,), n at most b; the result has its shape and dtype. `block` is a power of two, as
  `tl.arange` wants it.
- What lies past n is not read: it may be NaN. It is not overwritten either: -1 stays there.
- `tl.load` and `tl.store` take `mask=`, a Boolean for each number of the block.
- No gradient is asked for: a kernel has none of its own.

A program that reads or writes outside of its tensors can end Python, interpreted too. Where Triton
is missing (it is published for Linux), the checks are skipped: neither right nor wrong.
"""

import torch

from attncourse.core.interpreted import tl, triton
from attncourse.kernels.first import masked_copy as solution
from attncourse.testing import assert_same, gaussian, needs_triton

difficulty, minutes = 2, 15
hints = (
    "Write down the places of the last program with n = 11 and block = 4. Which of its four "
    "numbers are not its business? What does that say as a comparison of `places` with n?",
    "The comparison gives a Boolean for each number of the block. Both the reading and the writing "
    "have to know it: a number that was not read must not be written.",
)
forbidden = ("masked_copy",)

SIZES = ((11, 4, 20), (37, 8, 56), (16, 16, 32), (3, 32, 64), (1, 1, 1))  # n, block, b


def check_copies_the_first(student):
    """the first n numbers arrive, whatever the block"""
    needs_triton()
    for n, block, b in SIZES:
        x = gaussian(b, seed=10)
        assert_same(student(x, n, block=block)[:n], x[:n])


def check_leaves_the_rest(student):
    """past n nothing is written: -1 stays there"""
    needs_triton()
    for n, block, b in SIZES:
        assert_same(
            student(gaussian(b, seed=20), n, block=block)[n:], torch.full((b - n,), -1.0).double()
        )


def check_does_not_read_past_n(student):
    """what lies past n may be NaN"""
    needs_triton()
    for n, block, b in SIZES:
        x = gaussian(b, seed=30)
        x[n:] = torch.nan
        assert_same(student(x, n, block=block), _expected(x, n))


def check_keeps_the_dtype(student):
    """float32 numbers stay float32"""
    needs_triton()
    x = gaussian(24, seed=40).float()
    for n, block in ((1, 2), (8, 8), (13, 4)):
        assert_same(student(x, n, block=block), _expected(x, n))


def _expected(x, n):
    target = torch.full_like(x, -1.0)
    target[:n] = x[:n]
    return target


def wrong_whole_blocks(x, n, *, block):
    """Your last program copies a whole block, past n. Compare its places with n, and give the
    result to both `tl.load` and `tl.store` as `mask=`.
    """

    @triton.jit
    def program(source, target, BLOCK: tl.constexpr):
        places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        numbers = tl.load(source + places)
        tl.store(target + places, numbers)

    target = torch.full_like(x, -1.0)
    program[(triton.cdiv(n, block),)](x, target, BLOCK=block)
    return target


stub = wrong_whole_blocks


def wrong_only_the_load_is_masked(x, n, *, block):
    """You mask what you read, and write the whole block all the same, so that something stands past
    n. Give the mask to `tl.store`, too.
    """
    target = torch.full_like(x, -1.0)
    target[: -(-n // block) * block] = 0.0
    target[:n] = x[:n]
    return target


def wrong_one_too_many(x, n, *, block):
    """You copy one number more than n. Places are counted from 0: the last one is n - 1, so the
    mask is `places < n`.
    """
    last = min(n + 1, -(-n // block) * block)
    return _expected(x, last)


def wrong_mask_within_the_block(x, n, *, block):
    """You compare with n the place within the block, which each program counts from 0. Compare the
    place in the row: add where the program begins.
    """
    target = torch.full_like(x, -1.0)
    for start in range(0, n, block):
        target[start : start + min(n, block)] = x[start : start + min(n, block)]
    return target


def wrong_last_block_left_out(x, n, *, block):
    """You start n // block programs, and numbers at the end have none. Round up:
    `triton.cdiv(n, block)`.
    """
    return _expected(x, n // block * block)


def wrong_every_program_the_first_block(x, n, *, block):
    """All of your programs copy the first block. Each learns from `tl.program_id(0)` which one it
    is: its places begin at that number times the block.
    """
    return _expected(x, min(n, block))


def wrong_neighbours_overlap(x, n, *, block):
    """Your program number p begins at place p, so that neighbours copy nearly the same. It begins
    at p times the block.
    """
    return _expected(x, min(n, -(-n // block) - 1 + block))


def wrong_zeros_elsewhere(x, n, *, block):
    """Where nothing was copied you have 0. The target starts as -1 everywhere, and the mask leaves
    that alone.
    """
    target = torch.zeros_like(x)
    target[:n] = x[:n]
    return target


def right_with_one_mask(x, n, *, block):
    """one comparison, for reading and for writing"""

    @triton.jit
    def program(source, target, n, BLOCK: tl.constexpr):
        places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = places < n
        numbers = tl.load(source + places, mask=inside)
        tl.store(target + places, numbers, mask=inside)

    target = torch.full_like(x, -1.0)
    program[(triton.cdiv(n, block),)](x, target, n, BLOCK=block)
    return target


def right_by_one_program_in_a_loop(x, n, *, block):
    """one program that goes over all blocks"""

    @triton.jit
    def program(source, target, n, BLOCK: tl.constexpr):
        for start in range(0, n, BLOCK):
            places = start + tl.arange(0, BLOCK)
            numbers = tl.load(source + places, mask=places < n, other=0.0)
            tl.store(target + places, numbers, mask=places < n)

    target = torch.full_like(x, -1.0)
    program[(1,)](x, target, n, BLOCK=block)
    return target


def right_by_the_last_place(x, n, *, block):
    """no mask: what would lie past n copies the last number once more"""

    @triton.jit
    def program(source, target, n, BLOCK: tl.constexpr):
        places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        places = tl.minimum(places, n - 1)
        tl.store(target + places, tl.load(source + places))

    target = torch.full_like(x, -1.0)
    program[(triton.cdiv(n, block),)](x, target, n, BLOCK=block)
    return target


shown = right_with_one_mask
