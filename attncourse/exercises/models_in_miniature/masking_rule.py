r"""# What BERT is asked for

Hide some tokens of a text, so that a model can be asked for them. The random numbers are drawn
for you, one of each kind for every token.

- A token is **asked for** where `chance` < `rate`.
- A token that is asked for is shown as `mask_id` where `fate` < 0.8, as the token of `others` at
  its place where 0.8 <= `fate` < 0.9, and as it is where `fate` >= 0.9.
- A token that is not asked for is shown as it is, whatever its `fate`.
- `tokens` and `others` are integers (..., n), `chance` and `fate` (..., n) uniform in [0, 1). The
  result is the pair `(shown, asked)`: shown like tokens, asked Boolean. No argument is changed.
"""

import torch

from attncourse.models.pretraining import masking_rule as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Two questions for each token: is it asked for, and what is it shown as? The second is put "
    "only where the first was answered with yes.",
    "`torch.where(asked & (fate < 0.8), mask_id, tokens)` is the first replacement; the second has "
    "a condition of its own. `asked` stays True for all three fates.",
)
forbidden = ("masking_rule",)

SIZES = ((4, 7), (3, 11), (5,), (1, 2, 13))


def check_one_of_each_fate(student):
    """one text by hand: hidden, exchanged, kept, and not asked for"""
    tokens = torch.tensor([21, 22, 23, 24, 25, 26])
    chance = torch.tensor([0.1, 0.0, 0.14, 0.9, 0.5, 0.05], dtype=torch.float64)
    fate = torch.tensor([0.3, 0.85, 0.95, 0.1, 0.85, 0.0], dtype=torch.float64)
    others = torch.tensor([1, 2, 3, 4, 5, 6])
    asked = torch.tensor([True, True, True, False, False, True])
    expected = torch.tensor([99, 2, 23, 24, 25, 99]), asked
    _assert_pair(student(tokens, chance, fate, others, mask_id=99), expected)


def check_equals_the_rule(student):
    """equals the rule, token by token, for texts of any sizes"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        for rate in (0.5, 0.9):
            expected = right_token_by_token(*args, mask_id=50, rate=rate)
            _assert_pair(student(*args, mask_id=50, rate=rate), expected)


def check_limits_belong_above(student):
    """a number equal to a limit belongs above it"""
    tokens, others = torch.tensor([31, 32, 33, 34]), torch.tensor([1, 2, 3, 4])
    chance = torch.tensor([0.0, 0.0, 0.0, 0.25], dtype=torch.float64)
    fate = torch.tensor([0.8, 0.9, 0.0, 0.0], dtype=torch.float64)
    expected = torch.tensor([1, 32, 77, 34]), torch.tensor([True, True, True, False])
    _assert_pair(student(tokens, chance, fate, others, mask_id=77, rate=0.25), expected)


def check_asks_for_none_or_all(student):
    """a rate of 0 asks for none, a rate of 1 for all"""
    args = _drawn(3, 8, seed=60)
    for rate in (0.0, 1.0):
        _assert_pair(
            student(*args, mask_id=5, rate=rate), right_token_by_token(*args, mask_id=5, rate=rate)
        )


def check_rate_is_fifteen_percent(student):
    """asks for 15 of a hundred where no rate is given"""
    args = _drawn(6, 50, seed=70)
    _, asked = _pair(student(*args, mask_id=3))
    assert_same(asked, args[1] < 0.15, "what is asked for")


def check_takes_float32_numbers(student):
    """float32 random numbers do as well, and what is shown stays of whole numbers"""
    tokens, chance, fate, others = _drawn(4, 9, seed=80)
    args = tokens, chance.float(), fate.float(), others
    expected = right_token_by_token(*args, mask_id=0, rate=0.7)
    _assert_pair(student(*args, mask_id=0, rate=0.7), expected)
    for found in gradients(student, *args, mask_id=0, rate=0.7):  # whole numbers carry none
        assert_same(found, torch.zeros_like(found), "the gradient")


def _drawn(*sizes, seed):
    """Tokens, chance, fate and others; the tokens are 20 to 39, the others 1 to 19."""
    chance, fate, first, second = (
        torch.special.ndtr(gaussian(*sizes, std=1.0, seed=seed + i)).clamp(max=0.999999)
        for i in range(4)
    )
    return 20 + (first * 20).long(), chance, fate, 1 + (second * 19).long()


def _pair(actual):
    whole = isinstance(actual, tuple) and len(actual) == 2
    assert_that(whole, "the result must be a pair: shown and asked.")
    return actual


def _assert_pair(actual, expected):
    for name, a, b in zip(("what is shown", "what is asked for"), _pair(actual), expected):  # noqa: B905
        assert_same(a, b, name)


def wrong_all_hidden(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You hide every token that is asked for. Then a model learns nothing about tokens it can see:
    exchange one in ten and keep one in ten.
    """
    asked = chance < rate
    return tokens.masked_fill(asked, mask_id), asked


def wrong_kept_are_not_asked(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You do not ask for the tokens that you kept. They look like all others, and the model is
    asked for them all the same: leave `asked` as it is.
    """
    asked = chance < rate
    shown = tokens.masked_fill(asked & (fate < 0.8), mask_id)
    return torch.where(asked & (fate >= 0.8) & (fate < 0.9), others, shown), asked & (fate < 0.9)


def wrong_only_hidden_asked(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You ask for the hidden tokens alone. The exchanged and the kept ones are asked for as well:
    return where `chance` < `rate`, whatever the fate.
    """
    asked = chance < rate
    hidden = asked & (fate < 0.8)
    shown = tokens.masked_fill(hidden, mask_id)
    return torch.where(asked & (fate >= 0.8) & (fate < 0.9), others, shown), hidden


def wrong_everybody_has_a_fate(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You hide and exchange tokens that nobody is asked for, so that most of the text is gone. Both
    replacements need `asked` beside the fate.
    """
    shown = tokens.masked_fill(fate < 0.8, mask_id)
    return torch.where((fate >= 0.8) & (fate < 0.9), others, shown), chance < rate


def wrong_tenths_exchanged_for_all(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You exchange tokens that are not asked for: `asked` is missing from the second condition.
    The text that is not asked for stays as it is.
    """
    asked = chance < rate
    shown = tokens.masked_fill(asked & (fate < 0.8), mask_id)
    return torch.where((fate >= 0.8) & (fate < 0.9), others, shown), asked


def wrong_rest_is_exchanged(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You exchange all that you do not hide, two in ten. From 0.9 on a token stays as it is: the
    second condition has an upper end.
    """
    asked = chance < rate
    shown = tokens.masked_fill(asked & (fate < 0.8), mask_id)
    return torch.where(asked & (fate >= 0.8), others, shown), asked


def wrong_tenths_swapped(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You keep from 0.8 to 0.9 and exchange above. It is the other way round: exchange first, keep
    from 0.9 on.
    """
    asked = chance < rate
    shown = tokens.masked_fill(asked & (fate < 0.8), mask_id)
    return torch.where(asked & (fate >= 0.9), others, shown), asked


def wrong_limits_below(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You count a number that equals a limit below it. With `<` throughout, a fate of 0.8 exchanges
    and a chance of `rate` is not asked for.
    """
    asked = chance <= rate
    shown = tokens.masked_fill(asked & (fate <= 0.8), mask_id)
    return torch.where(asked & (fate > 0.8) & (fate <= 0.9), others, shown), asked


def wrong_asked_turned_round(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You return which tokens are *not* asked for. True stands where the model is asked: turn it
    round.
    """
    shown, asked = right_by_where(tokens, chance, fate, others, mask_id=mask_id, rate=rate)
    return shown, ~asked


def wrong_asked_first(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """You return what is asked first. The pair is (shown, asked): exchange the two."""
    return right_by_where(tokens, chance, fate, others, mask_id=mask_id, rate=rate)[::-1]


def right_by_where(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """three cases, one inside the other"""
    asked = chance < rate
    unhidden = torch.where(fate < 0.9, others, tokens)
    return torch.where(asked, torch.where(fate < 0.8, mask_id, unhidden), tokens), asked


def right_token_by_token(tokens, chance, fate, others, *, mask_id, rate=0.15):
    """a loop over the tokens"""
    shown, asked = tokens.clone().flatten(), (chance < rate)
    places = zip(asked.flatten(), fate.flatten(), others.flatten(), strict=True)
    for place, (wanted, luck, other) in enumerate(places):
        if wanted and luck < 0.9:
            shown[place] = mask_id if luck < 0.8 else other
    return shown.reshape(tokens.shape), asked
