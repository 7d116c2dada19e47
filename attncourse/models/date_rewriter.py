"""A small translator of dates, character by character: "3 march 1994" to "1994-03-03"."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn

from attncourse.core.masks import padding_mask
from attncourse.mechanisms.dense.additive import additive_scores
from attncourse.mechanisms.dense.softmax import masked_softmax

YEAR = "january february march april may june july august september october november december"
MONTHS = tuple(YEAR.split())
LETTERS = " -0123456789" + "".join(sorted(set("".join(MONTHS))))


class DateRewriter(nn.Module):
    """Bahdanau's translator in miniature: for each character that it writes, it looks one up.

    A bidirectional GRU reads the source; its states are keys and values. A second GRU writes, and
    its state before each character is the query of an additive attention.

    Source: Bahdanau, Cho and Bengio 2014, section 3 and appendix A.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.table = nn.Embedding(len(LETTERS), width)
        self.reader = nn.GRU(width, width, bidirectional=True, batch_first=True)
        self.writer = nn.GRUCell(3 * width, 2 * width)
        self.choice = nn.Linear(4 * width, len(LETTERS))
        self.w_q = nn.Parameter(torch.randn(2 * width, width) / (2 * width) ** 0.5)
        self.w_k = nn.Parameter(torch.randn(2 * width, width) / (2 * width) ** 0.5)
        self.u = nn.Parameter(torch.randn(width) / width**0.5)

    def forward(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Logits (b, n, letters) of n characters each, and the weights (b, n, m) of their lookups.

        Each character is told its predecessor in the target, as in training.
        """
        return self._write(sources, len(targets[0]), encoded(targets))

    def loss(self, sources: Sequence[str], targets: Sequence[str]) -> Tensor:
        """The mean cross-entropy of the targets' characters."""
        logits = self(sources, targets)[0]
        return functional.cross_entropy(logits.flatten(0, 1), encoded(targets).flatten())

    @torch.no_grad()
    def rewrite(self, sources: Sequence[str], length: int = 10) -> tuple[list[str], Tensor]:
        """What it writes by itself, `length` characters each, and the weights (b, length, m)."""
        logits, weights = self._write(sources, length, None)
        return ["".join(LETTERS[i] for i in row) for row in logits.argmax(dim=-1)], weights

    def look_up(self, state: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The context (b, 2 width) for a writer's state, and the weights (b, m) that made it.

        memory (b, m, 2 width) are the reader's states, of which mask (b, 1, m) hides the padding.
        """
        scores = additive_scores(state[:, None], memory, self.w_q, self.w_k, self.u)
        weights = masked_softmax(scores, mask)
        return (weights @ memory)[:, 0], weights[:, 0]

    def read(self, sources: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The reader's states (b, m, 2 width), zeros at padding, and which are none (b, 1, m)."""
        lengths = torch.tensor([len(line) for line in sources])
        letters = self.table(encoded(sources))
        # packed, so that the reader that comes from the right begins with the last character
        packed = rnn.pack_padded_sequence(letters, lengths, batch_first=True, enforce_sorted=False)
        memory, _ = rnn.pad_packed_sequence(self.reader(packed)[0], batch_first=True)
        return memory, padding_mask(lengths, memory.shape[1])

    def _write(
        self, sources: Sequence[str], length: int, targets: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        memory, mask = self.read(sources)
        state = torch.zeros_like(memory[:, 0])
        letter = torch.zeros(len(sources), dtype=torch.int64)  # a space, before the first
        logits, weights = [], []
        for i in range(length):
            context, looked = self.look_up(state, memory, mask)
            state = self.writer(torch.cat([self.table(letter), context], dim=-1), state)
            logits.append(self.choice(torch.cat([state, context], dim=-1)))
            weights.append(looked)
            letter = logits[-1].argmax(dim=-1) if targets is None else targets[:, i]
        return torch.stack(logits, dim=1), torch.stack(weights, dim=1)


class FixedVectorRewriter(DateRewriter):
    """The same translator without the lookup: it writes from one vector, made when it had read all.

    The vector is the reader's two last states, one of each direction, as of encoders before 2014.
    Nothing is weighted; in place of weights it gives equal ones.

    Source: Cho et al. 2014, Sutskever et al. 2014; Bahdanau et al. 2014, section 2.1.
    """

    def look_up(self, state: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same vector (b, 2 width) whatever the state, and equal weights (b, m)."""
        last = mask[:, 0].sum(dim=-1) - 1
        forwards, backwards = memory.chunk(2, dim=-1)
        rows = torch.arange(len(memory))
        context = torch.cat([forwards[rows, last], backwards[:, 0]], dim=-1)
        return context, mask[:, 0] / mask[:, 0].sum(dim=-1, keepdim=True)


def dates(count: int, *, each: int = 1, generator: Generator) -> tuple[list[str], list[str]]:
    """`count` lines of `each` random dates between 1900 and 2099, as said and as written.

    >>> dates(1, each=2, generator=torch.Generator().manual_seed(1))
    (['4 january 1945 14 september 2039'], ['1945-01-04 2039-09-14'])
    """
    shape = (count, each)
    years = torch.randint(1900, 2100, shape, generator=generator).tolist()
    months = torch.randint(12, shape, generator=generator).tolist()
    days = torch.randint(1, 29, shape, generator=generator).tolist()
    said, written = [], []
    for line in zip(years, months, days, strict=True):
        triples = list(zip(*line, strict=True))
        said.append(" ".join(f"{day} {MONTHS[month]} {year}" for year, month, day in triples))
        written.append(" ".join(f"{y}-{month + 1:02d}-{day:02d}" for y, month, day in triples))
    return said, written


def train(
    model: DateRewriter, steps: int, *, each: int = 1, generator: Generator, rate: float = 0.015
) -> None:
    """`steps` steps of Adam, each on 32 new lines of `each` dates."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        loss = model.loss(*dates(32, each=each, generator=generator))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()


def encoded(lines: Sequence[str]) -> Tensor:
    """Lines as numbers (b, m), padded with spaces at the right. Raises ValueError."""
    if strange := set("".join(lines)) - set(LETTERS):
        raise ValueError(f"a line is made of {LETTERS!r}: got {min(strange)!r} in it")
    longest = max(map(len, lines))
    return torch.tensor([[LETTERS.index(c) for c in line.ljust(longest)] for line in lines])
