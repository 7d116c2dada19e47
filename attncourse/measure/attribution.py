"""How much each word of a sentence counts for its vector, asked in several ways; and how far they
agree.
"""

import torch
from torch import Tensor

from attncourse.measure.rollout import attention_rollout
from attncourse.models.pretrained.minilm import LAYERS, MiniLM

LESS = 0.01  # by which share a word is turned down


def importances(model: MiniLM, text: str) -> dict[str, Tensor]:
    """How much each token of a text but [CLS] and [SEP] counts for its vector, asked in six ways.

    - left out: how far the vector turns when the token is not there, 1 - cosine;
    - turned down: the same when what enters the first layer is made smaller by 1 %, which is the
      derivative in the direction of the token, squared;
    - weights: what the last layer's heads give to it, the mean over heads and queries;
    - rollout: `attention_rollout`, the mean over queries;
    - no layer: as left out, but of the mean of what *enters* the first layer;
    - letters: how long the word is.

    Each is (n - 2,). The last two know nothing of attention: what does not beat them shows little.
    """
    ids = model.encode(text)
    n = len(ids)
    places = range(1, n - 1)
    maps, states = model.maps(ids), model.states(ids)
    whole = _direction(states[-1])
    gone = [ids[:i] + ids[i + 1 :] for i in places]
    less = states[0].repeat(n - 2, 1, 1)
    for row, i in enumerate(places):
        less[row, i] *= 1 - LESS
    return {
        "left out": 1 - _direction(model.hidden(torch.tensor(gone))) @ whole,
        "turned down": 1 - _direction(_through(model, less).double()) @ whole.double(),
        "weights": maps[-1].mean(dim=(0, 1))[1:-1],
        "rollout": attention_rollout(maps).mean(dim=0)[1:-1],
        "no layer": 1 - _direction(_without_each(states[0])) @ _direction(states[0]),
        "letters": torch.tensor([float(len(word)) for word in model.words(ids)[1:-1]]),
    }


def rank_agreement(a: Tensor, b: Tensor) -> float:
    """Spearman's correlation of two lists of numbers: 1 for the same order, -1 for the reverse.

    Equal numbers share the mean of their ranks; 0 where all of one list are equal.

    >>> rank_agreement(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 99.0]))
    1.0
    """
    ranks = [_ranks(x) - (len(x) - 1) / 2 for x in (a, b)]
    sizes = ranks[0].norm() * ranks[1].norm()
    return round((ranks[0] @ ranks[1] / sizes).item(), 12) if sizes > 0 else 0.0


def same_output(weights: Tensor, values: Tensor, key: int) -> Tensor:
    """Other weights (m,) with the same output, and more weight on one key; the same where none are.

    weights (m,) are not negative and sum to one, values are (m, e). A change whose output is zero
    and whose sum is zero moves weight to the key until another weight is zero; then the next such
    change, among those that are left. At most m steps, of time O(m e^2). In float64.

    Source: after Jain and Wallace 2019, section 4.2.2, who search by gradient; Brunner et al. 2019,
    section 3, on which changes there are.

    >>> values = torch.tensor([[0.0], [1.0], [2.0]])
    >>> same_output(torch.tensor([0.25, 0.5, 0.25]), values, key=0)
    tensor([0.5000, 0.0000, 0.5000], dtype=torch.float64)
    """
    w = weights.double().clone()
    a = torch.cat([values.double(), torch.ones(len(w), 1, dtype=torch.float64)], dim=1)
    left = torch.ones(len(w), dtype=torch.bool)
    for _ in range(len(w)):
        wanted = torch.zeros(len(w), dtype=torch.float64)
        wanted[key] = 1.0
        kept = a[left]
        solution = torch.linalg.lstsq(kept, wanted[left, None]).solution
        change = torch.zeros_like(w)
        change[left] = wanted[left] - (kept @ solution)[:, 0]
        down = change < -1e-9
        if change[key] < 1e-9 or not down.any():
            break
        steps = torch.where(down, w / -change.clamp(max=-1e-9), torch.inf)
        first = int(steps.argmin())
        w = (w + steps[first] * change).clamp(min=0.0)
        w[first], left[first] = 0.0, False
    return w


def _ranks(x: Tensor) -> Tensor:
    """The rank of each number, from 0; of equal ones the mean."""
    x = x.double()
    lower = (x[:, None] > x).sum(dim=1)
    return lower.double() + ((x[:, None] == x).sum(dim=1) - 1) / 2


def _direction(x: Tensor) -> Tensor:
    """A text's vector (..., d) of length 1: the mean over its tokens (..., n, d)."""
    mean = x.mean(dim=-2)
    return mean / mean.norm(dim=-1, keepdim=True)


def _without_each(x: Tensor) -> Tensor:
    """The tokens (n, d) without the second, without the third, and so on to the last but one."""
    n = len(x)
    return torch.stack([torch.cat([x[:i], x[i + 1 :]]) for i in range(1, n - 1)])


def _through(model: MiniLM, x: Tensor) -> Tensor:
    """What leaves the last layer where x enters the first."""
    for layer in range(LAYERS):
        x = model.layer(x, layer)
    return x
