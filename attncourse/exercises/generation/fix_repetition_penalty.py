r"""# Mend a penalty that rewards

What was said is to become less likely to be said again. So the logits of the tokens so far are
changed by a penalty above 1, each once, and all others stay:

$$a'_i = \begin{cases} a_i / \theta & a_i > 0 \\ a_i \, \theta & a_i \le 0 \end{cases}
\qquad \text{for each token } i \text{ that was said.}$$

This function does well with one model. With another the word *dog* is followed by *dog*, and the
more surely the higher the penalty. Find out which logits the other model has, and mend it.

- `logits` is (..., V), `tokens` (..., t) are those so far, each row with its own.
  The result is (..., V) in the dtype of the logits; no argument is changed.
- A token that was said three times is lowered as one that was said once.
- ValueError unless `penalty`, theta, is positive. 1 changes nothing.
"""

import torch

from attncourse.measure.small_models import refusal
from attncourse.models.choosing import repetition_penalty as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Divide -3 by 2. Is the result larger or smaller than -3?",
    "A softmax only looks at what is larger. A positive logit becomes smaller by dividing, a "
    "negative one by multiplying: two cases, chosen with `torch.where`.",
)
forbidden = ("repetition_penalty",)

SIZES = ((4, 11, 3), (3, 7, 5))  # rows, V, t


def check_four_logits_by_hand(student):
    """four logits by hand, of which three were said"""
    logits = torch.tensor([3.0, -1.0, 2.0, -4.0], dtype=torch.float64)
    expected = torch.tensor([1.5, -2.0, 2.0, -8.0], dtype=torch.float64)
    assert_same(student(logits, torch.tensor([1, 0, 3]), penalty=2.0), expected)


def check_equals_the_rule(student):
    """equals the rule, token by token, for rows of any width"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        for penalty in (1.3, 2.5):
            expected = right_token_by_token(*args, penalty=penalty)
            assert_same(student(*args, penalty=penalty), expected)


def check_once_however_often(student):
    """a token that was said three times is lowered once"""
    logits = gaussian(2, 6, seed=30)
    often, once = torch.tensor([[1, 1, 1, 4], [0, 5, 5, 0]]), torch.tensor([[1, 4], [5, 0]])
    expected = right_token_by_token(logits, once, penalty=1.7)
    assert_same(student(logits, often, penalty=1.7), expected)


def check_negative_ones_fall_too(student):
    """of a model whose logits are all negative, what was said becomes less likely"""
    logits, tokens = _drawn(3, 9, 2, seed=40)
    low = logits - 40
    expected = right_token_by_token(low, tokens, penalty=1.2)
    assert_same(student(low, tokens, penalty=1.2), expected)


def check_one_changes_nothing(student):
    """a penalty of 1 changes nothing, one below 1 rewards"""
    args = _drawn(2, 8, 3, seed=50)
    assert_same(student(*args, penalty=1.0), args[0])
    assert_same(student(*args, penalty=0.5), right_token_by_token(*args, penalty=0.5))


def check_takes_leading_axes(student):
    """one row, any axes in front, those of length one"""
    for lead in ((), (1,), (2, 1), (2, 3)):
        args = _drawn(*lead, 7, 4, seed=60)
        assert_same(student(*args, penalty=1.4), right_token_by_token(*args, penalty=1.4))


def check_gradient_and_dtype(student):
    """the gradient is right, and float32 stays float32"""
    logits, tokens = _drawn(3, 8, 4, seed=70)
    expected = gradients(right_token_by_token, logits, tokens, penalty=1.5)
    assert_same(gradients(student, logits, tokens, penalty=1.5), expected, "the gradient")
    short = logits.float()
    assert_same(
        student(short, tokens, penalty=1.5), right_token_by_token(short, tokens, penalty=1.5)
    )


def check_refuses_what_is_not_positive(student):
    """a penalty that is not positive is refused with ValueError, a small one is not"""
    args = _drawn(2, 5, 2, seed=80)
    for penalty in (0.0, -1.2):
        kind = refusal(student, *args, penalty=penalty)
        said = f"penalty={penalty} must raise ValueError: got {kind or 'no error'}."
        assert_that(kind == "ValueError", said)
    assert_same(student(*args, penalty=0.1), right_token_by_token(*args, penalty=0.1))


def _drawn(*sizes, seed):
    """Logits (..., V) and tokens (..., t) out of the first V - 1, so that one was never said."""
    *lead, width, t = sizes
    share = torch.special.ndtr(gaussian(*lead, t, std=1.0, seed=seed + 1))
    return gaussian(*lead, width, seed=seed), (share * (width - 1)).long()


def _checked(penalty):
    if penalty <= 0:
        raise ValueError(f"penalty must be positive: got {penalty}")


def _said(logits, tokens):
    """Which tokens of each row were said."""
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, True)


def wrong_divided_whatever_the_sign(logits, tokens, *, penalty):
    """You divide negative logits as well, which brings them up: what was said becomes likelier.
    Multiply those by the penalty.
    """
    if penalty <= 0:
        raise ValueError("a penalty is a positive number")
    said = torch.zeros_like(logits, dtype=torch.bool)
    said = said.scatter(-1, tokens, True)
    return torch.where(said, logits / penalty, logits)


stub = wrong_divided_whatever_the_sign


def wrong_multiplied_whatever_the_sign(logits, tokens, *, penalty):
    """You multiply positive logits as well, which brings them up. Divide those by the penalty."""
    _checked(penalty)
    return torch.where(_said(logits, tokens), logits * penalty, logits)


def wrong_negative_ones_left(logits, tokens, *, penalty):
    """You leave negative logits as they are, so that of a model with such logits nothing is
    lowered. Multiply them by the penalty.
    """
    _checked(penalty)
    return torch.where(_said(logits, tokens) & (logits > 0), logits / penalty, logits)


def wrong_way_round(logits, tokens, *, penalty):
    """You multiply the positive logits and divide the negative ones, so that both rise. It is the
    other way round: divide what is above zero.
    """
    _checked(penalty)
    raised = torch.where(logits > 0, logits * penalty, logits / penalty)
    return torch.where(_said(logits, tokens), raised, logits)


def wrong_subtracted(logits, tokens, *, penalty):
    """You subtract the penalty. That is another rule, called a presence penalty: divide positive
    logits and multiply negative ones.
    """
    _checked(penalty)
    return torch.where(_said(logits, tokens), logits - penalty, logits)


def wrong_again_for_each_time(logits, tokens, *, penalty):
    """You lower a token as often as it was said, so that *the* soon cannot come again. Once is
    enough: ask whether it was said, and not how often.
    """
    _checked(penalty)
    one = torch.ones_like(tokens, dtype=logits.dtype)
    power = penalty ** torch.zeros_like(logits).scatter_add(-1, tokens, one)
    return torch.where(logits > 0, logits / power, logits * power)


def wrong_all_lowered(logits, tokens, *, penalty):
    """You lower every token of the vocabulary, whether it was said or not. Leave those alone that
    were not said.
    """
    _checked(penalty)
    return torch.where(logits > 0, logits / penalty, logits * penalty)


def wrong_the_others_lowered(logits, tokens, *, penalty):
    """You lower the tokens that were *not* said, and a text can only repeat itself. Turn the
    condition round.
    """
    _checked(penalty)
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(_said(logits, tokens), logits, lowered)


def wrong_last_token_only(logits, tokens, *, penalty):
    """You lower the last token alone, so that *very very* cannot come and *very big very big* can.
    Lower all tokens so far.
    """
    return solution(logits, tokens[..., -1:], penalty=penalty)


def wrong_last_one_missed(logits, tokens, *, penalty):
    """You leave out the token that was said last. It is one of those so far: take them all."""
    _checked(penalty)
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(_said(logits, tokens[..., :-1]), lowered, logits)


def wrong_on_probabilities(logits, tokens, *, penalty):
    """You lower the probabilities and return their logarithms. The rule is about logits: take them
    as they come.
    """
    return solution(logits.log_softmax(dim=-1), tokens, penalty=penalty)


def right_by_scatter(logits, tokens, *, penalty):
    """what was said as a mask, and two cases by the sign"""
    if not penalty > 0:
        raise ValueError(f"penalty must be positive: got {penalty}")
    said = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, True)
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(said, lowered, logits)


def right_token_by_token(logits, tokens, *, penalty):
    """a loop over the rows and the tokens in them"""
    _checked(penalty)
    width, found = logits.shape[-1], []
    rows = logits.reshape(-1, width), tokens.reshape(-1, tokens.shape[-1]).tolist()
    for row, said in zip(*rows, strict=True):
        factors = torch.ones_like(row)
        for i in set(said):
            factors[i] = 1 / penalty if row[i] > 0 else penalty
        found.append(row * factors)
    return torch.stack(found).reshape(logits.shape)


shown = right_by_scatter
