"""Detection as a set: queries that each answer with a box, matched with the objects that are there.

A box is (middle across, middle down, width, height), as shares of the image.
"""

import itertools

import torch
from jaxtyping import Float, Integer
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.shapes import checked
from attncourse.models.blocks import Linear
from attncourse.models.senses.training import begun, block, fit
from attncourse.models.vision_transformer import cut_patches

SIDE, QUERIES, MOST = 12, 4, 3  # pixels, answers of a model, objects of a scene


@checked
def match_boxes(cost: Float[Tensor, "... q t"]) -> Integer[Tensor, "... t"]:
    """For each of t objects the query that answers for it, no query twice, at least cost in all.

    cost (..., q, t): what it costs to let a query answer for an object. Every assignment is tried,
    q! / (q - t)! of them, in memory of as many times t numbers: for up to some six queries. With
    the hundred of DETR it is the Hungarian algorithm, in time q t^2. Raises ValueError if there are
    fewer queries than objects.

    Source: Carion et al. 2020, section 3.1, equation 1.

    >>> match_boxes(torch.tensor([[1.0, 2.0], [2.0, 9.0]]))  # not the cheapest one first
    tensor([1, 0])
    """
    q, t = cost.shape[-2:]
    if q < t:
        raise ValueError(f"there must be a query for each object: got q={q} and t={t}")
    every = list(itertools.permutations(range(q), t))
    ways = torch.tensor(every, dtype=torch.int64, device=cost.device).view(len(every), t)
    price = cost[..., ways, torch.arange(t, device=cost.device)].sum(dim=-1)
    return ways[price.argmin(dim=-1)]


def scenes(count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Images (count, 1, 12, 12), boxes (count, 3, 4), and which boxes there are (count, 3).

    One to three rectangles of 3 to 5 pixels a side, that do not touch, in noise; in random order.
    """
    drawn = _corners(count, generator)
    wrong = _touching(drawn)
    while wrong.any():
        drawn[wrong] = _corners(int(wrong.sum()), generator)
        wrong = _touching(drawn)
    many = torch.randint(1, MOST + 1, (count, 1), generator=generator)
    there = torch.arange(MOST) < many
    pixel = torch.arange(SIDE)
    across = (pixel >= drawn[..., :1]) & (pixel < drawn[..., :1] + drawn[..., 2:3])
    down = (pixel >= drawn[..., 1:2]) & (pixel < drawn[..., 1:2] + drawn[..., 3:])
    filled = (down[..., :, None] & across[..., None, :]) & there[..., None, None]
    images = filled.any(dim=1).float()[:, None]
    images = images + 0.15 * torch.randn(images.shape, generator=generator)
    corner, size = drawn[..., :2], drawn[..., 2:]
    return images, torch.cat([corner + size / 2, size.float()], dim=-1) / SIDE, there


def _corners(count: int, generator: Generator) -> Tensor:
    """Left, top, width and height (count, 3, 4) in pixels."""
    size = torch.randint(3, 6, (count, MOST, 2), generator=generator)
    corner = (torch.rand(count, MOST, 2, generator=generator) * (SIDE - size + 1)).long()
    return torch.cat([corner, size], dim=-1)


def _touching(drawn: Tensor) -> Tensor:
    """Which scenes (count,) have two rectangles without a pixel between them."""
    low, high = drawn[..., :2], drawn[..., :2] + drawn[..., 2:]
    apart = (low[:, :, None] > high[:, None]) | (low[:, None] > high[:, :, None])
    pairs = torch.triu(torch.ones(MOST, MOST, dtype=torch.bool), diagonal=1)
    return (~apart.any(dim=-1) & pairs).flatten(1).any(dim=-1)


class Detector(nn.Module):
    """Four answers, each a box and whether it is there: logits (..., 4, 5).

    kind "queries": 36 patches through one layer, then four learned queries that look at them and at
    each other, in two layers. kind "convolution": two convolutions, and one matrix for all answers.
    """

    def __init__(self, kind: str, seed: int, d: int = 32) -> None:
        super().__init__()
        self.kind = kind
        if kind == "convolution":
            self.seen = nn.ModuleList(
                [nn.Conv2d(1, d, 3, padding=1), nn.Conv2d(d, d, 3, stride=2, padding=1)]
            )
            self.last = Linear(d * 36, QUERIES * 5)
        else:
            self.first, self.last = Linear(4, d), Linear(d, 5)
            self.places = nn.Parameter(torch.empty(36, d))
            self.queries = nn.Parameter(torch.empty(QUERIES, d))
            self.seen = nn.ModuleList([block(d)])
            self.asked = nn.ModuleList([block(d, cross=True), block(d, cross=True)])
        begun(self, seed)
        if kind != "convolution":  # answers that are all the same would be matched by chance
            with torch.no_grad():
                self.queries.mul_(6.0)
                self.places.mul_(3.0)

    def forward(self, images: Tensor) -> Tensor:
        """The logits: four for the box, and one."""
        if self.kind == "convolution":
            x = images
            for layer in self.seen:
                x = functional.gelu(layer(x))
            return self.last(x.flatten(-3)).unflatten(-1, (QUERIES, 5))
        memory = self.first(cut_patches(images, 2)) + self.places
        for layer in self.seen:
            memory = layer(memory)
        x = self.queries.expand(*images.shape[:-3], -1, -1)
        for layer in self.asked:
            x = layer(x, memory)
        return self.last(x)


def set_loss(said: Tensor, boxes: Tensor, there: Tensor, *, matched: bool) -> Tensor:
    """The loss of answers (b, 4, 5): the distance of boxes, and whether there is one.

    matched: each object is compared with the answer that fits it best, no answer with two; else the
    first object with the first answer, and so on.
    """
    apart = (said[..., :4].sigmoid()[:, :, None] - boxes[:, None]).abs().sum(dim=-1)
    price = (5 * apart - said[..., 4:]) * there[:, None]
    if matched:
        with torch.no_grad():
            answers = match_boxes(price)
    else:
        answers = torch.arange(MOST).expand(len(boxes), -1)
    wanted = torch.zeros(said.shape[:2]).scatter(1, answers, there.float())
    near = apart.gather(1, answers[:, None])[:, 0]
    here = functional.binary_cross_entropy_with_logits(said[..., 4], wanted)
    return 5 * near[there].mean() + here


def train_detector(kind: str, steps: int, *, seed: int, matched: bool = True) -> Detector:
    """A detector trained on 32 new scenes a step."""
    model = Detector(kind, seed)

    def loss(generator: Generator) -> Tensor:
        images, boxes, there = scenes(32, generator)
        return set_loss(model(images), boxes, there, matched=matched)

    fit(model, loss, steps, rate=0.003, seed=seed)
    return model


@torch.no_grad()
def detected(model: Detector, seed: int, count: int = 200) -> tuple[float, float]:
    """The share of objects found, and of answers that found one: overlap over union above a half.

    An object that is found twice counts once, and the second answer as wrong.
    """
    images, boxes, there = scenes(count, Generator().manual_seed(1000 + seed))
    said = model(images)
    overlap = shared(said[..., :4].sigmoid(), boxes)
    given = said[..., 4] > 0
    overlap = overlap * given[..., None] * there[:, None]
    answers = match_boxes(-overlap)
    found = (overlap.gather(1, answers[:, None])[:, 0] > 0.5).sum().item()
    return found / there.sum().item(), found / max(1, given.sum().item())


def shared(a: Tensor, b: Tensor) -> Tensor:
    """Overlap over union of boxes a (..., q, 4) with boxes b (..., t, 4): (..., q, t)."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    both = (high - low).clamp(min=0).prod(dim=-1)
    return both / (a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1) - both)
