"""Pictures of two shapes and what is said of them: captions, and which fits which picture."""

import itertools
from typing import cast

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.self_attention import cross_attention
from attncourse.models.blocks import Attention, Linear
from attncourse.models.senses.training import begun, block, fit, share, weights_of

SHAPES = {
    "block": "### ### ###",
    "ring": "### #.# ###",
    "plus": ".#. ### .#.",
    "cross": "#.# .#. #.#",
    "corner": "#.. #.. ###",
}
WORDS = (*SHAPES, "above", "left of")
START = len(WORDS)
CAPTIONS = torch.tensor(
    [[a, r, b] for r in (5, 6) for a, b in itertools.permutations(range(len(SHAPES)), 2)]
)


@checked
def contrastive_loss(
    images: Float[Tensor, "b d"], texts: Float[Tensor, "b d"], *, temperature: float
) -> Float[Tensor, ""]:
    """How hard it is to find each image's text among b, and each text's image: the mean of both.

    Row i of images belongs to row i of texts. Both are brought to length 1; the scores, their
    cosines, are divided by the temperature. The loss is the mean surprise at the right text of an
    image (softmax over a row of the scores) and at the right image of a text (over a column). Time
    b^2 d, memory b^2. Raises ValueError unless temperature is positive.

    Source: Radford et al. 2021, figure 3.

    >>> two = torch.eye(2)
    >>> round(contrastive_loss(two, two, temperature=1.0).item(), 3)  # ln(1 + 1/e)
    0.313
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got temperature={temperature}")
    a, b = functional.normalize(images, dim=-1), functional.normalize(texts, dim=-1)
    return pair_loss(a @ b.mT / temperature)


def pair_loss(scores: Tensor) -> Tensor:
    """The mean surprise at the diagonal of scores (b, b), over rows and over columns."""
    right = torch.arange(len(scores), device=scores.device)
    return (
        functional.cross_entropy(scores, right) + functional.cross_entropy(scores.mT, right)
    ) / 2


def pictures(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pictures (count, 1, 15, 15), and the number of the caption of each (count,).

    Two of five shapes in two of nine cells, shifted by up to two pixels, in noise. The caption
    names first what stands above, or on the left if both stand in one row.
    """
    number = torch.randint(len(CAPTIONS), (count,), generator=generator)
    cells = torch.tensor(list(itertools.combinations(range(9), 2)))
    level = cells[:, 0] // 3 == cells[:, 1] // 3
    fits = level == (CAPTIONS[number, 1] == 6)[:, None]  # (count, 36)
    drawn = (torch.rand(fits.shape, generator=generator) - 2.0 * ~fits).argmax(dim=-1)
    images = torch.zeros(count, 15, 15)
    rows = torch.arange(count)[:, None, None]
    for place, kind in zip(cells[drawn].T, CAPTIONS[number][:, ::2].T, strict=True):
        shift = torch.randint(3, (2, count), generator=generator)
        y = (place // 3 * 5 + shift[0])[:, None, None] + torch.arange(3)[:, None]
        x = (place % 3 * 5 + shift[1])[:, None, None] + torch.arange(3)
        images[rows, y, x] = _dots()[kind]
    return (images + 0.15 * torch.randn(images.shape, generator=generator))[:, None], number


def _dots() -> Tensor:
    """The five shapes (5, 3, 3)."""
    rows = [[[float(c == "#") for c in row] for row in text.split()] for text in SHAPES.values()]
    return torch.tensor(rows)


class Eye(nn.Module):
    """Nine vectors of a picture: two convolutions, the place, a network of both: (..., 9, d)."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.near, self.cell = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, d, 5, stride=5)
        self.places = nn.Parameter(torch.empty(9, d))
        self.bind, self.out = Linear(d, 2 * d), Linear(2 * d, d)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 1, 15, 15)."""
        x = self.cell(functional.gelu(self.near(images)))
        x = functional.gelu(x.flatten(-2).mT) + self.places
        return x + self.out(functional.gelu(self.bind(x)))


class Captioner(nn.Module):
    """A word from the words before it and from nine vectors, or from their mean alone."""

    def __init__(self, kind: str, seed: int, d: int = 32) -> None:
        super().__init__()
        self.kind, self.eye, self.layer = kind, Eye(d), block(d, cross=True)
        self.words = nn.Parameter(torch.empty(START + 1, d))
        self.asked = nn.Parameter(torch.empty(3, d))
        self.last = Linear(d, START)
        begun(self, seed)

    def forward(self, images: Tensor, said: Tensor) -> Tensor:
        """The logits (b, n, 7) of each of n words, given those before it in `said` (b, n)."""
        memory = self._memory(images)
        return self.last(
            self.layer(self._asking(said), memory, mask=causal_mask(*2 * said.shape[-1:]))
        )

    def _memory(self, images: Tensor) -> Tensor:
        seen = self.eye(images)
        return seen if self.kind == "attention" else seen.mean(dim=-2, keepdim=True)

    def _asking(self, said: Tensor) -> Tensor:
        before = torch.cat([torch.full_like(said[:, :1], START), said[:, :-1]], dim=-1)
        return self.words[before] + self.asked[: said.shape[-1]]

    @torch.no_grad()
    def write(self, images: Tensor) -> Tensor:
        """The caption (b, 3), the likeliest word after the other."""
        said = torch.zeros(len(images), 3, dtype=torch.int64)
        for i in range(3):
            said[:, i] = self(images, said)[:, i].argmax(dim=-1)
        return said

    @torch.no_grad()
    def looked_at(self, images: Tensor, said: Tensor) -> Tensor:
        """The weights (b, 3, 9) by which each word looks at the picture, the mean of the heads."""
        x, part = self._asking(said), self.layer
        y = part.norms[0](x)
        x = x + part.attention(y, y, causal_mask(3, 3))
        cross = cast(Attention, part.cross_attention)
        return weights_of(cross, part.norms[1](x), self._memory(images)).mean(dim=-3)


def train_captioner(kind: str, steps: int, *, seed: int) -> Captioner:
    """A captioner trained on 32 new pictures a step; kind is "attention" or "one vector"."""
    model = Captioner(kind, seed)

    def loss(generator: Generator) -> Tensor:
        images, number = pictures(32, generator)
        said = CAPTIONS[number]
        return functional.cross_entropy(model(images, said).flatten(0, 1), said.flatten())

    fit(model, loss, steps, rate=0.004, seed=seed)
    return model


def captioned(model: Captioner, seed: int, count: int = 400) -> float:
    """The share of captions that are right, all three words."""
    images, number = pictures(count, Generator().manual_seed(1000 + seed))
    return share((model.write(images) == CAPTIONS[number]).all(dim=-1))


class Matcher(nn.Module):
    """How well captions fit pictures. Words are 24 wide, the nine vectors of a picture 32.

    kind "two vectors": each side is brought to one vector of width 16, and they are compared.
    kind "cross": each word looks the picture up, 24 against 32, and is compared with what it found.
    kind "bag of words": as the first, but a caption is the mean of its words, whatever their order.
    """

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__()
        self.kind, self.eye = kind, Eye(32)
        self.words = nn.Parameter(torch.empty(len(WORDS), 24))
        self.places = nn.Parameter(torch.empty(3, 24))
        self.read = block(24)
        self.text, self.see = Linear(24, 16), Linear(32, 16)
        self.w_q, self.w_k, self.w_v = (nn.Parameter(torch.empty(d, 16)) for d in (24, 32, 32))
        begun(self, seed)

    def forward(self, images: Tensor, captions: Tensor) -> Tensor:
        """Cosines (b, c), over a temperature of 0.1, of pictures with captions (c, 3)."""
        seen, words = self.eye(images), self.words[captions]
        if self.kind != "bag of words":
            words = self.read(words + self.places)
        if self.kind != "cross":
            a, b = self.see(seen.mean(dim=-2)), self.text(words.mean(dim=-2))
            return functional.cosine_similarity(a[:, None], b, dim=-1) / 0.1
        found = cross_attention(
            words.expand(len(images), -1, -1, -1),
            seen[:, None].expand(-1, len(captions), -1, -1),
            *(self.w_q, self.w_k, self.w_v),
        )
        return functional.cosine_similarity(found, self.text(words), dim=-1).mean(dim=-1) / 0.1


def train_matcher(kind: str, steps: int, *, seed: int) -> Matcher:
    """A matcher trained on 32 new pairs a step, each against the others'."""
    model = Matcher(kind, seed)

    def loss(generator: Generator) -> Tensor:
        images, number = pictures(32, generator)
        return pair_loss(model(images, CAPTIONS[number]))

    fit(model, loss, steps, rate=0.004, seed=seed)
    return model


@torch.no_grad()
def picked(model: Matcher, seed: int, count: int = 400) -> tuple[float, float]:
    """The share of pictures whose caption is picked of all 40, and of two with shapes exchanged."""
    images, number = pictures(count, Generator().manual_seed(1000 + seed))
    scores = model(images, CAPTIONS)
    swapped = (CAPTIONS[number][:, None].flip(-1) == CAPTIONS).all(dim=-1)
    right, other = scores.gather(1, number[:, None])[:, 0], scores[swapped]
    even = (right - other).abs() < 1e-4
    two = (right > other).float().where(~even, torch.tensor(0.5))
    return share(scores.argmax(dim=-1) == number), two.mean().item()
