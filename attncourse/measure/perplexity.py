"""The perplexity of a text that is longer than what a model may read at once."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def sliding_perplexity(
    log_probabilities: Float[Tensor, "s n"], *, stride: int
) -> Float[Tensor, ""]:
    """Exp of the mean of -ln p over a text that was read in s windows of n tokens.

    Window i begins at token i * stride, and log_probabilities[i, j] is ln p of its token j, given
    the tokens before it in that window; column 0 has none, and is not looked at. Each token but the
    text's first is counted once: all of the first window, and of each later one the last `stride`
    tokens, for which it has the most to go by; where stride is n, all but the one that nothing
    stands before. A small stride gives each token more context and takes more windows. Half
    precision is summed in float32.

    Raises ValueError unless stride is from 1 to n. Source: Hugging Face, "Perplexity of
    fixed-length models", of the documentation of transformers.

    >>> half, quarter = math.log(1 / 2), math.log(1 / 4)
    >>> log_p = torch.tensor([[0.0, half, half], [0.0, quarter, half]])
    >>> round(sliding_perplexity(log_p, stride=1).item(), 6)  # the quarter has been counted before
    2.0
    """
    n = log_probabilities.shape[-1]
    if not 1 <= stride <= n:
        raise ValueError(f"stride must be from 1 to n={n}, the window: got stride={stride}")
    wide = log_probabilities.to(accumulation_dtype(log_probabilities.dtype))
    first, later = wide[0, 1:], wide[1:, max(1, n - stride) :]
    counted = torch.cat([first, later.flatten()])
    return (-counted.mean()).exp().to(log_probabilities.dtype)
