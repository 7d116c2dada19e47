r"""# Which heads matter

Each head's output is multiplied by a gate $g_h$ that is 1. For each of some samples (sentences,
say) somebody tells the gradient of that sample's own loss by each gate. A head matters as much as
its gate does, whatever the direction:

$$I_h = \frac{1}{N} \sum_{x} \left| \frac{\partial L(x)}{\partial g_h} \right| .$$

- `gates_grad` is (..., n, h): n samples, h heads; the result is (..., h), in its dtype. A leading
  axis may be the layer.
- Nothing is normalised: the heads of different layers stay comparable.
"""

import torch

from attncourse.mechanisms.content.head_gates import head_importance as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 1, 5
hints = (
    "A head that helps one sample and harms the next is in use. What does the mean of its "
    "gradients say, and what the mean of their sizes?",
    "Two steps, absolute value and mean. Which comes first, and which axis are the samples?",
)
forbidden = ("head_importance",)


def check_is_the_mean_size(student):
    """for each head the mean over samples of the gradient's absolute value"""
    for n, h in ((5, 9), (11, 3), (7, 7)):
        g = gaussian(n, h, seed=10)
        means = [sum(abs(row[head].item()) for row in g) / n for head in range(h)]
        assert_same(student(g), torch.tensor(means, dtype=torch.float64))


def check_signs_do_not_cancel(student):
    """a head that helps one sample as much as it harms another matters"""
    g = gaussian(6, 5, seed=20)
    both = torch.cat([g, -g])
    assert_same(student(both), solution(g), "the importance over samples of both signs")


def check_keeps_the_sizes(student):
    """heads that matter twice as much have twice the importance, and it may be 0"""
    g = gaussian(5, 4, seed=30)
    g[:, 2] = 0.0
    for factor in (2.0, 1000.0):
        assert_same(student(factor * g), factor * solution(g))


def check_takes_leading_axes(student):
    """one sample, one head, and any axes in front, those of length one too"""
    for shape in ((1, 9), (9, 1), (3, 5, 4), (1, 5, 4), (2, 1, 6, 3), (4, 4, 4)):
        g = gaussian(*shape, seed=40)
        assert_same(student(g), solution(g), f"the result for shape {shape}")


def check_has_the_right_gradient(student):
    """the gradient is right: the sign over the number of samples"""
    for n, h in ((5, 9), (11, 3)):
        g = gaussian(n, h, seed=50)
        assert_same(gradients(student, g), gradients(solution, g), "the gradient")


def check_keeps_the_dtype(student):
    """float32 gradients give float32 importances"""
    g = gaussian(5, 9, seed=60).float()
    assert_same(student(g), solution(g))


def wrong_mean_first(gates_grad):
    """You took the mean first and the absolute value of it. Signs cancel then: take the absolute
    value of each sample's gradient before the mean.
    """
    return gates_grad.mean(dim=-2).abs()


def wrong_signs_kept(gates_grad):
    """You took the mean with its sign. A gradient far below zero matters as much as one above: take
    absolute values.
    """
    return gates_grad.mean(dim=-2)


def wrong_sum(gates_grad):
    """You added the samples up. With more samples every head would matter more: divide by their
    number.
    """
    return gates_grad.abs().sum(dim=-2)


def wrong_squares(gates_grad):
    """You took the root of the mean square. The formula has absolute values, which weigh one large
    sample less.
    """
    return gates_grad.square().mean(dim=-2).sqrt()


def wrong_over_the_heads(gates_grad):
    """You took the mean over the heads, one number for each sample. The samples are the axis before
    the last, the heads the last.
    """
    return gates_grad.abs().mean(dim=-1)


def wrong_normalised(gates_grad):
    """You divided by the sum over the heads. Nothing is normalised here, so that heads of different
    layers can be compared.
    """
    found = gates_grad.abs().mean(dim=-2)
    return found / found.sum(dim=-1, keepdim=True)


def wrong_unit_length(gates_grad):
    """You scaled the importances of a layer to length one, as some code does. Here they stay as
    they are.
    """
    return torch.nn.functional.normalize(gates_grad.abs().mean(dim=-2), dim=-1)


def wrong_largest(gates_grad):
    """You took the largest of all samples. One of them would decide alone: take the mean."""
    return gates_grad.abs().amax(dim=-2)


def wrong_median(gates_grad):
    """You took the median. A head that matters in few samples, and much there, would count nothing:
    take the mean.
    """
    return gates_grad.abs().median(dim=-2).values


def wrong_leading_axes_too(gates_grad):
    """You took the mean over the leading axes as well. They may be layers, each with heads of its
    own: only the samples, the axis before the last, go.
    """
    return gates_grad.abs().flatten(0, -2).mean(dim=0)


def wrong_first_axis(gates_grad):
    """You took the mean over the first axis. The samples are the axis before the last."""
    return gates_grad.abs().mean(dim=0)


def right_in_two_steps(gates_grad):
    """absolute values, and their mean over the samples"""
    return gates_grad.abs().mean(dim=-2)


def right_by_adding(gates_grad):
    """the sum, divided by the number of samples"""
    return gates_grad.abs().sum(dim=-2) / gates_grad.shape[-2]


def right_by_a_norm(gates_grad):
    """the 1-norm over the samples, divided by their number"""
    return torch.linalg.vector_norm(gates_grad, ord=1, dim=-2) / gates_grad.shape[-2]


shown = right_in_two_steps
