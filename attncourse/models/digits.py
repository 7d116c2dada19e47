"""The 1,797 handwritten digits of 8 x 8 pixels that everybody tries first."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SHADES = "0123456789abcdefg"  # a pixel counts the dark dots, 0 to 16, of a square of 4 x 4


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Images (1797, 1, 8, 8) with pixels from 0 to 1, and which digit each is (1797,).

    They are the test half of a larger set, by 13 writers, and stand in the order in which they were
    collected. The file is written by `bench/digits.py` from scikit-learn 1.9.1.

    Source: Alpaydin and Kaynak 1998, *Optical Recognition of Handwritten Digits*, UCI Machine
    Learning Repository, licence CC BY 4.0.

    >>> images, labels = digits()
    >>> images.shape, labels[:5].tolist()
    (torch.Size([1797, 1, 8, 8]), [0, 1, 2, 3, 4])
    """
    lines = Path(__file__).with_name("digits.txt").read_text(encoding="ascii").split()
    dots = torch.tensor([[SHADES.index(shade) for shade in line[1:]] for line in lines])
    labels = torch.tensor([int(line[0]) for line in lines])
    return (dots / 16).view(-1, 1, 8, 8), labels
