"""The famous models as sizes and switches: what they are wired of, and how many numbers that is."""

SIZES = ("vocabulary", "length", "d", "h", "d_head", "g", "d_ff", "layers")
SWITCHES = ("gated", "biases", "last_norm", "tied")

_PLAIN = {"length": 0, "gated": False, "biases": True, "last_norm": True, "tied": True}


def count_parameters(config: dict[str, int]) -> int:
    """The number of parameters of a stack of decoder or encoder layers, from its sizes.

    config has the integers vocabulary, length (rows of a learned table of positions, 0 where there
    is none), d, h, d_head, g (heads of keys and values), d_ff, layers, and the Booleans gated
    (three matrices in the network in place of two), biases (on every matrix, and in every norm),
    last_norm (a norm behind the last layer) and tied (the output uses the table of tokens). A layer
    has two norms. Raises ValueError for a config that lacks one of them, or has another.

    Source: Radford et al. 2018 and 2019, Brown et al. 2020, Touvron et al. 2023, for their sizes.

    >>> sizes = dict(vocabulary=11, length=5, d=8, h=2, d_head=4, g=2, d_ff=16, layers=1)
    >>> count_parameters(sizes | dict(gated=False, biases=True, last_norm=True, tied=True))
    744
    """
    wanted = {*SIZES, *SWITCHES}
    if set(config) != wanted:
        strange = min(wanted ^ set(config))
        raise ValueError(f"config must have the {len(wanted)} sizes and switches: see {strange!r}")
    d, bias = config["d"], int(config["biases"])
    norm = (1 + bias) * d
    layer = attention_part(config) + network_part(config) + 2 * norm
    tables = (config["vocabulary"] + config["length"]) * d
    output = 0 if config["tied"] else config["vocabulary"] * d
    return tables + config["layers"] * layer + norm * bool(config["last_norm"]) + output


def attention_part(config: dict[str, int]) -> int:
    """The parameters of a layer's four projections: queries, keys, values, output."""
    d, queries, shared = config["d"], *(config[x] * config["d_head"] for x in ("h", "g"))
    matrices = 2 * d * queries + 2 * d * shared
    return int(matrices + bool(config["biases"]) * (queries + 2 * shared + d))


def network_part(config: dict[str, int]) -> int:
    """The parameters of a layer's network, plain or gated."""
    d, d_ff, up = config["d"], config["d_ff"], 1 + bool(config["gated"])
    return int((up + 1) * d * d_ff + bool(config["biases"]) * (up * d_ff + d))


def _sizes(d: int, h: int, layers: int, d_ff: int, vocabulary: int, **more: int) -> dict[str, int]:
    given: dict[str, int] = dict(zip(SIZES[2:], (d, h, d // h, h, d_ff, layers), strict=True))
    return {"vocabulary": vocabulary} | _PLAIN | given | more


_MODERN = {"gated": True, "biases": False}
FAMOUS: dict[str, dict[str, int]] = {
    "GPT-1": _sizes(768, 12, 12, 3072, 40_478, length=512, last_norm=False),
    "GPT-2": _sizes(768, 12, 12, 3072, 50_257, length=1024),
    "GPT-2 XL": _sizes(1600, 25, 48, 6400, 50_257, length=1024),
    "GPT-3": _sizes(12_288, 96, 96, 49_152, 50_257, length=2048),
    "LLaMA-7B": _sizes(4096, 32, 32, 11_008, 32_000, tied=False, **_MODERN),
    "SmolLM2": _sizes(576, 9, 30, 1536, 49_152, g=3, **_MODERN),
}
LAMDA: dict[str, int] = _sizes(
    8192, 128, 64, 65_536, 32_000, d_head=128, g=128, **_MODERN
)  # counted without its table, as its paper does
