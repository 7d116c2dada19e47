"""Many texts at once from SmolLM2, and how much each token surprises it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.models.past import Past
from attncourse.models.pretrained.smollm import SmolLM

Choose = Callable[[Tensor, Tensor], Tensor]  # logits (b, V), tokens so far (b, t): the next (b,)

ENDS = 3  # the first tokens of the vocabulary end a text or a turn


@dataclass(frozen=True)
class Written:
    """Texts of tokens (b, t). Of the last n of each the surprise, -ln p, and the entropy of what
    could have come, both (b, n), in nats.
    """

    ids: Tensor
    surprise: Tensor
    entropy: Tensor


def written(model: SmolLM, ids: Tensor, count: int, choose: Choose) -> Written:
    """Each of the beginnings (b, p) with `count` tokens more; none may end its text.

    The keys and values of the tokens so far are kept, so that each token is read once.
    """
    past, new = Past(model.sizes.layers), ids
    surprises, entropies = [], []
    for _ in range(count):
        logits = _without_ends(model.logits(new, past=past)[..., -1, :])
        log_p = logits.log_softmax(dim=-1)
        new = choose(logits, ids)[..., None]
        ids = torch.cat([ids, new], dim=-1)
        surprises.append(-log_p.gather(-1, new))
        entropies.append(_entropy(log_p))
    return Written(ids, torch.cat(surprises, dim=-1), torch.stack(entropies, dim=-1))


def read(model: SmolLM, ids: Tensor, start: int, *, rows: int = 4) -> Written:
    """Texts (b, t) that somebody wrote, as the model sees their tokens from place `start` on.

    So many rows are read at once, since each takes t times the vocabulary in memory.
    """
    surprises, entropies = [], []
    for first in range(0, len(ids), rows):
        some = ids[first : first + rows]
        log_p = _without_ends(model.logits(some)[..., start - 1 : -1, :]).log_softmax(dim=-1)
        surprises.append(-log_p.gather(-1, some[..., start:, None])[..., 0])
        entropies.append(_entropy(log_p))
    return Written(ids, torch.cat(surprises), torch.cat(entropies))


def beams(model: SmolLM, ids: Tensor, count: int, width: int) -> Tensor:
    """For each of the beginnings (b, p) the text (b, p + count) that a beam of that width finds.

    `beam_search` for many texts that do not end, with one cache, whose rows follow the beams.
    """
    b, past = len(ids), Past(model.sizes.layers)
    log_p = _without_ends(model.logits(ids, past=past)[..., -1, :]).log_softmax(dim=-1)
    scores, tokens = log_p.topk(width)
    rows = torch.arange(b).repeat_interleave(width)
    texts = _grown(ids, past, rows, tokens)
    first = width * torch.arange(b)[:, None]  # the first row of each text
    for _ in range(count - 1):
        log_p = _without_ends(model.logits(texts[:, -1:], past=past)[..., -1, :]).log_softmax(
            dim=-1
        )
        total = (scores.reshape(-1, 1) + log_p).reshape(b, -1)
        scores, places = total.topk(width)
        parents = first + places // log_p.shape[-1]
        texts = _grown(texts, past, parents.flatten(), places % log_p.shape[-1])
    return texts[::width]


def _grown(texts: Tensor, past: Past, rows: Tensor, tokens: Tensor) -> Tensor:
    """Those rows of the texts with a token more, and the past of the same rows."""
    past.reorder(rows)
    return torch.cat([texts[rows], tokens.reshape(-1, 1)], dim=-1)


def _without_ends(logits: Tensor) -> Tensor:
    """The logits of the tokens with which a text goes on."""
    logits[..., :ENDS] = -torch.inf
    return logits


def _entropy(log_p: Tensor) -> Tensor:
    return torch.special.entr(log_p.exp()).sum(dim=-1)
