"""What the layers of a model keep of the tokens that came before."""

from torch import Tensor

from attncourse.mechanisms.serving.cache import KVCache


class Past:
    """The keys and values of `tokens` tokens in each layer; empty at first.

    pairs are the caches of a function (cache, q, k, v) -> (out, cache), which keeps its own.
    """

    def __init__(self, layers: int) -> None:
        self.tokens = 0
        self.pairs: list[tuple[Tensor, Tensor] | None] = [None] * layers
        self._caches = [KVCache() for _ in range(layers)]

    def grown(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens in a layer, the new ones k and v among them."""
        self._caches[layer].append(k, v)
        return self._caches[layer].held()

    def reorder(self, rows: Tensor) -> None:
        """Row i of a batch is from now on what row rows[i] was; for texts that are dropped or
        doubled, as a beam does.
        """
        for cache in self._caches:
            cache.reorder(rows)
