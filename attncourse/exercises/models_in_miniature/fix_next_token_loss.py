r"""# Mend a loss that falls too well

This function is to compute what a causal language model is trained by: the mean surprise of each
token, given those before it,

$$\mathrm{loss} = -\frac{1}{n - 1} \sum_{i=1}^{n-1} \ln p_i(t_i), \qquad
p_i = \mathrm{softmax}(\mathrm{logits}_{i-1}),$$

with places counted from 0. A model that was trained by it reaches a loss near 0 within a hundred
steps, on any text, and writes the same word for ever. Find out what it was asked for, and mend it.

- `logits` is (..., n, v), a score for each of v tokens, at each place; `tokens` (..., n) are what
  the model was given. Row i of the logits has seen the tokens 0 to i.
- The result is one number, the mean over all texts and places, in the dtype of the logits.
- Logits of some thousands give a finite loss and finite gradients.
"""

import torch

from attncourse.models.pretraining import next_token_loss as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Which token has row 0 of the logits seen already? For which one should it be asked?",
    "Of n tokens n - 1 have a token before them. Leave out one row of the logits, and one token, "
    "at opposite ends.",
)
forbidden = ("next_token_loss",)

SIZES = ((5, 11), (8, 6))  # n, v


def check_three_tokens_by_hand(student):
    """three tokens by hand"""
    logits = torch.tensor([[0.0, 0, 3], [3, 0, 0], [0, 3, 0]]).double()  # sure of 2, then of 0
    right = 3 - torch.tensor([0.0, 0, 3]).double().logsumexp(0)
    assert_same(student(logits, torch.tensor([1, 2, 0])), -right, "the loss of right guesses")
    wrong = -torch.tensor([0.0, 0, 3]).double().logsumexp(0)
    assert_same(student(logits, torch.tensor([2, 0, 1])), -wrong, "the loss of wrong guesses")


def check_equals_the_sum(student):
    """equals the sum over the places, for any length and vocabulary"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        assert_same(student(*args), right_place_by_place(*args))


def check_mean_over_all_texts(student):
    """the mean over all texts and places, for any leading axes"""
    for lead in ((1,), (3,), (2, 1, 4)):
        args = _drawn(*lead, 5, 7, seed=40)
        assert_same(student(*args), right_place_by_place(*args))


def check_first_and_last_do_not_count(student):
    """neither the first token nor the last row of logits moves it"""
    logits, tokens = _drawn(2, 6, 9, seed=50)
    before = student(logits, tokens)
    other, first = logits.clone(), tokens.clone()
    other[..., -1, :] = gaussian(2, 9, seed=53)
    first[..., 0] = (tokens[..., 0] + 4) % 9
    assert_same(student(other, tokens), before, "the loss with another last row")
    assert_same(student(logits, first), before, "the loss with another first token")


def check_large_logits(student):
    """logits of some thousands give a finite loss and gradient"""
    logits, tokens = _drawn(4, 8, seed=60)
    args = 1500 * logits, tokens
    assert_same(student(*args), right_place_by_place(*args))
    found = gradients(student, *args)
    assert_that(all(x.isfinite().all() for x in found), "a gradient is not finite.")


def check_has_the_right_gradient(student):
    """the gradient of the logits is right"""
    for sizes in SIZES:
        logits, tokens = _drawn(2, *sizes, seed=70)
        expected = gradients(right_place_by_place, logits, tokens)
        assert_same(gradients(student, logits, tokens), expected, "the gradient")


def check_keeps_the_dtype(student):
    """float32 logits give a float32 number"""
    logits, tokens = _drawn(5, 7, seed=80)
    found = student(logits.float(), tokens)
    assert_same(found, right_place_by_place(logits.float(), tokens))


def _drawn(*sizes, seed):
    """Logits (..., n, v), and tokens (..., n) none of which is the one after or before it."""
    *lead, n, v = sizes
    tokens = (torch.special.ndtr(gaussian(*lead, n, std=1.0, seed=seed + 1)) * v).long() % v
    return gaussian(*lead, n, v, seed=seed), tokens


def _picked(logits, tokens):
    """ln p of each token by the row of logits that stands beside it."""
    return torch.log_softmax(logits, dim=-1).gather(-1, tokens[..., None])[..., 0]


def wrong_asked_for_itself(logits, tokens):
    """You compare each row of the logits with the token that the row has seen already, and copying
    is all there is to learn. Row i is asked for token i + 1.
    """
    log_p = torch.log_softmax(logits, dim=-1)
    return -log_p.gather(-1, tokens[..., None]).mean()


stub = wrong_asked_for_itself


def wrong_shifted_backwards(logits, tokens):
    """You compare each row with the token before it. The row comes first and the token that it is
    asked for stands one place later: leave out the last row and the first token.
    """
    return -_picked(logits[..., 1:, :], tokens[..., :-1]).mean()


def wrong_rolled_round(logits, tokens):
    """You rolled the tokens by one, so that the last row is asked for the first token of the text.
    The last row has nothing to be asked for: leave it out.
    """
    return -_picked(logits, tokens.roll(-1, dims=-1)).mean()


def wrong_shifted_across_texts(logits, tokens):
    """You laid all texts end to end before you shifted, so that the last row of a text is asked for
    the first token of the next. Shift within each text, then flatten.
    """
    log_p = torch.log_softmax(logits, dim=-1).flatten(0, -2)
    return -log_p[:-1].gather(-1, tokens.flatten()[1:, None]).mean()


def wrong_two_softmaxes(logits, tokens):
    """You take a softmax and give the probabilities to a function that takes logits, such as
    `cross_entropy`. It has a softmax of its own: give it the logits.
    """
    twice = torch.softmax(logits[..., :-1, :], dim=-1)
    return -_picked(twice, tokens[..., 1:]).mean()


def wrong_two_places_on(logits, tokens):
    """You ask for the token after the next. Shift once: either the logits end one earlier or the
    tokens begin one later, by one place in all.
    """
    return -_picked(logits[..., :-2, :], tokens[..., 2:]).mean()


def wrong_last_place_left_out(logits, tokens):
    """You leave out a token too many at the end. The last token is guessed as well, by the last row
    but one.
    """
    return -_picked(logits[..., :-2, :], tokens[..., 1:-1]).mean()


def wrong_sum_for_the_mean(logits, tokens):
    """You add the places up, so that a long text costs more than a short one. Take the mean over
    all places that are guessed.
    """
    return -_picked(logits[..., :-1, :], tokens[..., 1:]).sum()


def wrong_divided_by_n(logits, tokens):
    """You divide by n, but only n - 1 tokens of a text are guessed. Take the mean over those that
    are.
    """
    return -_picked(logits[..., :-1, :], tokens[..., 1:]).sum() / tokens.numel()


def wrong_sign(logits, tokens):
    """You return the mean of ln p, which training would make smaller, and the text less likely. A
    loss is minus that.
    """
    return _picked(logits[..., :-1, :], tokens[..., 1:]).mean()


def wrong_perplexity(logits, tokens):
    """You return exp of the loss, the perplexity. Training takes the loss itself: leave out the
    exp.
    """
    return (-_picked(logits[..., :-1, :], tokens[..., 1:]).mean()).exp()


def wrong_one_number_a_text(logits, tokens):
    """You return a loss for each text. The result is one number: take the mean over all axes."""
    return -_picked(logits[..., :-1, :], tokens[..., 1:]).mean(dim=-1)


def wrong_log_of_the_softmax(logits, tokens):
    """You take the logarithm of a softmax, and where logits lie far apart that is ln 0. Use
    `log_softmax`, or subtract `logsumexp`.
    """
    p = torch.softmax(logits[..., :-1, :], dim=-1)
    return -p.gather(-1, tokens[..., 1:, None]).log().mean()


def right_by_gather(logits, tokens):
    """the surprise picked out by the token's number"""
    log_p = torch.log_softmax(logits[..., :-1, :], dim=-1)
    return -log_p.gather(-1, tokens[..., 1:, None]).mean()


def right_place_by_place(logits, tokens):
    """a loop over the places"""
    found = []
    for i in range(1, tokens.shape[-1]):
        row, token = logits[..., i - 1, :], tokens[..., i, None]
        found.append(row.logsumexp(dim=-1) - row.gather(-1, token)[..., 0])
    return torch.stack(found).mean()


shown = right_by_gather
