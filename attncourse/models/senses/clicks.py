"""Segmentation: three clicks say what three textures are; every patch of the image gets a label."""

from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.models.blocks import Block, Linear
from attncourse.models.senses.training import begun, block, fit, share, weights_of
from attncourse.models.vision_transformer import cut_patches

NAMES = ("water", "field", "road")
GRID, PATCH = 6, 5  # patches a side, pixels a side of a patch
SITES = 6  # two regions for each texture


def clicked_scenes(count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Images (count, 1, 30, 30), the label of each patch (count, 36), and clicks (count, 36).

    An image has three of four stripings, in two regions each, and noise. A click is the label at
    one patch of one region of each; elsewhere it is -1. Which striping has which label is drawn
    anew for each image.
    """
    sites = GRID * torch.rand(count, 1, SITES, 2, generator=generator)
    middles = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)) + 0.5
    apart = (middles[:, None] - sites).square().sum(dim=-1)  # (count, 36, 6)
    labels = apart.argmin(dim=-1) % 3
    clicks = torch.full_like(labels, -1)
    for label in range(3):
        far = apart[..., label] + 100 * (labels != label)
        clicks.scatter_(1, far.argmin(dim=-1, keepdim=True), label)
    striping = torch.rand(count, 4, generator=generator).argsort(dim=-1)[:, :3]
    shown = striping.gather(1, labels).view(count, 1, GRID, GRID)
    shown = shown.repeat_interleave(PATCH, dim=-1).repeat_interleave(PATCH, dim=-2)
    drawn = _stripes().expand(count, 4, -1, -1).gather(1, shown)
    return drawn + 0.3 * torch.randn(drawn.shape, generator=generator), labels, clicks


def _stripes() -> Tensor:
    """The four stripings of a whole image (4, 30, 30), two pixels dark and two light."""
    y, x = torch.meshgrid(*2 * [torch.arange(GRID * PATCH)], indexing="ij")
    return torch.stack([(line % 4 < 2).float() for line in (y, x, x + y, x - y)])


class Painter(nn.Module):
    """Patches and clicks to labels: two layers of attention, or two convolutions over patches.

    No positions: attention is told what a patch looks like and not where it is.
    """

    def __init__(self, kind: str, seed: int, d: int = 32) -> None:
        super().__init__()
        self.first, self.last = Linear(PATCH**2 + 3, d), Linear(d, 3)
        self.layers = nn.ModuleList(
            [block(d), block(d)]
            if kind == "attention"
            else [nn.Conv2d(d, d, 3, padding=1), nn.Conv2d(d, d, 3, padding=1)]
        )
        self.kind = kind
        begun(self, seed)

    def forward(self, images: Tensor, clicks: Tensor) -> Tensor:
        """The logits (..., 36, 3)."""
        x = self.first(_tokens(images, clicks))
        if self.kind == "attention":
            for layer in self.layers:
                x = layer(x)
            return self.last(x)
        x = x.mT.unflatten(-1, (GRID, GRID))
        for layer in self.layers:
            x = x + functional.gelu(layer(functional.gelu(x)))
        return self.last(x.flatten(-2).mT)

    @torch.no_grad()
    def looked_up(self, images: Tensor, clicks: Tensor) -> Tensor:
        """The weights (..., 36, 36) of the last layer, the mean of its heads."""
        x = self.layers[0](self.first(_tokens(images, clicks)))
        last = cast(Block, self.layers[1])
        return weights_of(last.attention, last.norms[0](x)).mean(dim=-3)


def _tokens(images: Tensor, clicks: Tensor) -> Tensor:
    """The pixels of each patch and, where there is a click, its label as one of three."""
    said = functional.one_hot(clicks + 1, 4)[..., 1:].to(images)
    return torch.cat([cut_patches(images, PATCH), 3 * said], dim=-1)


def train_painter(kind: str, steps: int, *, seed: int) -> Painter:
    """A painter trained on 32 new scenes a step; kind is "attention" or "convolution"."""
    model = Painter(kind, seed)

    def loss(generator: Generator) -> Tensor:
        images, labels, clicks = clicked_scenes(32, generator)
        return functional.cross_entropy(model(images, clicks).flatten(0, 1), labels.flatten())

    fit(model, loss, steps, rate=0.004, seed=seed)
    return model


@torch.no_grad()
def painted(model: Painter | str, seed: int, count: int = 200) -> float:
    """The share of patches without a click that get their label right.

    model may be "nearest click" or "most alike click" too, by distance of places or of pixels.
    """
    images, labels, clicks = clicked_scenes(count, Generator().manual_seed(1000 + seed))
    if isinstance(model, Painter):
        said = model(images, clicks).argmax(dim=-1)
    else:
        places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).float()
        places = places.expand(count, -1, -1)
        x = places if model == "nearest click" else cut_patches(images, PATCH)
        apart = torch.cdist(x, x).masked_fill((clicks < 0)[:, None], torch.inf)
        said = clicks.gather(1, apart.argmin(dim=-1))
    return share((said == labels)[clicks < 0])
