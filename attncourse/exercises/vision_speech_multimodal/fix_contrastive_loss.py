r"""# Mend a loss that looks one way

This function trains pictures and captions to find each other, b pairs at a time. After a training
by it, every picture finds its caption among b. But one picture, a grey one, is the best match of a
hundred captions. Find out what was not asked, and mend it:

$$\mathrm{loss} = -\frac{1}{2b} \sum_{i=1}^{b} \Big( \ln \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
+ \ln \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Big), \qquad
s_{ij} = \frac{x_i \cdot y_j}{\tau\, |x_i|\, |y_j|} .$$

- `images`, with rows $x_i$, and `texts`, with rows $y_j$, are (b, d); row i of one belongs to row i
  of the other. `temperature`, $\tau$, is positive.
- The result is one number, in their dtype. No row is zero.
- A temperature of 0.001 gives a finite loss and finite gradients.
"""

import torch

from attncourse.models.senses.captions import contrastive_loss as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Print the two terms for a batch of three. How can a sum over pictures and a sum over captions "
    "be the same number?",
    "Row i of the scores are the captions as picture i sees them. Where in the matrix are the "
    "pictures as caption i sees them?",
)
forbidden = ("contrastive_loss", "pair_loss")

SIZES = ((5, 8), (7, 3), (1, 4))  # b, d


def check_two_pairs_by_hand(student):
    """two pairs by hand, of which one caption suits both pictures"""
    images = torch.eye(2).double()
    texts = torch.tensor([[1.0, 0], [1, 1]]).double()
    h = 2**-0.5
    scores = torch.tensor([[1.0, h], [0.0, h]]).double()  # the cosines
    wanted = (scores.logsumexp(0) + scores.logsumexp(1)).sum() / 4 - (1 + h) / 2
    assert_same(student(images, texts, temperature=1.0), wanted)


def check_equals_the_sums(student):
    """equals the sums over pictures and over captions, for any batch, width and temperature"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        for temperature in (1.0, 0.2):
            found = student(*args, temperature=temperature)
            assert_same(found, right_pair_by_pair(*args, temperature=temperature))


def check_both_sides_count_alike(student):
    """pictures and captions in each other's place give the same loss"""
    a, b = _drawn(6, 5, seed=30)
    assert_same(student(b, a, temperature=0.5), right_pair_by_pair(a, b, temperature=0.5))


def check_lengths_do_not_count(student):
    """how long a row is changes nothing"""
    a, b = _drawn(5, 4, seed=40)
    stretched = a * torch.arange(1.0, 6.0).double()[:, None]
    assert_same(
        student(stretched, 7 * b, temperature=0.5), right_pair_by_pair(a, b, temperature=0.5)
    )


def check_a_low_temperature(student):
    """a temperature of 0.001 gives a finite loss and gradient"""
    args = _drawn(6, 5, seed=50)
    found = student(*args, temperature=0.001)
    assert_same(found, right_pair_by_pair(*args, temperature=0.001))
    slopes = gradients(student, *args, temperature=0.001)
    assert_that(all(x.isfinite().all() for x in slopes), "a gradient is not finite.")


def check_has_the_right_gradient(student):
    """the gradients of pictures and captions are right"""
    args = _drawn(5, 6, seed=60)
    found = gradients(student, *args, temperature=0.3)
    expected = gradients(right_pair_by_pair, *args, temperature=0.3)
    assert_same(found, expected, "a gradient")


def check_keeps_the_dtype(student):
    """float32 gives a float32 number"""
    args = tuple(x.float() for x in _drawn(4, 3, seed=70))
    assert_same(student(*args, temperature=0.5), right_pair_by_pair(*args, temperature=0.5))


def _drawn(b, d, *, seed):
    return gaussian(b, d, seed=seed), gaussian(b, d, seed=seed + 1)


def _scores(images, texts, temperature):
    a = images / images.norm(dim=-1, keepdim=True)
    b = texts / texts.norm(dim=-1, keepdim=True)
    return a @ b.mT / temperature


def wrong_one_way_twice(images, texts, *, temperature):
    """You ask which caption belongs to a picture, be it once or twice, and not which picture
    belongs to a caption. The second softmax runs down the columns of the scores: over pictures.
    """
    images = images / images.norm(dim=-1, keepdim=True)
    texts = texts / texts.norm(dim=-1, keepdim=True)
    scores = images @ texts.mT / temperature
    by_image = torch.log_softmax(scores, dim=1)
    by_text = torch.log_softmax(scores.mT, dim=0)
    return -(by_image.diagonal() + by_text.diagonal()).mean() / 2


stub = wrong_one_way_twice


def wrong_captions_alone(images, texts, *, temperature):
    """You ask for each caption which picture is its own, and not the other way round. Take the mean
    of both.
    """
    return -torch.log_softmax(_scores(images, texts, temperature), dim=0).diagonal().mean()


def wrong_sum_of_both_ways(images, texts, *, temperature):
    """You add the two ways up. The loss is their mean: divide by two."""
    return 2 * right_by_log_softmax(images, texts, temperature=temperature)


def wrong_sum_over_the_pairs(images, texts, *, temperature):
    """You add the pairs of a batch up, so that a large batch costs more. Take their mean."""
    return len(images) * right_by_log_softmax(images, texts, temperature=temperature)


def wrong_lengths_count(images, texts, *, temperature):
    """You compare the rows as they are, and a long row scores high with everything. Divide each by
    its length first.
    """
    scores = images @ texts.mT / temperature
    found = scores.logsumexp(0) + scores.logsumexp(1) - 2 * scores.diagonal()
    return found.mean() / 2


def wrong_temperature_multiplied(images, texts, *, temperature):
    """You multiply by the temperature, so that a low one makes the softmax flat. Scores are divided
    by it.
    """
    return right_by_log_softmax(images, texts, temperature=1 / temperature)


def wrong_normalised_over_the_batch(images, texts, *, temperature):
    """You bring each column to length one, over the batch. A picture is a row: the norm runs over
    the last axis.
    """
    a, b = images / images.norm(dim=0), texts / texts.norm(dim=0)
    scores = a @ b.mT / temperature
    return (scores.logsumexp(0) + scores.logsumexp(1) - 2 * scores.diagonal()).mean() / 2


def wrong_one_softmax_for_all(images, texts, *, temperature):
    """You take one softmax over all pairs. Each picture chooses among the captions, and each
    caption among the pictures: over rows, and over columns.
    """
    scores = _scores(images, texts, temperature)
    return scores.flatten().logsumexp(0) - scores.diagonal().mean()


def wrong_sign(images, texts, *, temperature):
    """You return the mean of ln p, which training would make smaller, and the pairs strangers. A
    loss is minus that.
    """
    return -right_by_log_softmax(images, texts, temperature=temperature)


def right_by_log_softmax(images, texts, *, temperature):
    """two softmaxes, over rows and over columns, and the diagonal of each"""
    images = images / images.norm(dim=-1, keepdim=True)
    texts = texts / texts.norm(dim=-1, keepdim=True)
    scores = images @ texts.mT / temperature
    by_image = torch.log_softmax(scores, dim=1)
    by_text = torch.log_softmax(scores, dim=0)
    return -(by_image.diagonal() + by_text.diagonal()).mean() / 2


def right_pair_by_pair(images, texts, *, temperature):
    """a loop over the pairs, each seen from both sides"""
    scores = _scores(images, texts, temperature)
    found = []
    for i in range(len(scores)):
        found += [scores[i].logsumexp(0) - scores[i, i], scores[:, i].logsumexp(0) - scores[i, i]]
    return torch.stack(found).mean()


shown = right_by_log_softmax
