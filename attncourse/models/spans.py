"""Answers that stand in a text, and readers that point at them."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.reading import best_span
from attncourse.models.short_texts import words

PAIRS = (  # a thing, and what the question calls it
    *(("car", "automobile"), ("sofa", "couch"), ("rug", "carpet"), ("jacket", "coat")),
    *(("bicycle", "bike"), ("photo", "picture"), ("cup", "mug"), ("stone", "rock")),
    *(("gift", "present"), ("bag", "sack"), ("hat", "cap"), ("phone", "telephone")),
    *(("purse", "wallet"), ("parcel", "package"), ("rope", "cord"), ("shoe", "boot")),
    *(("kitten", "cat"), ("puppy", "dog"), ("newspaper", "journal"), ("medicine", "drug")),
)
SHOWN = 12  # pairs that a reader learns from
_PERSONS = "doctor sailor teacher baker pilot singer lawyer farmer nurse driver"
PERSONS = tuple(_PERSONS.split())
PLACES = (
    *("in the kitchen", "under the old bridge", "behind the door", "on the top shelf"),
    *("near the river", "in a small garden", "at the station", "beside the warm oven"),
    *("on the roof", "in the cellar", "under the bed", "at his office"),
)
SENTENCES = 4  # of a passage


def passage(pairs: list[int], generator: Generator) -> tuple[str, list[tuple[str, int, int]]]:
    """A text of four sentences, and for each a question with the answer's first and last letter."""
    things = [pairs[i] for i in torch.randperm(len(pairs), generator=generator)[:SENTENCES]]
    people = torch.randperm(len(PERSONS), generator=generator).tolist()
    places = torch.randperm(len(PLACES), generator=generator).tolist()
    text, asked = "", []
    for pair, person, place in zip(things, people, places, strict=False):
        thing, other = PAIRS[pair]
        text += f"The {PERSONS[person]} left the {thing} "
        asked.append((f"Where is the {other}?", len(text), len(text) + len(PLACES[place])))
        text += f"{PLACES[place]}. "
    return text.strip(), asked


class Questions:
    """Questions on passages as MiniLM reads them; things that are asked are none of those shown.

    question (b, 384) is the mean of a question's tokens, states (b, m, 384) are the passage's
    tokens, around (b, m, 384) is for each of them the mean over its sentence, mask (b, m) tells
    which are none of the padding, first and last (b,) are the answer's.
    """

    def __init__(self, passages: int, *, asked: bool, seed: int) -> None:
        generator = Generator().manual_seed(seed)
        order = torch.randperm(len(PAIRS), generator=Generator().manual_seed(seed // 2)).tolist()
        pairs = order[SHOWN:] if asked else order[:SHOWN]
        model = MiniLM.load()
        self.texts: list[str] = []
        self.asked: list[str] = []
        questions, states, around, ends = [], [], [], []
        for _ in range(passages):
            text, asking = passage(pairs, generator)
            coded = model.tokenizer.encode(text)
            read = model.hidden(list(coded.ids))
            means = sentence_means(read, model.words(text))
            for question, begin, end in asking:
                inside = [i for i, (a, b) in enumerate(coded.offsets) if begin <= a < b <= end]
                questions.append(model.hidden(model.encode(question)).mean(dim=0))
                states.append(read)
                around.append(means)
                ends.append((inside[0], inside[-1]))
                self.texts.append(text)
                self.asked.append(question)
        lengths = torch.tensor([len(row) for row in states])
        self.question = torch.stack(questions)
        self.states = nn.utils.rnn.pad_sequence(states, batch_first=True)
        self.around = nn.utils.rnn.pad_sequence(around, batch_first=True)
        self.mask = torch.arange(self.states.shape[1]) < lengths[:, None]
        self.first, self.last = torch.tensor(ends).unbind(dim=-1)


def sentence_means(states: Tensor, labels: Sequence[str]) -> Tensor:
    """For each token (m, d) the mean over the tokens of its sentence, which ends with a point."""
    ends = torch.tensor([label == "." for label in labels]).long()
    number = ends.cumsum(dim=0) - ends
    same = (number[:, None] == number).to(states.dtype)
    return same @ states / same.sum(dim=-1, keepdim=True)


class SpanReader(nn.Module):
    """Points at an answer: the question is a query, once for its first token, once for its last.

    The weights themselves are what is asked for. A token's key is the mean over its sentence, since
    it has to fit the question; what a first and a last token look like is learned beside that.

    Source: a pointer as of Vinyals et al. 2015; start and end as of Seo et al. 2016.
    """

    def __init__(self, d: int = 384) -> None:
        super().__init__()
        self.likeness = nn.Parameter(torch.ones(2))
        self.plain = nn.Parameter(torch.zeros(2, d))

    def forward(self, asked: Questions, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Start and end logits, each (rows, m), of some of the questions."""
        fits = (self.keys(asked)[rows] @ asked.question[rows][..., None]).mT
        looks = self.plain @ asked.states[rows].mT
        scores = self.likeness[:, None] * fits + looks
        start, end = scores.masked_fill(~asked.mask[rows][:, None], -torch.inf).unbind(dim=1)
        return start, end

    def keys(self, asked: Questions) -> Tensor:
        """What is compared with the question (b, m, d)."""
        return asked.around


class TokenReader(SpanReader):
    """The same with each token's own state as its key."""

    def keys(self, asked: Questions) -> Tensor:
        """The tokens as they are (b, m, d)."""
        return asked.states


class BlindReader(SpanReader):
    """The same without the question: all keys are zeros."""

    def keys(self, asked: Questions) -> Tensor:
        """Nothing to compare with (b, m, d)."""
        return torch.zeros_like(asked.states)


def trained(model: SpanReader, told: Questions, *, seed: int, steps: int = 150) -> SpanReader:
    """The reader after so many steps of AdamW, on 64 questions each."""
    generator = Generator().manual_seed(seed)
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(steps):
        rows = torch.randint(len(told.first), (64,), generator=generator)
        start, end = model(told, rows)
        loss = functional.cross_entropy(start, told.first[rows])
        loss = loss + functional.cross_entropy(end, told.last[rows])
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    return model


@torch.no_grad()
def pointed(model: SpanReader, held: Questions) -> tuple[Tensor, Tensor]:
    """The first and the last token (b,) of each answer, at most six tokens long."""
    return best_span(*model(held, torch.arange(len(held.first))), longest=6)


def answered(model: SpanReader, held: Questions) -> float:
    """The share of questions whose answer it points at, first and last token."""
    first, last = pointed(model, held)
    return ((first == held.first) & (last == held.last)).float().mean().item()


def by_shared_words(held: Questions) -> float:
    """The share of questions whose sentence shares most words with them; the first of equal ones.

    Where in the sentence the answer begins and ends is given away.
    """
    right = []
    for place, (text, question) in enumerate(zip(held.texts, held.asked, strict=True)):
        common = [len(set(words(line)) & set(words(question))) for line in text.split(".")]
        right.append(common.index(max(common)) == place % SENTENCES)
    return sum(right) / len(right)
