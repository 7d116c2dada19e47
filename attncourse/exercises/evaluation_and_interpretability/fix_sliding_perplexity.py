r"""# Mend a perplexity that gets worse with more work

A model reads n tokens at once, and a text is longer. So it is read in windows that overlap: window
i begins at token i · stride. This function is to return the perplexity of the whole text,

$$\mathrm{perplexity} = \exp\!\left( -\frac{1}{T - 1} \sum_{t=1}^{T-1} \ln p(t) \right),$$

with places t counted from 0. Somebody made the stride smaller, to give each token more to go by,
and the perplexity *rose*. Find out what is counted, and mend it.

- `log_probabilities` is (s, n): row i belongs to window i, and entry j is ln p of its token j,
  given the tokens before it *in that window*. Before the first there are none: column 0 holds
  whatever it holds, NaN perhaps.
- Each token of the text but its first counts once, by the window in which it has the most tokens
  before it. For `stride = n`, where windows do not overlap, the first token of a window has none,
  and does not count.
- stride is a whole number from 1 to n. A text may be so unlikely that its probability is no float.
  The result is one number, in the dtype of
  `log_probabilities`.
"""

import math

import torch

from attncourse.measure.perplexity import sliding_perplexity as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Two windows of 4 tokens, stride 1: which tokens of the text does the second one hold? How "
    "many of them did the first one not?",
    "All of the first window counts but column 0. Of each later window only the last `stride` "
    "columns are new.",
)
forbidden = ("sliding_perplexity",)

SIZES = ((3, 7, 2), (5, 6, 3), (4, 5, 1), (2, 9, 4))  # windows, tokens, stride


def check_two_windows_by_hand(student):
    """two windows by hand"""
    half, quarter, eighth = (math.log(1 / 2**i) for i in (1, 2, 3))
    log_p = torch.tensor([[0.0, half, half, quarter], [0.0, eighth, eighth, quarter]]).double()
    expected = torch.tensor(2.0 ** (6 / 4)).double()
    assert_same(student(log_p, stride=1), expected, "the perplexity")


def check_equals_the_count(student):
    """equals the mean over the tokens of the text, for any window and stride"""
    for seed, (s, n, stride) in enumerate(SIZES):
        log_p = _drawn(s, n, seed=seed)
        assert_same(student(log_p, stride=stride), right_token_by_token(log_p, stride=stride))


def check_one_window_or_side_by_side(student):
    """of one window, or of windows that do not overlap, all counts but each first token"""
    for s, n, strides in ((1, 8, (1, 3, 8)), (4, 5, (5,))):
        log_p = _drawn(s, n, seed=10 + s)
        for stride in strides:
            assert_same(student(log_p, stride=stride), (-log_p[:, 1:].mean()).exp())


def check_short_contexts_do_not_count(student):
    """what a token had in a window where it stands further to the left does not move it"""
    log_p = _drawn(4, 6, seed=30)
    before, other = student(log_p, stride=2), log_p.clone()
    other[1:, :4] = -gaussian(3, 4, seed=31).abs()
    assert_same(student(other, stride=2), before, "the perplexity with other short contexts")


def check_column_zero_may_be_nan(student):
    """column 0 may be NaN"""
    log_p = _drawn(3, 6, seed=40)
    log_p[:, 0] = math.nan
    for stride in (2, 6):
        assert_same(student(log_p, stride=stride), right_token_by_token(log_p, stride=stride))


def check_has_the_right_gradient(student):
    """the gradient is right"""
    log_p = _drawn(3, 5, seed=50)
    for stride in (1, 3):
        expected = gradients(right_token_by_token, log_p, stride=stride)
        assert_same(gradients(student, log_p, stride=stride), expected, "the gradient")


def check_unlikely_text(student):
    """finite for a text whose probability is too small for a float"""
    log_p = 120 * _drawn(3, 7, seed=55)
    assert_same(student(log_p, stride=2), right_token_by_token(log_p, stride=2))


def check_keeps_the_dtype(student):
    """float32 gives a float32 number"""
    log_p = _drawn(3, 6, seed=60).float()
    assert_same(student(log_p, stride=2), right_token_by_token(log_p, stride=2))


def _drawn(s, n, *, seed):
    """Log-probabilities (s, n), all below 0."""
    return -gaussian(s, n, seed=seed).abs()


def _exp_mean(counted):
    return (-counted.mean()).exp()


def wrong_all_windows_counted(log_probabilities, *, stride):
    """You count a token in each window that holds it, most of them with hardly a token before it.
    Count it once: of each window but the first, the last `stride` tokens alone are new.
    """
    return (-log_probabilities[:, 1:].mean()).exp()


stub = wrong_all_windows_counted


def wrong_first_window_short(log_probabilities, *, stride):
    """You take the last `stride` tokens of the first window, too, and its beginning is lost. Of the
    first window all tokens count but the first.
    """
    n = log_probabilities.shape[-1]
    return _exp_mean(log_probabilities[:, max(1, n - stride) :])


def wrong_first_of_each_window(log_probabilities, *, stride):
    """You take the *first* `stride` tokens of each later window, which have the fewest tokens
    before them and were counted already. Take the last ones.
    """
    later = log_probabilities[1:, 1 : stride + 1]
    return _exp_mean(torch.cat([log_probabilities[0, 1:], later.flatten()]))


def wrong_first_token_counted(log_probabilities, *, stride):
    """You count column 0. Nothing stands before that token, and what the column holds is no
    prediction: begin at column 1.
    """
    n = log_probabilities.shape[-1]
    later = log_probabilities[1:, n - stride :]
    return _exp_mean(torch.cat([log_probabilities[0], later.flatten()]))


def wrong_side_by_side_counts_column_zero(log_probabilities, *, stride):
    """You count the first token of a window where windows do not overlap. Nothing stands before it
    there: no window counts its column 0.
    """
    n = log_probabilities.shape[-1]
    later = log_probabilities[1:, n - stride :]
    return _exp_mean(torch.cat([log_probabilities[0, 1:], later.flatten()]))


def wrong_mean_of_windows(log_probabilities, *, stride):
    """You take the mean of a mean for each window, so that the tokens of the first, of which more
    are new, count less. Put all tokens together, then take one mean.
    """
    n = log_probabilities.shape[-1]
    means = [log_probabilities[0, 1:].mean()]
    means += [row[max(1, n - stride) :].mean() for row in log_probabilities[1:]]
    return _exp_mean(torch.stack(means))


def wrong_mean_of_perplexities(log_probabilities, *, stride):
    """You take the mean of the windows' perplexities. One bad window outweighs the others then:
    take the mean of ln p first, and exp last.
    """
    n = log_probabilities.shape[-1]
    each = [_exp_mean(log_probabilities[0, 1:])]
    each += [_exp_mean(row[max(1, n - stride) :]) for row in log_probabilities[1:]]
    return torch.stack(each).mean()


def wrong_divided_by_all_tokens(log_probabilities, *, stride):
    """You divide by the number of all tokens, though the first is not guessed. Take the mean over
    those that are counted.
    """
    n = log_probabilities.shape[-1]
    later = log_probabilities[1:, max(1, n - stride) :]
    counted = torch.cat([log_probabilities[0, 1:], later.flatten()])
    return (-counted.sum() / (len(counted) + 1)).exp()


def wrong_loss_returned(log_probabilities, *, stride):
    """You return the mean of -ln p, the loss. The perplexity is exp of it."""
    return right_by_slices(log_probabilities, stride=stride).log()


def wrong_sign(log_probabilities, *, stride):
    """You forgot the minus: exp of the mean of ln p is 1 over the perplexity. Turn the sign."""
    return 1 / right_by_slices(log_probabilities, stride=stride)


def wrong_product_of_probabilities(log_probabilities, *, stride):
    """You multiply probabilities before you take the root, and the product of a few hundred is 0.
    Take the mean of ln p, then exp.
    """
    n = log_probabilities.shape[-1]
    later = log_probabilities[1:, max(1, n - stride) :]
    counted = torch.cat([log_probabilities[0, 1:], later.flatten()])
    return counted.exp().prod() ** (-1 / len(counted))


def right_by_slices(log_probabilities, *, stride):
    """the first window, then the new end of each later one"""
    n = log_probabilities.shape[-1]
    later = log_probabilities[1:, max(1, n - stride) :]
    counted = torch.cat([log_probabilities[0, 1:], later.flatten()])
    return torch.exp(-counted.mean())


def right_token_by_token(log_probabilities, *, stride):
    """for each token of the text the window in which it stands furthest to the right"""
    best = {}
    for i, row in enumerate(log_probabilities.unbind()):
        for j, log_p in enumerate(row.unbind()):
            if j > best.get(i * stride + j, (0, None))[0]:
                best[i * stride + j] = j, log_p
    return (-torch.stack([log_p for _, log_p in best.values()]).mean()).exp()


def right_by_a_mask(log_probabilities, *, stride):
    """a Boolean mask of what is counted"""
    s, n = log_probabilities.shape
    new = torch.arange(n) >= n - stride
    counted = new.repeat(s, 1)
    counted[0] = True
    counted[:, 0] = False
    return (-log_probabilities[counted].mean()).exp()


shown = right_by_slices
