"""Heads taken out of a trained model."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from torch import Tensor

from attncourse.mechanisms.dense.heads import merge_heads
from attncourse.models.ablation import ablate_heads


def without_heads(heads: Iterable[tuple[int, int]]) -> dict[str, Callable[..., Tensor]]:
    """The sockets of a model in which some heads, (layer, head) from 0, give zeros.

    What such a head read no longer reaches the residual stream; the others are as they were.

    Source: Michel, Levy and Neubig 2019, section 2.3; Voita et al. 2019.

    >>> model = SmolLM.load(**without_heads([(0, 3), (29, 8)]))
    """
    gone = defaultdict(list)
    for layer, head in heads:
        gone[layer].append(head)

    def merged(x: Tensor, *, layer: int) -> Tensor:
        return merge_heads(ablate_heads(x, gone[layer]))

    return {"merge_heads": merged}
