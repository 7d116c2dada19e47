"""A layer of SmolLM2: attention, then a network, each with its norm and its residual."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from attncourse.models.past import Past
from attncourse.models.pretrained.attending import attend, by_steps, each_head, weights
from attncourse.models.pretrained.smollm_parts import Parts
from attncourse.models.pretrained.sockets import Sockets, shaped


class Layers:
    """The weights, and the functions that are called with them."""

    def __init__(self, parts: Parts, sockets: Sockets) -> None:
        self.tensors, self.sizes, self.sockets = parts.tensors, parts.sizes, sockets

    def layer(
        self,
        x: Tensor,
        layer: int,
        mask: Tensor,
        *,
        positions: Tensor | None = None,
        past: Past | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """The tokens (..., n, 576) as a layer, from 0, leaves them.

        mask (..., n, m) is True where a query may attend; positions (n,) are 0 to n - 1 unless
        they are given. The keys and values are added to the past, the weights to the list maps.
        The layer is differentiated where x asks for it (`requires_grad`); weights are constants.
        """
        with torch.set_grad_enabled(x.requires_grad and torch.is_grad_enabled()):
            return self._layer(x, layer, mask, positions, past, maps)

    def _layer(
        self,
        x: Tensor,
        layer: int,
        mask: Tensor,
        positions: Tensor | None,
        past: Past | None,
        maps: list[Tensor] | None,
    ) -> Tensor:
        if positions is None:
            positions = torch.arange(x.shape[-2])
        attended = partial(
            self._attended, layer=layer, positions=positions, mask=mask, past=past, maps=maps
        )
        x = self._sublayer(x, layer, "norm_1", attended)
        return self._sublayer(x, layer, "norm_2", partial(self._fed_forward, layer=layer))

    def _sublayer(self, x: Tensor, layer: int, norm: str, part: Callable[..., Tensor]) -> Tensor:
        """A part of a layer with its norm and its residual, in the order that the socket knows."""
        normal = partial(self._norm, gain=f"{layer}.{norm}", layer=layer)
        return self.sockets.call("sublayer", layer, x, x, normal, part)

    def _projected(self, y: Tensor, layer: int, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a layer by heads, those that are compared rotated."""
        sizes = self.sizes
        heads = {"q": sizes.h, "k": sizes.g, "v": sizes.g}
        made = {}
        for name, h in heads.items():
            flat = y @ self.tensors[f"{layer}.{name}"].mT
            like = shaped(*flat.shape[:-2], h, flat.shape[-2], flat.shape[-1] // h)
            split = self.sockets.call("split_heads", layer, like, flat, h)
            if name != "v":
                split = self.sockets.call("rotary", layer, split, split, positions, base=sizes.base)
            made[name] = split
        k, v = (self.sockets.call("storage", layer, made[name], made[name]) for name in "kv")
        return made["q"], k, v

    def _attended(
        self,
        y: Tensor,
        *,
        layer: int,
        positions: Tensor,
        mask: Tensor,
        past: Past | None,
        maps: list[Tensor] | None,
    ) -> Tensor:
        q, k, v = self._projected(y, layer, positions)
        if maps is not None:
            maps.append(weights(self.sockets, layer, q, k, mask))
        if past and self.sockets.way == "cache":
            k, v = (each_head(x, q.shape[-3]) for x in (k, v))
            out, past.pairs[layer] = by_steps(self.sockets, layer, q, k, v, past.pairs[layer])
        else:
            keys, values = past.grown(layer, k, v) if past else (k, v)
            out = attend(self.sockets, layer, q, keys, values, mask)
        like = shaped(*out.shape[:-3], out.shape[-2], out.shape[-3] * out.shape[-1])
        return self.sockets.call("merge_heads", layer, like, out) @ self.tensors[f"{layer}.o"].mT

    def _fed_forward(self, y: Tensor, layer: int) -> Tensor:
        matrices = (self.tensors[f"{layer}.{name}"].mT for name in ("gate", "up", "down"))
        return self.sockets.call("feed_forward", layer, y, y, *matrices)

    def _norm(self, x: Tensor, gain: str, layer: int | None) -> Tensor:
        return self.sockets.call("norm", layer, x, x, self.tensors[gain], eps=self.sizes.eps)
