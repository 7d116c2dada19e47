"""Images that are written pixel by pixel, and where a vision transformer looks."""

from typing import cast

import torch
from torch import Generator, Tensor
from torch.nn import functional

from attncourse.models.blocks import Block
from attncourse.models.decoder import Decoder, DecoderConfig
from attncourse.models.digits import digits
from attncourse.models.pretraining import next_token_loss
from attncourse.models.senses.training import fit, share, weights_of
from attncourse.models.small_runs import small_vision_transformer, train_on_digits
from attncourse.models.vision_transformer import VisionTransformer, cut_patches

BEGIN = 2  # the token before the first pixel


def binary_digits() -> tuple[Tensor, Tensor]:
    """The digits as dark and light pixels, row by row: 1,500 to learn from, 297 to ask, (b, 64)."""
    images, _ = digits()
    order = torch.randperm(len(images), generator=Generator().manual_seed(0))
    dots = (images[order] > 0.5).long().flatten(1)
    return dots[:1500], dots[1500:]


def begun_with(dots: Tensor) -> Tensor:
    """The same with the token that stands before the first pixel."""
    return functional.pad(dots, (1, 0), value=BEGIN)


def train_painter_of_digits(steps: int, *, seed: int) -> Decoder:
    """A decoder of two layers on the next pixel, 32 images a step."""
    shown, _ = binary_digits()
    config = DecoderConfig(vocabulary=3, length=65, d=32, h=4, d_ff=64, layers=2)
    model = Decoder(config, generator=Generator().manual_seed(seed))

    def loss(generator: Generator) -> Tensor:
        dots = begun_with(shown[torch.randint(len(shown), (32,), generator=generator)])
        return next_token_loss(model(dots), dots)

    fit(model, loss, steps, rate=0.006, seed=seed)
    return model


@torch.no_grad()
def pixel_loss(model: Decoder) -> float:
    """The loss of the images that it has not seen, in nats a pixel."""
    dots = begun_with(binary_digits()[1])
    return next_token_loss(model(dots), dots).item()


def table_losses() -> dict[str, float]:
    """The same of tables: how often each pixel is dark, and how often after its neighbours above
    and on the left (four pixels), at this place or at any.
    """
    shown, asked = binary_digits()
    found = {}
    for name, place, near in (
        ("each pixel alone", True, False),
        ("four neighbours", False, True),
        ("neighbours and place", True, True),
    ):
        known, wanted = _context(shown, place, near), _context(asked, place, near)
        size = 64 * 16
        dark = torch.bincount(known.flatten(), weights=shown.flatten().double(), minlength=size)
        seen = torch.bincount(known.flatten(), minlength=size)
        p = ((dark + 0.5) / (seen + 1))[wanted]
        found[name] = -torch.where(asked == 1, p.log(), (1 - p).log()).mean().item()
    return found


def _context(dots: Tensor, place: bool, near: bool) -> Tensor:
    """A number for what is known of each pixel (b, 64)."""
    padded = functional.pad(dots.view(-1, 8, 8), (1, 1, 1, 0))
    around = [padded[:, 1:, :-2], padded[:, :-1, :-2], padded[:, :-1, 1:-1], padded[:, :-1, 2:]]
    number = sum(x * 2**i for i, x in enumerate(around)) if near else torch.zeros(1, 8, 8).long()
    return (number.flatten(1) + 16 * torch.arange(64) * place).expand(len(dots), -1)


@torch.no_grad()
def drawn_digits(model: Decoder, count: int, seed: int) -> Tensor:
    """Images (count, 64) drawn pixel by pixel from what the model says."""
    generator = Generator().manual_seed(seed)
    dots = torch.full((count, 1), BEGIN)
    for _ in range(64):
        p = model(dots)[:, -1, :2].softmax(dim=-1)
        dots = torch.cat([dots, torch.multinomial(p, 1, generator=generator)], dim=-1)
    return dots[:, 1:]


@torch.no_grad()
def class_map(model: VisionTransformer, images: Tensor) -> Tensor:
    """The weights (b, 16) of the patches for the class token: last layer, mean of its heads."""
    patches = model.patch_embedding(_cut(model, images))
    first = model.class_token.expand(len(images), 1, -1)
    x = torch.cat([first, patches], dim=-2) + model.positions
    for layer in model.blocks[:-1]:
        x = layer(x)
    last = cast(Block, model.blocks[-1])
    return weights_of(last.attention, last.norms[0](x)).mean(dim=-3)[:, 0, 1:]


def _cut(model: VisionTransformer, images: Tensor) -> Tensor:
    return cut_patches(images, model.config.patch)


@torch.no_grad()
def told_without(model: VisionTransformer, asked: Tensor, order: str, hidden: int) -> float:
    """The share of digits told right when some of the patches are made blank.

    order says which: "most looked at", "least looked at" or "most ink", of the patches with ink.
    """
    images, labels = digits()
    images, labels = images[asked], labels[asked]
    ink = _cut(model, images).sum(dim=-1)
    weights = class_map(model, images)
    rank = {
        "most looked at": weights,
        "least looked at": -weights,
        "most ink": ink,
    }[order] - 1e6 * (ink == 0)
    gone = rank.topk(hidden, dim=-1).indices
    kept = torch.ones(len(images), 16).scatter(1, gone, 0.0).view(-1, 1, 4, 4)
    blank = images * kept.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    return share(model(blank).argmax(dim=-1) == labels)


def seeing_digits(steps: int, seed: int) -> tuple[VisionTransformer, Tensor]:
    """A small vision transformer that has seen 1,500 digits, and which 297 it has not."""
    images, _ = digits()
    order = torch.randperm(len(images), generator=Generator().manual_seed(seed))
    model = small_vision_transformer(Generator().manual_seed(seed))
    train_on_digits(model, order[297:], steps, seed=seed)
    return model, order[:297]
