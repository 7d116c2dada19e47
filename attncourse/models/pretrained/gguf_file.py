"""Reading a model from a GGUF file: its numbers in float32, its fields as they stand."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def read_gguf(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the file, dequantised, matrices (d_out, d_in); and its fields by name."""
    import gguf

    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return {
        x.name: _numbers(gguf.dequantize(x.data, x.tensor_type)) for x in reader.tensors
    }, fields


def halves_from_pairs(w: Tensor, heads: int) -> Tensor:
    """The rows of a projection (heads d, d_x) reordered from neighbouring pairs to halves.

    llama.cpp rotates the features 2a and 2a + 1 of a head together, `rotary` a and a + d / 2.
    """
    return torch.unflatten(w, 0, (heads, -1, 2)).transpose(1, 2).reshape(w.shape)


def _numbers(array: Any) -> Tensor:
    """A float32 tensor of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file's memory is not to be written to
        return torch.from_numpy(array).to(torch.float32).clone()
