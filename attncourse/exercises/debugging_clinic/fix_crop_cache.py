r"""# Mend the way back

Some of what is in a cache has to go: guessed words that were not accepted, or a conversation that
is over. This function takes tokens off the end. In two cases it keeps what it should have removed,
and the next answer has read it. Find the two, and mend them:

$$\mathrm{left} = \begin{cases} \min(\mathrm{length},\; t) & \mathrm{length} \ge 0 \\
\max(t - |\mathrm{length}|,\; 0) & \mathrm{length} < 0 \end{cases}$$

- `cache` is a pair (keys, values) of t tokens, (..., t, d) and (..., t, e); t may be 0.
- `length` is the number of tokens to be left, counted from the first; a negative one says how many
  are taken off the end. 0 leaves none. More than there are is no error.
- The result is the pair of what is left; the given cache is not changed.
"""

from torch import Tensor

from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "A cache of three tokens: print how many are left for the lengths 2, 1, 0, -1, -3, -5. Which "
    "two are surprising?",
    "A slice that ends at a negative number counts from the end, by itself. Does the function have "
    "to count, too? And is 0 a length, or a number of tokens to take off?",
)


def cropped(cache: tuple[Tensor, Tensor], length: int) -> tuple[Tensor, Tensor]:
    """The first `length` tokens of a cache, or all but the last `-length` of them.

    >>> cache = torch.arange(3.0)[:, None], torch.arange(3.0)[:, None]
    >>> [len(cropped(cache, length)[0]) for length in (2, 0, -1)]
    [2, 0, 2]
    """
    keys, values = (x[..., :length, :] for x in cache)
    return keys, values


solution = cropped


def check_keeps_the_first_tokens(student):
    """a positive length leaves so many, from the first"""
    for t in (3, 7):
        cache = _cache(t, seed=10)
        for length in range(1, t + 1):
            assert_same(student(cache, length), cropped(cache, length))


def check_zero_leaves_nothing(student):
    """a length of 0 leaves an empty cache"""
    for t in (3, 7):
        cache = _cache(t, seed=20)
        assert_same(student(cache, 0), cropped(cache, 0))


def check_takes_tokens_off_the_end(student):
    """a negative length takes so many off the end, all of them too"""
    for t in (3, 7):
        cache = _cache(t, seed=30)
        for length in range(-t, 0):
            assert_same(student(cache, length), cropped(cache, length))


def check_takes_off_no_more_than_there_are(student):
    """to take off more than there are leaves nothing; to keep more leaves all"""
    for t in (0, 3, 7):
        cache = _cache(t, seed=40)
        for length in (-t - 1, -t - 2, -2 * t - 1, t + 1, t + 5):
            assert_same(student(cache, length), cropped(cache, length))


def check_takes_leading_axes(student):
    """works for batch and head axes, and in float32; gradients go back to what was left"""
    for lead in ((2, 3), (1,)):
        cache = _cache(5, *lead, seed=50)
        for length in (2, -2):
            assert_same(student(cache, length), cropped(cache, length))
            single = tuple(x.float() for x in cache)
            assert_same(student(single, length), cropped(single, length))
    cache = _cache(5, seed=60)
    expected = gradients(cropped, cache, 2)
    assert_same(gradients(student, cache, 2), expected, "the gradient")


def wrong_zero_and_below_counted_from_the_end(cache, length):
    """You take 0 for *none to take off*, and keep all; and where more is to be taken off than there
    is, your slice counts from the end once more. 0 is a length, and no length lies below 0.
    """
    held = cache[0].shape[-2]
    left = length if length > 0 else held + length
    keys, values = (x[..., :left, :] for x in cache)
    return keys, values


stub = wrong_zero_and_below_counted_from_the_end


def wrong_zero_keeps_all(cache, length):
    """You mended what is below the beginning, and still take 0 for *none to take off*. A length of
    0 leaves nothing: only negative numbers count from the end.
    """
    held = cache[0].shape[-2]
    left = max(length if length > 0 else held + length, 0)
    return tuple(x[..., :left, :] for x in cache)


def wrong_below_the_beginning(cache, length):
    """You mended the 0. Where more is to be taken off than there is, your slice ends at a negative
    number, which counts from the end again: keep it at 0 or above.
    """
    held = cache[0].shape[-2]
    left = length if length >= 0 else held + length
    return tuple(x[..., :left, :] for x in cache)


def wrong_last_tokens_kept(cache, length):
    """You keep the last tokens. What is taken off is the end: begin at the first."""
    held = cache[0].shape[-2]
    left = min(length, held) if length >= 0 else max(held + length, 0)
    return tuple(x[..., held - left :, :] for x in cache)


def wrong_keys_alone(cache, length):
    """You cut the keys and leave the values: the next product has more values than weights. Cut
    both to the same tokens.
    """
    return cropped(cache, length)[0], cache[1]


def wrong_sign_ignored(cache, length):
    """You keep as many as should be taken off. A negative length counts what goes, not what
    stays: subtract it from what there is.
    """
    return cropped(cache, abs(length))


def right_by_counting_what_is_left(cache, length):
    """the number of tokens that are left, from 0 on"""
    held = cache[0].shape[-2]
    left = length if length >= 0 else max(held + length, 0)
    return tuple(x[..., :left, :] for x in cache)


def right_by_narrow(cache, length):
    """a view of the first tokens by `narrow`"""
    held = cache[0].shape[-2]
    left = min(length, held) if length >= 0 else held - min(-length, held)
    return tuple(x.narrow(-2, 0, left) for x in cache)


def right_token_by_token(cache, length):
    """the places of the tokens that are left, in a list"""
    held = cache[0].shape[-2]
    left = [i for i in range(held) if (i < length if length >= 0 else i < held + length)]
    return tuple(x[..., left, :] for x in cache)


def _cache(t, *lead, seed):
    return gaussian(*lead, t, 8, seed=seed), gaussian(*lead, t, 6, seed=seed + 1)
