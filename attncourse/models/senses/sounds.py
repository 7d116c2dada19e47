"""Speech in miniature: letters to sounds, sounds to letters, and the tone of a voice.

A frame is a spectrum of 16 numbers. A letter sounds for two to five frames at two pitches, softly
in the first, so that a letter said twice is not one said long; each speaker is a bit higher or not.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.positions import sinusoidal_positions
from attncourse.mechanisms.dense.softmax import softmax
from attncourse.models.blocks import Linear
from attncourse.models.senses.training import begun, fit, share

LETTERS = "aeioumns"
BANDS, SAID, FRAMES = 16, 4, 20  # numbers of a frame; letters of a word; frames of a recording
LENGTHS = torch.tensor([5, 4, 4, 5, 3, 2, 3, 2])  # frames of each letter when a machine speaks


def pitches() -> Tensor:
    """The spectrum of each letter (8, 16) of a low speaker: two pitches each."""
    low = torch.tensor([1, 1, 3, 3, 5, 5, 7, 7])
    high = low + torch.tensor([4, 7] * 4)
    return functional.one_hot(low, BANDS).float() + functional.one_hot(high, BANDS).float()


def recordings(
    count: int, generator: Generator, *, spoken: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames (count, 20, 16), words (count, 4), and which letter sounds in each frame (count, 20).

    What comes after the word is noise alone, and letter 8. spoken: lengths, speaker and noise are
    drawn anew; else each letter has its length, the speaker is low, and there is no noise.
    """
    words = torch.randint(len(LETTERS), (count, SAID), generator=generator)
    lengths = LENGTHS[words]
    if spoken:
        lengths = torch.randint(2, 6, words.shape, generator=generator)
    ends = lengths.cumsum(dim=-1)
    t = torch.arange(FRAMES)
    place = (t[:, None] >= ends[:, None]).sum(dim=-1)  # which letter of the word, 4 after it
    letters = functional.pad(words, (0, 1), value=len(LETTERS)).gather(1, place)
    starts = functional.pad(ends - lengths, (0, 1), value=FRAMES).gather(1, place)
    loud = torch.where(t == starts, 0.5, 1.0)[..., None]
    frames = loud * functional.pad(pitches(), (0, 0, 0, 1))[letters]
    if spoken:
        high = torch.rand(count, 1, 1, generator=generator) < 0.5
        frames = frames.roll(1, dims=-1).where(high, frames)
        frames = frames + 0.35 * torch.randn(frames.shape, generator=generator)
    return frames, words, letters


class Listener(nn.Module):
    """Frames through a GRU in both directions; each letter looks the frames up, or the last states.

    The query of a letter is its place in the word and the letter before it.
    """

    def __init__(self, kind: str, seed: int, d: int = 24) -> None:
        super().__init__()
        self.kind = kind
        self.hear = nn.GRU(BANDS, d, bidirectional=True, batch_first=True)
        self.before = nn.Parameter(torch.empty(len(LETTERS) + 1, d))
        self.asked = nn.Parameter(torch.empty(SAID, d))
        self.w_q, self.w_k = (nn.Parameter(torch.empty(r, d)) for r in (d, 2 * d))
        self.middle, self.last = Linear(3 * d, 2 * d), Linear(2 * d, len(LETTERS))
        begun(self, seed)

    def forward(self, frames: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (b, 4, 8) of each letter given those before it, and weights (b, 4, 20)."""
        states, last = self.hear(frames)
        start = torch.full_like(words[:, :1], len(LETTERS))
        x = self.before[torch.cat([start, words[:, :-1]], dim=-1)] + self.asked
        if self.kind == "attention":
            q, k = x @ self.w_q, states @ self.w_k
            weights = softmax(q @ k.mT / q.shape[-1] ** 0.5)
            found = weights @ states
        else:
            weights = torch.full((len(frames), SAID, FRAMES), 1 / FRAMES)
            found = last.transpose(0, 1).flatten(1)[:, None].expand(-1, SAID, -1)
        return self.last(functional.gelu(self.middle(torch.cat([x, found], dim=-1)))), weights

    @torch.no_grad()
    def write(self, frames: Tensor) -> Tensor:
        """The word (b, 4) that is heard, letter by letter."""
        words = torch.zeros(len(frames), SAID, dtype=torch.int64)
        for i in range(SAID):
            words[:, i] = self(frames, words)[0][:, i].argmax(dim=-1)
        return words


class FrameReader(nn.Module):
    """Without attention: each frame and its neighbours name a letter or none; a run is one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.first, self.last = Linear(3 * BANDS, 48), Linear(48, len(LETTERS) + 1)
        begun(self, seed)

    def forward(self, frames: Tensor) -> Tensor:
        """The logits (b, 20, 9)."""
        near = functional.pad(frames, (0, 0, 1, 1)).unfold(1, 3, 1).flatten(2)
        return self.last(functional.gelu(self.first(near)))

    @torch.no_grad()
    def write(self, frames: Tensor) -> Tensor:
        """The first four runs (b, 4) of frames with one letter; -1 where there are fewer."""
        found = []
        for row in self(frames).argmax(dim=-1):
            runs = torch.unique_consecutive(row)
            runs = runs[runs < len(LETTERS)][:SAID]
            found.append(functional.pad(runs, (0, SAID - len(runs)), value=-1))
        return torch.stack(found)


def train_listener(kind: str, steps: int, *, seed: int) -> Listener | FrameReader:
    """Trained on 32 new recordings a step; kind is "attention", "last state" or "frames"."""
    model = FrameReader(seed) if kind == "frames" else Listener(kind, seed)

    def loss(generator: Generator) -> Tensor:
        frames, words, letters = recordings(32, generator)
        if isinstance(model, FrameReader):
            return functional.cross_entropy(model(frames).flatten(0, 1), letters.flatten())
        return functional.cross_entropy(model(frames, words)[0].flatten(0, 1), words.flatten())

    fit(model, loss, steps, rate=0.006, seed=seed)
    return model


def heard(model: Listener | FrameReader, seed: int, count: int = 400) -> float:
    """The share of letters of recordings that are heard right, each at its place."""
    frames, words, _ = recordings(count, Generator().manual_seed(1000 + seed))
    return share(model.write(frames) == words)


@torch.no_grad()
def in_order(model: Listener, seed: int, count: int = 400) -> float:
    """The share of steps from a letter to the next at which the middle of the weights moves on."""
    frames, words, _ = recordings(count, Generator().manual_seed(1000 + seed))
    middle = model(frames, words)[1] @ torch.arange(float(FRAMES))
    return share(middle.diff(dim=-1) > 0)


class Speaker(nn.Module):
    """Letters to frames: each frame, a place in time, looks up which letter it belongs to."""

    clock: Tensor

    def __init__(self, seed: int, d: int = 32) -> None:
        super().__init__()
        self.letters = nn.Parameter(torch.empty(len(LETTERS), d))
        self.read = nn.GRU(d, d // 2, bidirectional=True, batch_first=True)
        self.time, self.key = Linear(d, d), Linear(d, d)
        self.middle, self.last = Linear(2 * d, 2 * d), Linear(2 * d, BANDS)
        self.register_buffer("clock", sinusoidal_positions(FRAMES, d), persistent=False)
        begun(self, seed)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (b, 20, 16), and for each the weights (b, 20, 4) of the letters."""
        memory = self.read(self.letters[words])[0]
        q, k = self.time(self.clock), self.key(memory)
        weights = softmax(q @ k.mT / 4)
        x = torch.cat(
            [weights @ self.letters[words], self.clock.expand(len(words), -1, -1)], dim=-1
        )
        return self.last(functional.gelu(self.middle(x))), weights


def train_speaker(steps: int, *, seed: int) -> Speaker:
    """Trained on 32 words a step to make the frames of a low speaker without noise."""
    model = Speaker(seed)

    def loss(generator: Generator) -> Tensor:
        frames, words, _ = recordings(32, generator, spoken=False)
        return (model(words)[0] - frames).square().sum(dim=-1).mean()

    fit(model, loss, steps, rate=0.008, seed=seed)
    return model


@torch.no_grad()
def spoken(
    speaker: Speaker | None, listener: Listener, seed: int, count: int = 400
) -> tuple[float, float]:
    """How far what was made of words is from how it should sound, and how much of it is understood.

    The first is the squared distance of a frame over that of silence, the second the share of
    letters that a listener hears right. None is a speaker without attention: each letter has a
    quarter of the word's frames.
    """
    real, words, letters = recordings(count, Generator().manual_seed(1000 + seed), spoken=False)
    if speaker is not None:
        made = speaker(words)[0]
    else:
        whole = (letters < len(LETTERS)).sum(dim=-1, keepdim=True)
        place = (SAID * torch.arange(FRAMES) // whole).clamp(max=SAID)
        even = functional.pad(words, (0, 1), value=len(LETTERS)).gather(1, place)
        made = functional.pad(pitches(), (0, 0, 0, 1))[even]
    far = (made - real).square().sum() / real.square().sum()
    return far.item(), share(listener.write(made) == words)


TONES = ("rising", "falling", "level", "broken")


def voices(count: int, generator: Generator, *, m: int = 24) -> tuple[Tensor, Tensor]:
    """Voices (count, m, 5) and the tone of each (count,): that of its loudest frame.

    A frame is four numbers for its tone, with noise, and the logarithm of its loudness. How loud a
    speaker is in all is drawn for each voice, from a whisper to twenty times that.
    """
    tones = torch.randint(len(TONES), (count, m), generator=generator)
    loud = 0.7 * torch.randn(count, m, generator=generator)
    stressed = torch.randint(m, (count, 1), generator=generator)
    top = loud.amax(dim=-1, keepdim=True) + 0.7
    loud = loud.scatter(1, stressed, top) + 3 * torch.rand(count, 1, generator=generator) - 1.5
    shown = functional.one_hot(tones, len(TONES)).float()
    shown = shown + 0.3 * torch.randn(shown.shape, generator=generator)
    return torch.cat([shown, loud[..., None]], dim=-1), tones.gather(1, stressed)[:, 0]


class Pooled(nn.Module):
    """A network for each frame, then one vector of all: their mean, their maximum, or a lookup."""

    def __init__(self, kind: str, seed: int, d: int = 24) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second, self.last = Linear(5, d), Linear(d, d), Linear(d, len(TONES))
        self.query = nn.Parameter(torch.empty(d))
        begun(self, seed)

    def forward(self, voices: Tensor) -> Tensor:
        """The logits (..., 4)."""
        x = self.frames(voices)
        if self.kind == "mean":
            return self.last(x.mean(dim=-2))
        if self.kind == "maximum":
            return self.last(x.amax(dim=-2))
        return self.last((self.weights(x)[..., None, :] @ x)[..., 0, :])

    def frames(self, voices: Tensor) -> Tensor:
        """What the network makes of each frame (..., m, d)."""
        return self.second(functional.gelu(self.first(voices)))

    def weights(self, x: Tensor) -> Tensor:
        """The weight of each frame (..., m)."""
        return softmax(x @ self.query)


def train_pooled(kind: str, steps: int, *, seed: int) -> Pooled:
    """Trained on 64 new voices a step; kind is "mean", "maximum" or "attention"."""
    model = Pooled(kind, seed)

    def loss(generator: Generator) -> Tensor:
        x, tone = voices(64, generator)
        return functional.cross_entropy(model(x), tone)

    fit(model, loss, steps, rate=0.01, seed=seed)
    return model


@torch.no_grad()
def felt(model: Pooled, seed: int, count: int = 1000) -> float:
    """The share of voices whose tone is told."""
    x, tone = voices(count, Generator().manual_seed(1000 + seed))
    return share(model(x).argmax(dim=-1) == tone)
