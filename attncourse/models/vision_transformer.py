"""The Vision Transformer: an image as a sequence of patches."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attncourse.core.positions import learned_positions
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.models.blocks import Block, Linear, Norm, initialise
from attncourse.models.config import StackConfig

_EPS = 1e-6  # of the layer norms in the authors' code


@dataclass(frozen=True, kw_only=True)
class VisionTransformerConfig(StackConfig):
    """The sizes of a `VisionTransformer`: ViT-B/16 is height=width=224, patch=16, classes=1000,
    d=768, h=12, d_ff=3072, layers=12.

    height, width and patch in pixels; patch must divide both.

    >>> sizes = dict(d=8, h=2, d_ff=16, layers=1, height=32, width=48, patch=16, classes=5)
    >>> VisionTransformerConfig(**sizes).patches
    6
    """

    height: int
    width: int
    patch: int
    classes: int
    channels: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height % self.patch or self.width % self.patch:
            raise ValueError(
                f"patch must divide height and width"
                f": got patch={self.patch}, height={self.height} and width={self.width}"
            )

    @property
    def patches(self) -> int:
        """The number of patches of an image."""
        return (self.height // self.patch) * (self.width // self.patch)


class VisionTransformer(nn.Module):
    """Patches mapped to width d, a class token in front, learned positions, pre-norm layers.

    Matrices, positions and class token start as normal numbers with standard deviation 0.02, biases
    as 0 and gains as 1, drawn from `generator`. There is no dropout.

    Source: Dosovitskiy et al. 2020, section 3.1, equations 1 to 4; Hugging Face's
    ViTForImageClassification is the same function of the same parameters.

    >>> sizes = dict(d=8, h=2, d_ff=16, layers=1, height=32, width=48, patch=16, classes=5)
    >>> VisionTransformer(VisionTransformerConfig(**sizes))(torch.zeros(3, 32, 48)).shape
    torch.Size([5])
    """

    def __init__(
        self, config: VisionTransformerConfig, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = Linear(config.channels * config.patch**2, config.d)
        self.class_token = nn.Parameter(torch.empty(1, config.d))
        self.positions = nn.Parameter(torch.empty(config.patches + 1, config.d))
        blocks = (
            Block(config, gelu_feed_forward, pre_norm=True, eps=_EPS) for _ in range(config.layers)
        )
        self.blocks = nn.ModuleList(blocks)
        self.norm = Norm(config.d, _EPS)
        self.head = Linear(config.d, config.classes)
        initialise(self, 0.02, generator)

    @checked
    def forward(self, images: Float[Tensor, "... c y x"]) -> Float[Tensor, "... k"]:
        """A logit for each class, from images (..., channels, height, width)."""
        return self.head(self.hidden(images)[..., 0, :])

    @checked
    def hidden(self, images: Float[Tensor, "... c y x"]) -> Float[Tensor, "... n d"]:
        """The output of the last norm for the class token and each patch, row by row."""
        sizes = self.config.channels, self.config.height, self.config.width
        if images.shape[-3:] != sizes:
            raise ValueError(
                f"images must be (..., {', '.join(map(str, sizes))}): got {tuple(images.shape)}"
            )
        patches = self.patch_embedding(cut_patches(images, self.config.patch))
        first = self.class_token.expand(*patches.shape[:-2], 1, -1)
        x = torch.cat([first, patches], dim=-2)
        x = x + learned_positions(self.positions, x.shape[-2])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


@checked
def cut_patches(images: Float[Tensor, "... c y x"], patch: int) -> Float[Tensor, "... n d_x"]:
    """Cut images (..., c, y, x) into square patches, row by row: (..., n, c patch^2).

    A patch is flattened channel by channel, then row by row, as the weight of a convolution is.
    Raises ValueError unless patch is at least 1 and divides height and width.

    >>> cut_patches(torch.arange(16.0).view(1, 4, 4), 2).tolist()[:2]
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    if patch < 1 or images.shape[-2] % patch or images.shape[-1] % patch:
        raise ValueError(
            f"patch must divide height and width: got patch={patch} for {tuple(images.shape)}"
        )
    *lead, c, height, width = images.shape
    grid = images.reshape(*lead, c, height // patch, patch, width // patch, patch)
    return grid.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2)  # rows and columns first
