"""Numbers in words, from English into German, with the alignment known: eighty seven, sieben und
achtzig. Four translators that differ in what they look up.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn

from attncourse.core.masks import padding_mask
from attncourse.mechanisms.dense.softmax import masked_softmax

_ONES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_EINS = (
    "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn"
)
_ZIGS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
ONES, TENS, EINS, ZIGS = (tuple(line.split()) for line in (_ONES, _TENS, _EINS, _ZIGS))
ENGLISH = (*ONES, *TENS, "hundred", "thousand")
GERMAN = (*EINS, *ZIGS, "hundert", "tausend", "eins", "und")
WORDS = dict(zip(ENGLISH, GERMAN, strict=False))  # word for word: "one" is always "ein"
PAD = len(ENGLISH)
END = len(GERMAN)  # also what stands before the first word
LONGEST = 14  # German words, and the end

Links = list[list[int]]  # for each German word the places of the English words that it may render


def english(number: int) -> list[str]:
    """A number from 1 to 999,999 in English words, without "and".

    >>> " ".join(english(487_206))
    'four hundred eighty seven thousand two hundred six'
    """
    return _in_words(number)[0]


def german(number: int) -> tuple[list[str], Links]:
    """A number in German words, and for each the places of the English words that it renders.

    "und" renders nothing, and may be linked with either of the two words that it joins.

    >>> german(87)
    (['sieben', 'und', 'achtzig'], [[1], [0, 1], [0]])
    """
    return _in_words(number)[1:]


def numbers(count: int, *, held_out: bool, generator: Generator) -> list[int]:
    """Random numbers of one to six digits. Multiples of seven are held out of every training."""
    found: list[int] = []
    while len(found) < count:
        digits = torch.randint(1, 7, (4 * count,), generator=generator)
        shares = torch.rand(4 * count, generator=generator, dtype=torch.float64)
        lows = 10.0 ** (digits - 1)
        drawn = (lows + shares * 9 * lows).long().tolist()
        found += [number for number in drawn if (number % 7 == 0) == held_out]
    return found[:count]


def encoded(drawn: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers as English words (b, m), which are none (b, 1, m), and German words (b, n).

    German lines end in END and are filled up with -1.
    """
    sources = [[ENGLISH.index(word) for word in english(number)] for number in drawn]
    targets = [[GERMAN.index(word) for word in german(number)[0]] + [END] for number in drawn]
    lengths = torch.tensor([len(line) for line in sources])
    m, n = int(lengths.max()), max(map(len, targets))
    source = torch.tensor([line + [PAD] * (m - len(line)) for line in sources])
    target = torch.tensor([line + [-1] * (n - len(line)) for line in targets])
    return source, padding_mask(lengths, m), target


class Translator(nn.Module):
    """Luong's translator in miniature: the writer's states are queries, a GRU's states are keys.

    The writer starts from zeros, so that all it knows of the source is what it looks up: one
    cross-attention over the states of a bidirectional GRU, which are keys and values.

    Source: Luong, Pham and Manning 2015, section 3.1, score "general", without input feeding.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.words = nn.Embedding(PAD + 1, width)
        self.written = nn.Embedding(END + 1, width)
        self.writer = nn.GRU(width, width, batch_first=True)
        self.w_q = nn.Parameter(torch.randn(width, width) / width**0.5)
        self.joined = nn.Linear(2 * width, width)
        self.choice = nn.Linear(width, END + 1)
        self._add_reader(width)

    def forward(self, source: Tensor, mask: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (b, n, words) of each next word, and the weights (b, n, m) of its lookup.

        before (b, n) are the words before each, the first of them END.
        """
        memory = self.read(source, mask)
        start = self.begin(memory, mask)
        states, _ = self.writer(self.written(before), start[None])
        context, weights = self.look_up(states, memory, mask)
        joined = torch.tanh(self.joined(torch.cat([states, context], dim=-1)))
        return self.choice(joined), weights

    def loss(self, drawn: Sequence[int]) -> Tensor:
        """The mean cross-entropy of the German words of some numbers, each told its predecessor."""
        source, mask, target = encoded(drawn)
        logits, _ = self(source, mask, _late(target))
        return functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-1)

    @torch.no_grad()
    def translate(self, drawn: Sequence[int]) -> tuple[list[list[str]], Tensor]:
        """What it writes by itself, always the likeliest word, and the weights (b, n, m)."""
        source, mask, _ = encoded(drawn)
        before = torch.full((len(drawn), 1), END)
        for _ in range(LONGEST):
            logits, weights = self(source, mask, before)
            before = torch.cat([before, logits[:, -1:].argmax(dim=-1)], dim=-1)
        return [_line(row) for row in before[:, 1:].tolist()], weights

    def read(self, source: Tensor, mask: Tensor) -> Tensor:
        """The memory (b, m, width): what is looked up of each English word."""
        lengths = mask[:, 0].sum(dim=-1)
        words = self.words(source)
        # packed, so that the reader that comes from the right begins with the last word
        packed = rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        memory, _ = rnn.pad_packed_sequence(
            self.reader(packed)[0], batch_first=True, total_length=source.shape[1]
        )
        return memory

    def begin(self, memory: Tensor, mask: Tensor) -> Tensor:
        """The writer's state (b, width) before its first word: zeros."""
        return torch.zeros_like(memory[:, 0])

    def look_up(self, states: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The contexts (b, n, width) for the writer's states, and their weights (b, n, m)."""
        scores = states @ self.w_q @ memory.mT / math.sqrt(memory.shape[-1])
        weights = masked_softmax(scores, mask)
        return weights @ memory, weights

    def _add_reader(self, width: int) -> None:
        self.reader = nn.GRU(width, width // 2, bidirectional=True, batch_first=True)


class ConvolutionTranslator(Translator):
    """The same translator over convolution features: each word with two neighbours on each side.

    Source: Gehring et al. 2016, "A convolutional encoder model", without its positions.
    """

    def read(self, source: Tensor, mask: Tensor) -> Tensor:
        """Two convolutions of three words, each added to what it was given."""
        x = self.words(source) * mask.mT
        for layer in (self.first, self.second):
            x = (x + torch.tanh(layer(x.mT).mT)) * mask.mT
        return x

    def _add_reader(self, width: int) -> None:
        self.first = nn.Conv1d(width, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)


class WordTranslator(Translator):
    """The same translator over the English words as they are: none knows its neighbours."""

    def read(self, source: Tensor, mask: Tensor) -> Tensor:
        """The words' own vectors."""
        return self.words(source)

    def _add_reader(self, width: int) -> None:
        pass


class FixedVectorTranslator(Translator):
    """The same translator without the lookup: the writer starts from the reader's last states.

    It is given them again beside each word. In place of weights it returns equal ones.

    Source: Cho et al. 2014, section 2.2.
    """

    def begin(self, memory: Tensor, mask: Tensor) -> Tensor:
        """The last state of the reader from the left, and of the one from the right."""
        last = mask[:, 0].sum(dim=-1) - 1
        forwards, backwards = memory.chunk(2, dim=-1)
        return torch.cat([forwards[torch.arange(len(memory)), last], backwards[:, 0]], dim=-1)

    def look_up(self, states: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same vector for every state."""
        context = self.begin(memory, mask)[:, None].expand_as(states)
        weights = mask / mask.sum(dim=-1, keepdim=True)
        return context, weights.expand(-1, states.shape[1], -1)


def word_for_word(number: int) -> list[str]:
    """What a dictionary gives: each English word exchanged, in its order.

    >>> " ".join(word_for_word(87))
    'achtzig sieben'
    """
    return [WORDS[word] for word in english(number)]


def train(model: Translator, steps: int, *, generator: Generator, rate: float = 0.005) -> None:
    """`steps` steps of Adam, each on 64 new numbers; the rate goes up, then down."""
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        loss = model.loss(numbers(64, held_out=False, generator=generator))
        adam.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rates.step()


def trained(make: Callable[[], Translator], steps: int, *, seed: int) -> Translator:
    """A translator after so many steps; the seed decides how it begins and what it is shown."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    train(model, steps, generator=Generator().manual_seed(seed))
    return model


def held_out(count: int) -> list[int]:
    """The same multiples of seven each time."""
    return numbers(count, held_out=True, generator=Generator().manual_seed(99))


def links(drawn: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Sure and possible links (b, n, m) of German words (n) to English ones (m)."""
    m = max(len(english(number)) for number in drawn)
    sure = torch.zeros(len(drawn), LONGEST, m, dtype=torch.bool)
    possible = sure.clone()
    for row, number in enumerate(drawn):
        for i, places in enumerate(german(number)[1]):
            possible[row, i, places] = True
            sure[row, i, places] = len(places) == 1
    return sure, possible


def alignment(weights: Tensor, lines: Sequence[Sequence[str]]) -> Tensor:
    """The links (b, n, m) that weights say: of each word written to where it looked most.

    lines are the words written; what comes after a line's end has no links.
    """
    found = functional.one_hot(weights.argmax(dim=-1), weights.shape[-1]).bool()
    lengths = torch.tensor([len(line) for line in lines])
    return found & (torch.arange(weights.shape[1]) < lengths[:, None])[..., None]


def _late(target: Tensor) -> Tensor:
    """The words before each word: END, then the target without its last."""
    start = torch.full_like(target[:, :1], END)
    return torch.cat([start, target[:, :-1].masked_fill(target[:, :-1] < 0, END)], dim=-1)


def _line(row: Sequence[int]) -> list[str]:
    """The words up to the end."""
    stop = row.index(END) if END in row else len(row)
    return [GERMAN[i] for i in row[:stop]]


def _in_words(number: int) -> tuple[list[str], list[str], Links]:
    if not 1 <= number <= 999_999:
        raise ValueError(f"a number must be from 1 to 999,999: got {number}")
    thousands, rest = divmod(number, 1000)
    source, target, found = _below_thousand(thousands, 0)
    if thousands:
        source, target, found = [*source, "thousand"], [*target, "tausend"], [*found, [len(source)]]
    more = _below_thousand(rest, len(source))
    if more[1][-1:] == ["ein"]:
        more[1][-1] = "eins"  # at the end of all
    return source + more[0], target + more[1], found + more[2]


def _below_thousand(number: int, first: int) -> tuple[list[str], list[str], Links]:
    """Both languages and their links, the first English word at the place `first`."""
    hundreds, rest = divmod(number, 100)
    source: list[str] = []
    target: list[str] = []
    if hundreds:
        source, target = [ONES[hundreds - 1], "hundred"], [EINS[hundreds - 1], "hundert"]
    found = [[first + i] for i in range(len(source))]
    place = first + len(source)
    tens, ones = divmod(rest, 10)
    if 0 < rest < 20:
        return [*source, ONES[rest - 1]], [*target, EINS[rest - 1]], [*found, [place]]
    if rest and not ones:
        return [*source, TENS[tens - 2]], [*target, ZIGS[tens - 2]], [*found, [place]]
    if rest:
        both = [TENS[tens - 2], ONES[ones - 1]]
        turned = [EINS[ones - 1], "und", ZIGS[tens - 2]]
        return source + both, target + turned, [*found, [place + 1], [place, place + 1], [place]]
    return source, target, found
