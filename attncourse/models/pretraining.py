"""The two tasks that models are pre-trained on: the next token, and tokens that were hidden."""

from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn import functional

from attncourse.core.shapes import checked


@checked
def next_token_loss(
    logits: Float[Tensor, "... n v"], tokens: Integer[Tensor, "... n"]
) -> Float[Tensor, ""]:
    """The mean of -ln p of each token but the first, by the logits of the token before it.

    logits (..., n, v) are those of a causal model that was given the tokens (..., n); the last row
    has nothing to be compared with. exp of it is the perplexity. Raises ValueError for one token.

    Source: Radford et al. 2018, equation 1.

    >>> import torch
    >>> round(next_token_loss(torch.zeros(3, 5), torch.tensor([4, 0, 2])).item(), 3)  # ln 5
    1.609
    """
    if tokens.shape[-1] < 2:
        raise ValueError(f"there must be a next token, n at least 2: got n={tokens.shape[-1]}")
    said, wanted = logits[..., :-1, :], tokens[..., 1:]
    return functional.cross_entropy(said.flatten(0, -2), wanted.flatten())


@checked
def masking_rule(
    tokens: Integer[Tensor, "... n"],
    chance: Float[Tensor, "... n"],
    fate: Float[Tensor, "... n"],
    others: Integer[Tensor, "... n"],
    *,
    mask_id: int,
    rate: float = 0.15,
) -> tuple[Integer[Tensor, "... n"], Bool[Tensor, "... n"]]:
    """What BERT is shown, and which tokens it is asked for.

    A token is asked for where chance < rate. Of these, one with fate < 0.8 is replaced by mask_id,
    one with 0.8 <= fate < 0.9 by the token of `others` at its place, and the rest stay. chance and
    fate are uniform in [0, 1), drawn by the caller, as are others from the vocabulary.

    Source: Devlin et al. 2018, section 3.1 and appendix A.1.

    >>> import torch
    >>> tokens, zero = torch.tensor([7, 8, 9]), torch.zeros(3)
    >>> fate, others = torch.tensor([0.5, 0.85, 0.95]), torch.tensor([1, 2, 3])
    >>> masking_rule(tokens, zero, fate, others, mask_id=0)
    (tensor([0, 2, 9]), tensor([True, True, True]))
    """
    asked = chance < rate
    shown = tokens.masked_fill(asked & (fate < 0.8), mask_id)
    return others.where(asked & (fate >= 0.8) & (fate < 0.9), shown), asked


@checked
def label_smoothing_loss(
    logits: Float[Tensor, "... v"], targets: Integer[Tensor, "..."], *, smoothing: float
) -> Float[Tensor, ""]:
    """The mean cross-entropy against targets of which a share is spread over all v classes.

    A row's target has the probability 1 - smoothing + smoothing / v, every other class smoothing /
    v; with 0 it is the usual loss. Smallest where the model says just that, so that it never gains
    by being surer. Raises ValueError unless 0 <= smoothing <= 1.

    Source: Szegedy et al. 2016, section 7.

    >>> import torch
    >>> sure = torch.tensor([20.0, 0.0, 0.0, 0.0])
    >>> round(label_smoothing_loss(sure, torch.tensor(0), smoothing=0.1).item(), 2)
    1.5
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be from 0 to 1: got {smoothing}")
    log_p = logits.log_softmax(dim=-1)
    usual = -log_p.gather(-1, targets[..., None].long()).mean()
    return (1 - smoothing) * usual - smoothing * log_p.mean()
