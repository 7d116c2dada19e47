r"""# Less sure than sure

A training by the usual loss gains whenever the right class gets surer, without end. Label smoothing
takes a share of the target away and spreads it over all v classes, the right one among them:

$$q_i = (1 - \varepsilon) \, [i = \text{target}] + \frac{\varepsilon}{v}, \qquad
\mathrm{loss} = -\sum_i q_i \ln p_i, \qquad p = \mathrm{softmax}(\mathrm{logits}) .$$

- `logits` is (..., v), `targets` (...) are the numbers of the right classes, and `smoothing` is the
  share, from 0 to 1. With 0 it is the usual loss.
- The result is one number, the mean over all rows, in the dtype of the logits.
- Where p is just q the loss is smallest: its gradient there is zero.
- Logits of some thousands give a finite loss and finite gradients.
"""

import torch

from attncourse.models.pretraining import label_smoothing_loss as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Four classes and a share of 0.2: what has the right class in q, and what each other? Do they "
    "sum to 1?",
    "Two terms are enough: 1 - smoothing times the usual loss, and smoothing times the mean of "
    "-ln p over all classes.",
)
forbidden = ("label_smoothing_loss", "cross_entropy", "CrossEntropyLoss")

SIZES = ((5, 11), (8, 6))  # rows, v


def check_one_row_by_hand(student):
    """one row by hand: p is a half, a quarter and two eighths"""
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    ln2 = torch.tensor(2.0, dtype=torch.float64).log()
    found = student(logits, torch.tensor([1]), smoothing=0.2)
    assert_same(found, (0.8 * 2 + 0.05 * (1 + 2 + 3 + 3)) * ln2, "the loss")


def check_equals_the_sum(student):
    """equals the sum over rows and classes, for any sizes and shares"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        for smoothing in (0.1, 0.35):
            expected = right_class_by_class(*args, smoothing=smoothing)
            assert_same(student(*args, smoothing=smoothing), expected)


def check_shares_of_none_and_all(student):
    """a share of 0 is the usual loss, a share of 1 asks for all classes alike"""
    args = _drawn(4, 9, seed=30)
    for smoothing in (0.0, 1.0):
        expected = right_class_by_class(*args, smoothing=smoothing)
        assert_same(student(*args, smoothing=smoothing), expected)


def check_mean_over_all_rows(student):
    """the mean over all rows, for any leading axes"""
    for lead in ((), (1,), (3,), (2, 1, 4)):
        args = _drawn(*lead, 7, seed=40)
        expected = right_class_by_class(*args, smoothing=0.2)
        assert_same(student(*args, smoothing=0.2), expected)


def check_best_where_p_is_q(student):
    """smallest where the model says just what is asked: the entropy, and no gradient"""
    q = torch.full((3, 5), 0.3 / 5, dtype=torch.float64)
    targets = torch.tensor([4, 0, 2])
    q[torch.arange(3), targets] += 0.7
    entropy = -(q * q.log()).sum(dim=-1).mean()
    assert_same(student(q.log(), targets, smoothing=0.3), entropy, "the loss")
    (found,) = gradients(student, q.log(), targets, smoothing=0.3)
    assert_same(found, torch.zeros_like(q), "the gradient")


def check_large_logits(student):
    """logits of some thousands give a finite loss and gradient"""
    logits, targets = _drawn(4, 8, seed=60)
    args = 1500 * logits, targets
    assert_same(student(*args, smoothing=0.1), right_class_by_class(*args, smoothing=0.1))
    found = gradients(student, *args, smoothing=0.1)
    assert_that(all(x.isfinite().all() for x in found), "a gradient is not finite.")


def check_has_the_right_gradient(student):
    """the gradient of the logits is right"""
    for sizes in SIZES:
        args = _drawn(2, *sizes, seed=70)
        expected = gradients(right_class_by_class, *args, smoothing=0.25)
        assert_same(gradients(student, *args, smoothing=0.25), expected, "the gradient")


def check_keeps_the_dtype(student):
    """float32 logits give a float32 number"""
    logits, targets = _drawn(5, 7, seed=80)
    found = student(logits.float(), targets, smoothing=0.15)
    assert_same(found, right_class_by_class(logits.float(), targets, smoothing=0.15))


def _drawn(*sizes, seed):
    """Logits (..., v) and targets (...)."""
    *lead, v = sizes
    share = torch.special.ndtr(gaussian(*lead, std=1.0, seed=seed + 1))
    return gaussian(*lead, v, seed=seed), (share * v).long()


def _terms(logits, targets):
    """ln p of the right class, and of all classes."""
    log_p = torch.log_softmax(logits, dim=-1)
    return log_p.gather(-1, targets[..., None])[..., 0], log_p


def wrong_smoothing_ignored(logits, targets, *, smoothing):
    """You take the usual loss, whatever the share. Take the share away from the target and spread
    it over all classes.
    """
    return -_terms(logits, targets)[0].mean()


def wrong_spread_over_the_others(logits, targets, *, smoothing):
    """You spread the share over the other v - 1 classes. Here it goes to all v, the right one among
    them, which keeps 1 - smoothing + smoothing / v.
    """
    right, log_p = _terms(logits, targets)
    others = (log_p.sum(dim=-1) - right) / (logits.shape[-1] - 1)
    return -((1 - smoothing) * right + smoothing * others).mean()


def wrong_target_too_small(logits, targets, *, smoothing):
    """You give the right class 1 - smoothing and the others smoothing / v, which do not sum to 1.
    The right class gets its part of the share as well.
    """
    right, log_p = _terms(logits, targets)
    others = (log_p.sum(dim=-1) - right) / logits.shape[-1]
    return -((1 - smoothing) * right + smoothing * others).mean()


def wrong_target_kept_whole(logits, targets, *, smoothing):
    """You add the share to a target that is still whole, so that q sums to more than 1. Take it
    from the target first: 1 - smoothing times the usual loss.
    """
    right, log_p = _terms(logits, targets)
    return -(right + smoothing * log_p.mean(dim=-1)).mean()


def wrong_sum_over_the_classes(logits, targets, *, smoothing):
    """You give each class the whole share. It is divided by v: take the mean over the classes and
    not the sum.
    """
    right, log_p = _terms(logits, targets)
    return -((1 - smoothing) * right + smoothing * log_p.sum(dim=-1)).mean()


def wrong_probabilities_mixed(logits, targets, *, smoothing):
    """You mix the model's probabilities with equal ones and take the logarithm of that. The targets
    are mixed, and the model's ln p stay as they are.
    """
    p = torch.softmax(logits, dim=-1).gather(-1, targets[..., None])
    return -((1 - smoothing) * p + smoothing / logits.shape[-1]).log().mean()


def wrong_shares_exchanged(logits, targets, *, smoothing):
    """You gave the target the share and all classes the rest. It is the other way round: a share of
    0 is the usual loss.
    """
    return right_by_mixture(logits, targets, smoothing=1 - smoothing)


def wrong_sign(logits, targets, *, smoothing):
    """You return the mean of ln p, which training would make smaller. A loss is minus that."""
    return -right_by_mixture(logits, targets, smoothing=smoothing)


def wrong_sum_for_the_mean(logits, targets, *, smoothing):
    """You add the rows up, so that more rows cost more. Take the mean over all rows."""
    return right_by_mixture(logits, targets, smoothing=smoothing) * targets.numel()


def wrong_one_number_a_row(logits, targets, *, smoothing):
    """You return a loss for each row. The result is one number: take the mean over all axes."""
    right, log_p = _terms(logits, targets)
    return -((1 - smoothing) * right + smoothing * log_p.mean(dim=-1))


def wrong_log_of_the_softmax(logits, targets, *, smoothing):
    """You take the logarithm of a softmax, and where logits lie far apart that is ln 0. Use
    `log_softmax`, or subtract `logsumexp`.
    """
    log_p = torch.softmax(logits, dim=-1).log()
    right = log_p.gather(-1, targets[..., None])[..., 0]
    return -((1 - smoothing) * right + smoothing * log_p.mean(dim=-1)).mean()


def right_by_mixture(logits, targets, *, smoothing):
    """the usual loss and the mean over all classes, mixed"""
    log_p = torch.log_softmax(logits, dim=-1)
    usual = log_p.gather(-1, targets[..., None]).mean()
    return -(1 - smoothing) * usual - smoothing * log_p.mean()


def right_class_by_class(logits, targets, *, smoothing):
    """q written out, row by row and class by class"""
    v, total = logits.shape[-1], 0.0
    for row, target in zip(logits.reshape(-1, v), targets.flatten().tolist(), strict=True):
        for i in range(v):
            q = smoothing / v + (1 - smoothing if i == target else 0)
            total = total - q * (row[i] - row.logsumexp(dim=0))
    return total / targets.numel()


shown = right_by_mixture
