"""Opinions in long texts and behind a "not", judged from one vector a text."""

from collections.abc import Callable
from functools import cache
from itertools import product

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.masks import padding_mask
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import sentences
from attncourse.models.reading import attention_pooling
from attncourse.models.short_texts import counted, words
from attncourse.models.small_runs import ridge_head

_GOOD = (
    "good great lovely splendid wonderful excellent superb delightful charming brilliant pleasant "
    "fantastic amazing beautiful marvellous perfect impressive enjoyable terrific admirable "
    "magnificent outstanding fine nice"
)
_BAD = (
    "bad awful dreadful terrible horrible poor disgusting boring ugly dull nasty disappointing "
    "mediocre tedious lousy unpleasant miserable pathetic shabby annoying useless hideous "
    "appalling dire"
)
GOOD, BAD = tuple(_GOOD.split()), tuple(_BAD.split())
THINGS = ("film", "soup", "hotel", "book")
Pool = Callable[..., Tensor]
SHOWN = 16  # words of each kind that a reader learns from; eight are asked


def mean_pooling(states: Tensor, mask: Tensor) -> Tensor:
    """The plain mean of the states (..., d) that are none of the padding."""
    real = mask[..., None].to(states.dtype)
    return (states * real).sum(dim=-2) / real.sum(dim=-2)


class Opinions:
    """Texts that say of one thing that it is good or bad, as MiniLM's tokens.

    Eight words of each kind are kept for the texts that are asked, drawn by the seed.
    """

    def __init__(self, features: str, seed: int) -> None:
        self.features = features
        self.generator = Generator().manual_seed(seed)
        order = torch.randperm(len(GOOD), generator=self.generator).tolist()
        self.words = {False: order[:SHOWN], True: order[SHOWN:]}

    def lines(
        self, count: int, *, others: int, negated: float, asked: bool
    ) -> tuple[list[list[str]], Tensor]:
        """Texts as lists of sentences, and who is content (count,).

        Each has `others` neutral sentences and one opinion at a random place, a share of them
        behind a "not".
        """
        texts, labels = [], []
        for _ in range(count):
            good, turned = self._chance(0.5), self._chance(negated)
            word = self.words[asked][self._drawn(len(self.words[asked]))]
            text = [neutral()[self._drawn(len(neutral()))] for _ in range(others)]
            said = opinion(THINGS[self._drawn(len(THINGS))], (GOOD if good else BAD)[word], turned)
            text.insert(self._drawn(others + 1), said)
            texts.append(text)
            labels.append(good != turned)
        return texts, torch.tensor(labels)

    def texts(
        self, count: int, *, others: int, negated: float, asked: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States (count, m, 384), which are none of the padding (count, m), and who is content."""
        lines, labels = self.lines(count, others=others, negated=negated, asked=asked)
        rows = [torch.cat([states_of(self.features)[line] for line in text]) for text in lines]
        lengths = torch.tensor([len(row) for row in rows])
        states = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return states, padding_mask(lengths, states.shape[1])[:, 0], labels.float()

    def _drawn(self, high: int) -> int:
        return int(torch.randint(high, (), generator=self.generator))

    def _chance(self, share: float) -> bool:
        return bool(torch.rand((), generator=self.generator) < share)


def opinion(thing: str, word: str, turned: bool) -> str:
    """A sentence that says what a thing is, or is not."""
    return f"The {thing} was {'not ' if turned else ''}{word}."


class Judge(nn.Module):
    """A text is good if its pooled vector lies on the right side: one query, one plane."""

    def __init__(self, d: int = 384) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(d))
        self.plane = nn.Linear(d, 1)
        nn.init.zeros_(self.plane.weight)
        nn.init.zeros_(self.plane.bias)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """The logit (b,) of a good opinion."""
        return self.plane(self.pooled(states, mask))[..., 0]

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector (b, d) for a text, by the query."""
        return attention_pooling(states, self.query, mask=mask)


class MeanJudge(Judge):
    """The same with the plain mean."""

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector (b, d) for a text, whatever the query."""
        return mean_pooling(states, mask)


def judged(
    make: Callable[[], Judge],
    features: str,
    *,
    others: int,
    negated: float = 0.0,
    seed: int = 0,
    steps: int = 150,
) -> tuple[float, Judge]:
    """The share of 200 texts about unseen words judged rightly, after training on 300 others."""
    opinions = Opinions(features, seed)
    told = opinions.texts(300, others=others, negated=negated, asked=False)
    held = opinions.texts(200, others=others, negated=negated, asked=True)
    model = make()
    adam = torch.optim.AdamW(model.parameters(), lr=0.03, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, 0.03, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(300, (64,), generator=opinions.generator)
        states, mask, labels = (x[rows] for x in told)
        loss = functional.binary_cross_entropy_with_logits(model(states, mask), labels)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        rates.step()
    with torch.no_grad():
        right = (model(held[0], held[1]) > 0) == (held[2] > 0)
    return right.float().mean().item(), model


@torch.no_grad()
def opinion_of(text: str, judge: Judge, pool: Pool = attention_pooling) -> tuple[str, str]:
    """What a judge of MiniLM's last layer says of a text, and the token where its query looks most.

    pool(states, query) is the pooling, anybody's: the judge's query and plane stay as they are.
    """
    model = MiniLM.load()
    ids = model.encode(text)
    states = 10 * functional.normalize(model.hidden(ids)[1:-1], dim=-1)
    word = model.words(ids)[1 + int((states @ judge.query).argmax())]
    good = judge.plane(pool(states, judge.query)) > 0
    return "good" if good else "bad", word


def counts_judged(*, others: int, negated: float = 0.0, seed: int = 0) -> float:
    """The share of the same 200 texts judged rightly by their counted words, with a linear head."""
    opinions = Opinions("words", seed)
    told, learned = opinions.lines(300, others=others, negated=negated, asked=False)
    held, asked = opinions.lines(200, others=others, negated=negated, asked=True)
    bags = counted([" ".join(text) for text in told + held])
    said = ridge_head(bags[:300], learned.long(), bags[300:])
    return (said == asked).float().mean().item()


@cache
def neutral() -> tuple[str, ...]:
    """Sentences without an opinion."""
    spoken = set(GOOD) | set(BAD)
    return tuple(x for x in sentences() if not spoken & set(words(x)))


@cache
def states_of(features: str) -> dict[str, Tensor]:
    """The states (m, 384) of each sentence's tokens, without [CLS] and [SEP], all of length 10.

    features is "table", the words' vectors before any layer, or "layer 6", what leaves the last.
    """
    model = MiniLM.load()
    said = [opinion(*each) for each in product(THINGS, (*GOOD, *BAD), (False, True))]
    found = {}
    for text in (*neutral(), *said):
        ids = model.encode(text)
        if features == "table":
            states = model.tensors["embeddings.word_embeddings.weight"][torch.tensor(ids)]
        else:
            states = model.hidden(ids)
        found[text] = 10 * functional.normalize(states[1:-1], dim=-1)
    return found
