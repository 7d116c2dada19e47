"""Video in miniature: a dot that moves, and attention over time and over space."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import gelu_feed_forward
from attncourse.mechanisms.dense.softmax import attention
from attncourse.models.blocks import FeedForward, Linear, Norm
from attncourse.models.senses.training import begun, fit, share

FRAMES, SIDE = 5, 4
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

WAYS = ("right", "left", "down", "up")


@checked
def factorised_attention(
    q: Float[Tensor, "... t n d"], k: Float[Tensor, "... t n d"], v: Float[Tensor, "... t n e"]
) -> Float[Tensor, "... t n e"]:
    """Attention over time at each place, then, of what that gives, over the places of each frame.

    q and k (..., t, n, d), v (..., t, n, e): t frames of n places. First the token of place i in
    frame s becomes the mean of place i in all frames, then the mean of all places of frame s of
    that; weights are those of `attention` with the same q and k. t n (t + n) pairs in place of
    (t n)^2.

    Source: Bertasius et al. 2021, section 3, divided attention, without its projections between.

    >>> v = torch.tensor([[[0.0], [0.0]], [[0.0], [8.0]]])  # 2 frames of 2 places
    >>> factorised_attention(torch.zeros(2, 2, 3), torch.zeros(2, 2, 3), v).flatten()
    tensor([2., 2., 2., 2.])
    """
    over_time = attention(*(x.transpose(-3, -2) for x in (q, k, v))).transpose(-3, -2)
    return attention(q, k, over_time)


def joint_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token of every frame looks at all: (t n)^2 pairs."""
    flat = (x.flatten(-3, -2) for x in (q, k, v))
    return attention(*flat).reshape(*v.shape)


def clips(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Clips (count, 5, 16) and which way the dot moves (count,).

    A dot crosses 4 x 4 cells in a straight line, by one cell a frame; it begins at once or one
    frame late, and rests on the other side. A second dot stands still. Noise.
    """
    way = torch.randint(4, (count,), generator=generator)
    late = torch.randint(2, (count, 1), generator=generator)
    line = torch.randint(SIDE, (count, 1), generator=generator)
    along = (torch.arange(FRAMES) - late).clamp(0, SIDE - 1)
    along = torch.where(way[:, None] % 2 == 0, along, SIDE - 1 - along)
    moving = torch.where(way[:, None] < 2, line * SIDE + along, along * SIDE + line)
    still = torch.randint(SIDE**2, (count, 1), generator=generator).expand(-1, FRAMES)
    shown = functional.one_hot(moving, SIDE**2) + functional.one_hot(still, SIDE**2)
    x = shown.float().clamp(max=1)
    return x + 0.3 * torch.randn(x.shape, generator=generator), way


class Watcher(nn.Module):
    """Two layers over tokens (frame, cell), then the mean of all: logits of four ways.

    kind "factorised" or "joint" says which attention; "no order" is factorised without telling it
    which frame is which; "convolution" is two of 3 x 3 x 3 over time and space.
    """

    def __init__(self, kind: str, seed: int, d: int = 32, h: int = 4) -> None:
        super().__init__()
        self.kind, self.h = kind, h
        self.attend: Attend = joint_attention if kind == "joint" else factorised_attention
        self.last = Linear(d, 4)
        if kind == "convolution":
            self.layers = nn.ModuleList(
                [nn.Conv3d(1, d, 3, padding=1), nn.Conv3d(d, d, 3, padding=1)]
            )
        else:
            self.bright = nn.Parameter(torch.empty(1, d))
            self.cells = nn.Parameter(torch.empty(SIDE**2, d))
            self.times = nn.Parameter(torch.empty(FRAMES, 1, d))
            self.layers = nn.ModuleList(_Layer(d) for _ in range(2))
        begun(self, seed)
        if kind != "convolution":
            with torch.no_grad():
                self.bright.mul_(5.0)
                self.cells.mul_(3.0)
                self.times.mul_(3.0)

    def forward(self, clips: Tensor) -> Tensor:
        """The logits (b, 4)."""
        if self.kind == "convolution":
            x = clips.view(-1, 1, FRAMES, SIDE, SIDE)
            for layer in self.layers:
                x = functional.gelu(layer(x))
            return self.last(x.flatten(2).mean(dim=-1))
        x = clips[..., None] * self.bright + self.cells
        if self.kind != "no order":
            x = x + self.times
        for layer in self.layers:
            x = layer(x, self.attend, self.h)
        return self.last(x.flatten(1, 2).mean(dim=1))


class _Layer(nn.Module):
    """Attention over time and space, with projections, then a network; both pre-norm."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(Norm(d, 1e-5) for _ in range(2))
        self.query, self.key, self.value, self.output = (Linear(d, d) for _ in range(4))
        self.feed_forward = FeedForward(d, 2 * d, gelu_feed_forward)

    def forward(self, x: Tensor, attend: Attend, h: int) -> Tensor:
        y = self.norms[0](x)
        parts = [part(y) for part in (self.query, self.key, self.value)]
        heads = (part.unflatten(-1, (h, -1)).movedim(-2, -4) for part in parts)
        found = attend(*heads).movedim(-4, -2).flatten(-2)
        x = x + self.output(found)
        return x + self.feed_forward(self.norms[1](x))


def train_watcher(kind: str, steps: int, *, seed: int) -> Watcher:
    """Trained on 32 new clips a step."""
    model = Watcher(kind, seed)

    def loss(generator: Generator) -> Tensor:
        x, way = clips(32, generator)
        return functional.cross_entropy(model(x), way)

    fit(model, loss, steps, rate=0.004, seed=seed)
    return model


@torch.no_grad()
def watched(model: Watcher, seed: int, count: int = 400) -> float:
    """The share of clips whose way is told."""
    x, way = clips(count, Generator().manual_seed(1000 + seed))
    return share(model(x).argmax(dim=-1) == way)
