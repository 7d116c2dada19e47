r"""# Typical tokens

Keep the tokens that are about as surprising as the model itself expects, neither far likelier nor
far less likely. With p = softmax(logits) the surprise of token i and its mean, the entropy, are

$$s_i = -\ln p_i, \qquad H = \sum_i p_i \, s_i .$$

- The order is that of the distance from H: the smallest |s - H| first.
- In that order the fewest tokens are kept whose probabilities together reach `mass`, at least one.
  The token that brings the sum there is among them.
- `logits` is (..., V), every row for itself. The result is the logits again, (..., V) in their
  dtype: what is kept stays as it is, what is not becomes -inf. Logits of some thousands do no harm.
- The gradient is that of a mask: what is kept passes it on.
- ValueError unless 0 < mass <= 1.
"""

import torch

from attncourse.measure.small_models import refusal
from attncourse.models.choosing import typical_filter as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 25
hints = (
    "Write three rows below each other for p = 0.6, 0.2, 0.1, 0.1: the surprises, their distances "
    "from H = 1.09, and the order of these. Which token is the first?",
    "`argsort` of the distances gives the order, `p.gather(-1, order)` the probabilities in it. "
    "What is decided there goes back to the places of the tokens with `scatter`.",
)
forbidden = ("typical_filter", "kept_probabilities")

SIZES = ((4, 11), (3, 7))  # rows, V
HAND = torch.tensor([0.1, 0.6, 0.05, 0.25], dtype=torch.float64).log()  # H = 1.03
TWO = torch.tensor([0.7, 0.3], dtype=torch.float64).log()  # H = 0.61, s = 0.36 and 1.2


def check_some_tokens_by_hand(student):
    """by hand: of two tokens the likelier, of four the one nearest to the entropy, then the next"""
    expected = torch.tensor([TWO[0].item(), -torch.inf], dtype=torch.float64)
    assert_same(student(TWO.clone(), mass=0.5), expected)
    for mass, kept in ((0.2, [3]), (0.5, [1, 3]), (0.9, [0, 1, 3]), (0.97, [0, 1, 2, 3])):
        expected = torch.full_like(HAND, -torch.inf)
        expected[kept] = HAND[kept]
        assert_same(student(HAND.clone(), mass=mass), expected)


def check_equals_the_rule(student):
    """equals the rule, token by token, for rows of any width"""
    for seed, sizes in enumerate(SIZES):
        logits = gaussian(*sizes, seed=10 * seed)
        for mass in (0.3, 0.8, 0.95):
            assert_same(student(logits, mass=mass), right_row_by_row(logits, mass=mass))


def check_keeps_at_least_one(student):
    """a tiny mass keeps one token, the nearest to the entropy"""
    logits = gaussian(3, 9, std=1.0, seed=30)
    found = student(logits, mass=1e-6)
    assert_same(found, right_row_by_row(logits, mass=1e-6))


def check_zero_of_the_logits(student):
    """the same number added to all logits changes nothing of what is kept"""
    logits = gaussian(2, 8, std=1.0, seed=40)
    higher = student(logits + 30, mass=0.7)
    assert_same(higher, right_row_by_row(logits, mass=0.7) + 30)


def check_far_logits(student):
    """logits that lie thousands apart: the sure token is kept, and nothing is NaN"""
    logits = 3000 * gaussian(3, 6, seed=50)
    assert_same(student(logits, mass=0.9), right_row_by_row(logits, mass=0.9))


def check_takes_leading_axes(student):
    """one row, any axes in front, those of length one"""
    for shape in ((7,), (1, 5), (2, 1, 6), (2, 3, 4)):
        logits = gaussian(*shape, std=1.0, seed=60)
        assert_same(student(logits, mass=0.6), right_row_by_row(logits, mass=0.6))


def check_gradient_and_dtype(student):
    """what is kept passes the gradient on, and float32 stays float32"""
    logits = gaussian(3, 8, seed=70)
    expected = gradients(right_row_by_row, logits, mass=0.8)
    assert_same(gradients(student, logits, mass=0.8), expected, "the gradient")
    short = logits.float()
    assert_same(student(short, mass=0.8), right_row_by_row(short, mass=0.8))


def check_refuses_what_is_no_share(student):
    """a mass that is no share is refused with ValueError; 1 is one"""
    logits = gaussian(5, seed=80)
    for mass in (0.0, -0.5, 1.5):
        kind = refusal(student, logits, mass=mass)
        said = f"mass={mass} must raise ValueError: got {kind or 'no error'}."
        assert_that(kind == "ValueError", said)
    assert_same(student(logits, mass=1.0), logits)


def _checked(mass):
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be above 0 and at most 1: got {mass}")


def _surprise(logits):
    """Surprises, and the entropy of each row."""
    s = -torch.log_softmax(logits.detach(), dim=-1)
    return s, (torch.exp(-s) * s).sum(dim=-1, keepdim=True)


def _cut(logits, distance, mass, *, out=None):
    """The logits of the tokens with the smallest distances; `out` says what falls out in order."""
    _checked(mass)
    s, _ = _surprise(logits)
    order = distance.argsort(dim=-1, stable=True)
    p = torch.exp(-s).gather(-1, order)
    dropped = (p.cumsum(dim=-1) - p >= mass) if out is None else out(p)
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), -torch.inf)


def wrong_likeliest_first(logits, *, mass):
    """You begin with the likeliest token, as top-p does or who sorts by s - H. Begin with the one
    whose surprise is nearest to the entropy, on either side.
    """
    s, _ = _surprise(logits)
    return _cut(logits, s, mass)


def wrong_farthest_first(logits, *, mass):
    """You keep the tokens that are farthest from the entropy. Sort upwards: the smallest distance
    comes first.
    """
    s, entropy = _surprise(logits)
    return _cut(logits, -(s - entropy).abs(), mass)


def wrong_entropy_in_bits(logits, *, mass):
    """You measure the entropy in bits and the surprises in nats. Take one logarithm for both."""
    s, entropy = _surprise(logits)
    return _cut(logits, (s - entropy / 0.6931471805599453).abs(), mass)


def wrong_plain_mean(logits, *, mass):
    """You take the plain mean of the surprises for the entropy, in which a token that hardly comes
    counts as much as the likeliest. Weigh each surprise by its probability.
    """
    s, _ = _surprise(logits)
    return _cut(logits, (s - s.mean(dim=-1, keepdim=True)).abs(), mass)


def wrong_distance_of_probabilities(logits, *, mass):
    """You compare probabilities with the entropy, which is a mean of surprises. Compare -ln p with
    it.
    """
    s, entropy = _surprise(logits)
    return _cut(logits, (torch.exp(-s) - entropy).abs(), mass)


def wrong_token_that_reaches_left_out(logits, *, mass):
    """You leave out the token that brings the sum to the mass, so that too little is kept. Look at
    the sum before a token: it is kept while that is below.
    """

    def out(p):
        dropped = p.cumsum(dim=-1) >= mass
        dropped[..., 0] = False
        return dropped

    s, entropy = _surprise(logits)
    return _cut(logits, (s - entropy).abs(), mass, out=out)


def wrong_one_more(logits, *, mass):
    """You keep one token behind the one that reaches the mass. Those before it are enough: shift
    the running sum by one place, not by two.
    """

    def out(p):
        dropped = p.cumsum(dim=-1) - p >= mass
        return torch.cat([torch.zeros_like(dropped[..., :1]), dropped[..., :-1]], dim=-1)

    s, entropy = _surprise(logits)
    return _cut(logits, (s - entropy).abs(), mass, out=out)


def wrong_left_in_the_order(logits, *, mass):
    """You cut the sorted row and leave it sorted, so that the logits stand at other tokens. Bring
    them back to their places.
    """
    _checked(mass)
    s, entropy = _surprise(logits)
    order = (s - entropy).abs().argsort(dim=-1, stable=True)
    p = torch.exp(-s).gather(-1, order)
    return logits.gather(-1, order).masked_fill(p.cumsum(dim=-1) - p >= mass, -torch.inf)


def wrong_zero_for_minus_infinity(logits, *, mass):
    """You put a zero where a token falls out. To a softmax 0 is a logit like others: put -inf."""
    found = right_by_sorting(logits, mass=mass)
    return found.masked_fill(found == -torch.inf, 0.0)


def wrong_probabilities(logits, *, mass):
    """You return probabilities. Return the logits, so that a temperature or another filter may
    follow.
    """
    return right_by_sorting(logits, mass=mass).softmax(dim=-1)


def wrong_log_of_the_softmax(logits, *, mass):
    """You take the logarithm of a softmax. Where logits lie far apart that is ln 0, and the entropy
    is NaN: use `log_softmax`.
    """
    p = torch.softmax(logits.detach(), dim=-1)
    entropy = -(p * p.log()).sum(dim=-1, keepdim=True)
    return _cut(logits, (-p.log() - entropy).abs(), mass)


def right_by_sorting(logits, *, mass):
    """the distances sorted, a running sum, and back to the places by scatter"""
    if mass <= 0 or mass > 1:
        raise ValueError(f"mass must be above 0 and at most 1: got {mass}")
    log_p = torch.log_softmax(logits.detach(), dim=-1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(dim=-1, keepdim=True)
    order = (log_p + entropy).abs().argsort(dim=-1, stable=True)
    before = p.gather(-1, order).cumsum(dim=-1) - p.gather(-1, order)
    kept = torch.zeros_like(order, dtype=torch.bool).scatter(-1, order, before < mass)
    return torch.where(kept, logits, -torch.inf)


def right_row_by_row(logits, *, mass):
    """a loop over the rows, a token at a time"""
    _checked(mass)
    rows = []
    for row in logits.reshape(-1, logits.shape[-1]):
        log_p = row.detach().log_softmax(dim=0)
        distance = (log_p + (-log_p * log_p.exp()).sum()).abs().tolist()
        total, kept = 0.0, torch.zeros_like(row, dtype=torch.bool)
        for i in sorted(range(len(row)), key=distance.__getitem__):
            kept[i] = total < mass
            total += log_p[i].exp().item()
        rows.append(torch.where(kept, row, -torch.inf))
    return torch.stack(rows).reshape(logits.shape)


shown = right_by_sorting
