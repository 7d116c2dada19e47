"""Sizes of well-known models, and what their layers cost by formula.

Each entry names its source: what a number here says can be looked up there.
"""

from dataclasses import dataclass

from attncourse.measure.analytic import kv_cache_bytes


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The sizes of a stack: d wide, h query heads and g key/value heads of d_head, a network of
    `matrices` matrices between d and d_ff, a vocabulary; length is that of its training.

    source is a key of the book's references.
    """

    name: str
    layers: int
    d: int
    h: int
    g: int
    d_head: int
    d_ff: int
    matrices: int
    vocabulary: int
    length: int
    source: str

    def layer_flops(self, n: int) -> dict[str, int]:
        """FLOPs of one layer for n tokens by part: projections, pairs, network; 2 a multiply-add.

        Pairs are those of a full n x n attention, as a masked one computes them too.
        """
        heads = self.d_head * (2 * self.h + 2 * self.g)
        return {
            "projections": 2 * n * self.d * heads,
            "pairs": 4 * n**2 * self.h * self.d_head,
            "network": 2 * n * self.matrices * self.d * self.d_ff,
        }

    def overtakes(self, *parts: str) -> int:
        """The least length at which the pairs of a layer cost as much as those parts together.

        For `"projections"` it is the 2 d of `crossover_length` if g = h and h d_head = d; for
        `"projections", "network"` it is where half of a layer goes into pairs.
        """
        one = self.layer_flops(1)
        return -(-sum(one[part] for part in parts) // one["pairs"])

    def model_flops(self, n: int) -> int:
        """FLOPs of all layers for n tokens and of the logits of each."""
        return self.layers * sum(self.layer_flops(n).values()) + 2 * n * self.d * self.vocabulary

    def layer_parameters(self) -> dict[str, int]:
        """Parameters of the matrices of one layer by part, without biases and norms."""
        one = self.layer_flops(1)
        return {part: one[part] // 2 for part in ("projections", "network")}

    def cache_bytes(self, n: int, *, bytes_per_element: int = 2) -> int:
        """Bytes of the keys and values of n tokens in all layers, in half precision by default."""
        return kv_cache_bytes(self.layers, n, self.g, self.d_head, bytes_per_element)


CONFIGURATIONS = {
    c.name: c
    for c in (
        Configuration(
            name="SmolLM2-135M",
            **{"layers": 30, "d": 576, "h": 9, "g": 3, "d_head": 64, "d_ff": 1536},
            **{"matrices": 3, "vocabulary": 49_152, "length": 8192},
            source="benallal2025",
        ),
        Configuration(
            name="BERT-base",
            **{"layers": 12, "d": 768, "h": 12, "g": 12, "d_head": 64, "d_ff": 3072},
            **{"matrices": 2, "vocabulary": 30_522, "length": 512},
            source="devlin2018",
        ),
        Configuration(
            name="GPT-3",
            **{"layers": 96, "d": 12_288, "h": 96, "g": 96, "d_head": 128, "d_ff": 49_152},
            **{"matrices": 2, "vocabulary": 50_257, "length": 2048},
            source="brown2020",
        ),
        Configuration(
            name="Llama-2-7B",
            **{"layers": 32, "d": 4096, "h": 32, "g": 32, "d_head": 128, "d_ff": 11_008},
            **{"matrices": 3, "vocabulary": 32_000, "length": 4096},
            source="touvron2023b",
        ),
        Configuration(
            name="Llama-2-70B",
            **{"layers": 80, "d": 8192, "h": 64, "g": 8, "d_head": 128, "d_ff": 28_672},
            **{"matrices": 3, "vocabulary": 32_000, "length": 4096},
            source="touvron2023b",
        ),
        Configuration(
            name="Mistral-7B",
            **{"layers": 32, "d": 4096, "h": 32, "g": 8, "d_head": 128, "d_ff": 14_336},
            **{"matrices": 3, "vocabulary": 32_000, "length": 8192},
            source="jiang2023",
        ),
    )
}
