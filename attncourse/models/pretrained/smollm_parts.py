"""SmolLM2's weights, sizes and tokeniser, from its package or from the cache folder."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from attncourse.models.pretrained import packages
from attncourse.models.pretrained.cache import Contents, cache_folder, kept
from attncourse.models.pretrained.gguf_file import halves_from_pairs, read_gguf
from attncourse.models.pretrained.tokens import byte_level_tokenizer

FORMAT = 1  # of the file that is kept: another number, another file

# the tensors of a layer, matrices (d_out, d_in), and what the GGUF file calls them
LAYER = {
    "norm_1": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "norm_2": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


@dataclass(frozen=True)
class Sizes:
    """What the file says of the model; end is the token that ends an answer."""

    layers: int
    h: int
    g: int
    base: float
    eps: float
    end: int


@dataclass(frozen=True)
class Parts:
    """Weights by name, as "3.q" for the queries of layer 3; not to be written to."""

    tensors: dict[str, Tensor]
    sizes: Sizes
    tokenizer: Any


@cache
def parts() -> Parts:
    """Read once in a process; weights in float32, mapped from the file in the cache folder.

    Raises MissingModel where the package is not installed.
    """
    source = packages.weights_file(packages.SMOLLM, ".gguf")
    digest = packages.content_hash(packages.SMOLLM, source)[:16]
    path = cache_folder() / f"smollm2-135m-float32-{digest}-{FORMAT}.safetensors"
    tensors, texts = kept(path, lambda: _from_gguf(source))
    from tokenizers import Tokenizer

    sizes = Sizes(**json.loads(texts["sizes"]))
    return Parts(tensors, sizes, Tokenizer.from_str(texts["tokenizer"]))


def _from_gguf(source: Path) -> Contents:
    """What is kept of the package's file: tensors under our names, sizes, the tokeniser."""
    tensors, fields = read_gguf(source)
    sizes = Sizes(
        layers=fields["llama.block_count"],
        h=fields["llama.attention.head_count"],
        g=fields["llama.attention.head_count_kv"],
        base=fields["llama.rope.freq_base"],
        eps=fields["llama.attention.layer_norm_rms_epsilon"],
        end=fields["tokenizer.ggml.eos_token_id"],
    )
    ours = {"table": tensors["token_embd.weight"], "norm": tensors["output_norm.weight"]}
    for layer in range(sizes.layers):
        for name, theirs in LAYER.items():
            w = tensors[f"blk.{layer}.{theirs}.weight"]
            rotated = {"q": sizes.h, "k": sizes.g}.get(name)
            ours[f"{layer}.{name}"] = halves_from_pairs(w, rotated) if rotated else w
    texts = {"sizes": json.dumps(vars(sizes)), "tokenizer": byte_level_tokenizer(fields)}
    return ours, texts
