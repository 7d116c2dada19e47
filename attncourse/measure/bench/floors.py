"""Cases that lie all over a roofline: from a matrix times a vector to a matrix times a matrix."""

import torch
from torch import Tensor

from attncourse.measure.bench import decode, exact, linear, sparse
from attncourse.measure.bench.case import Case, Inputs, Size


def two_matrices(size: Size) -> Inputs:
    """Two square matrices of n rows for each sequence."""
    return tuple(size.normal(size.batch, size.n, size.n, seed=seed) for seed in range(2))


def matrix_and_vector(size: Size) -> Inputs:
    """A matrix of n by h d, and a vector for each sequence."""
    matrix = size.normal(size.batch, size.n, size.h * size.d)
    return matrix, size.normal(size.batch, size.h * size.d, 1, seed=1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product."""
    return torch.matmul(a, b)


REFERENCES = (
    Case("matrix product", product, product, two_matrices, growth=3.0, implementation="PyTorch"),
    Case("matrix times vector", product, product, matrix_and_vector, implementation="PyTorch"),
)
WANTED = (
    "full",
    "full, in tiles",
    "full, causal",
    "window 256",
    "window 256, causal",
    "Linformer 256",
    "linear",
    "linear, causal",
    "decode, tokens in one tensor",
    "decode, cache written in place",
    "decode, h / 4 heads cached",
)
CASES = REFERENCES + tuple(
    case
    for case in exact.CASES + sparse.CASES + linear.CASES + decode.CASES
    if case.mechanism in WANTED and case.implementation in ("attncourse", "PyTorch")
)
