"""What layers may share: all of their parameters, their keys and values, or their weights.

Layers are pre-norm encoder layers; mask broadcasts against the scores (..., h, n, n), so a causal
mask makes the layers of a language model of them.
"""

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.heads import merge_heads, split_heads
from attncourse.mechanisms.dense.layer_parts import (
    check_params,
    feed,
    layer_names,
    norm,
    residual,
)
from attncourse.mechanisms.dense.layers import encoder_layer
from attncourse.mechanisms.dense.softmax import attention, masked_softmax, softmax


@checked
def shared_key_value_layers_by_definition(
    x: Float[Tensor, "... n d"],
    layers: Sequence[Mapping[str, Tensor]],
    *,
    h: int,
    group: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """Each layer projects what the first of its group projected, with the same w_k and w_v."""
    _check_layers(layers, group, "w_k", "w_v")
    for i, own in enumerate(layers):
        first, y = layers[i - i % group], norm(x, own, 1)
        if i % group == 0:
            memory = y
        k, v = _project(memory, first["w_k"], h), _project(memory, first["w_v"], h)
        x = _finish(x, attention(_project(y, own["w_q"], h), k, v, mask=mask), own)
    return x


@checked
def shared_key_value_layers(
    x: Float[Tensor, "... n d"],
    layers: Sequence[Mapping[str, Tensor]],
    *,
    h: int,
    group: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """Encoder layers that reuse the keys and values of the first layer of their group.

    Of each `group` layers in a row, the first computes keys and values; the others have queries of
    their own only, need no w_k and w_v (what they hold under these names is not read) and save
    4 n d^2 FLOPs each. While decoding, keys and values are kept once a group: the cache is `group`
    times smaller. group = 1 shares nothing. Memory O(h n^2).

    Raises ValueError for missing parameters, unless group is at least 1, where shapes do not fit.
    Source: Brandon et al. 2024 (cross-layer attention), section 2.2.

    >>> names = "w_q w_k w_v w_o w_1 w_2".split(), "gain_1 bias_1 gain_2 bias_2 b_1 b_2".split()
    >>> first = dict.fromkeys(names[0], torch.zeros(2, 2)) | dict.fromkeys(names[1], torch.ones(2))
    >>> second = {name: x for name, x in first.items() if name not in ("w_k", "w_v")}
    >>> shared_key_value_layers(torch.tensor([[3.0, 5.0]]), [first, second], h=1, group=2).tolist()
    [[5.0, 7.0]]
    """
    _check_layers(layers, group, "w_k", "w_v")
    for i, own in enumerate(layers):
        y = norm(x, own, 1)
        if i % group == 0:
            k, v = _project(y, own["w_k"], h), _project(y, own["w_v"], h)
        x = _finish(x, attention(_project(y, own["w_q"], h), k, v, mask=mask), own)
    return x


@checked
def shared_weights_layers_by_definition(
    x: Float[Tensor, "... n d"],
    layers: Sequence[Mapping[str, Tensor]],
    *,
    h: int,
    group: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """Each layer attends with the queries and keys of the first of its group, to its own values."""
    _check_layers(layers, group, "w_q", "w_k")
    for i, own in enumerate(layers):
        first, y = layers[i - i % group], norm(x, own, 1)
        if i % group == 0:
            source = y
        q, k = _project(source, first["w_q"], h), _project(source, first["w_k"], h)
        x = _finish(x, attention(q, k, _project(y, own["w_v"], h), mask=mask), own)
    return x


@checked
def shared_weights_layers(
    x: Float[Tensor, "... n d"],
    layers: Sequence[Mapping[str, Tensor]],
    *,
    h: int,
    group: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """Encoder layers that reuse the attention weights of the first layer of their group.

    Of each `group` layers in a row, the first computes A = softmax(q k^T / sqrt(d)); all of them
    use it on values of their own: x + A (LN(x) W_V) W_O, then the feed-forward network. The others
    need no w_q and w_k (what they hold under these names is not read) and save both projections
    and the scores: 4 n d^2 + 2 n^2 d of 8 n d^2 + 4 n^2 d FLOPs, half of them. group = 1 shares
    nothing. Memory O(h n^2).

    Raises ValueError for missing parameters, unless group is at least 1, where shapes do not fit.
    Source: Xiao et al. 2019.

    >>> names = "w_q w_k w_v w_o w_1 w_2".split(), "gain_1 bias_1 gain_2 bias_2 b_1 b_2".split()
    >>> first = dict.fromkeys(names[0], torch.zeros(2, 2)) | dict.fromkeys(names[1], torch.ones(2))
    >>> second = {name: x for name, x in first.items() if name not in ("w_q", "w_k")}
    >>> shared_weights_layers(torch.tensor([[3.0, 5.0]]), [first, second], h=1, group=2).tolist()
    [[5.0, 7.0]]
    """
    _check_layers(layers, group, "w_q", "w_k")
    for i, own in enumerate(layers):
        y = norm(x, own, 1)
        if i % group == 0:
            q, k = _project(y, own["w_q"], h), _project(y, own["w_k"], h)
            weights = _weights(q, k, mask=mask)
        x = _finish(x, weights @ _project(y, own["w_v"], h), own)
    return x


@checked
def shared_layers(
    x: Float[Tensor, "... n d"],
    params: Mapping[str, Tensor],
    *,
    depth: int,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """One encoder layer f, applied `depth` times: f(f(... f(x))), a recurrence in depth.

    Parameters are those of one layer, 1 / depth of a stack's; FLOPs are those of `depth` layers:
    fewer parameters, not less work. The gradient of a parameter is the sum over its uses. params
    and mask as in `encoder_layer`.

    Raises ValueError unless depth is at least 1, and as `encoder_layer` does.
    Source: Dehghani et al. 2018 (Universal Transformer); Lan et al. 2019 (ALBERT), section 3.1.

    >>> names = "w_q w_k w_v w_o w_1 w_2".split(), "gain_1 bias_1 gain_2 bias_2 b_1 b_2".split()
    >>> params = dict.fromkeys(names[0], torch.zeros(2, 2)) | dict.fromkeys(names[1], torch.ones(2))
    >>> shared_layers(torch.tensor([[3.0, 5.0]]), params, depth=4, h=1).tolist()  # b_2, four times
    [[7.0, 9.0]]
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1: got depth={depth}")
    for _ in range(depth):
        x = encoder_layer(x, params, h=h, mask=mask)
    return x


def _check_layers(layers: Sequence[Mapping[str, Tensor]], group: int, *shared: str) -> None:
    """Does the first layer of each group hold everything, and each other all but what is shared?"""
    if group < 1:
        raise ValueError(f"group must be at least 1: got group={group}")
    if not layers:
        raise ValueError("layers must hold at least 1 layer: got 0")
    for i, own in enumerate(layers):
        names = layer_names("", norms=2)
        check_params(own, *(n for n in names if i % group == 0 or n not in shared))


def _project(x: Tensor, w: Tensor, h: int) -> Tensor:
    """The heads of x W, in the dtype for sums."""
    return split_heads(_times(x, w), h)


@checked
def _times(
    x: Float[Tensor, "... n d_x"], w: Float[Tensor, "d_x d_o"]
) -> Float[Tensor, "... n d_o"]:
    wide = accumulation_dtype(x.dtype)
    return x.to(wide) @ w.to(wide)


@checked
def _weights(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"], *, mask: Tensor | None
) -> Float[Tensor, "... n m"]:
    """The softmax of q k^T / sqrt(d)."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return softmax(scores) if mask is None else masked_softmax(scores, mask)


def _finish(x: Tensor, attended: Tensor, own: Mapping[str, Tensor]) -> Tensor:
    """The rest of a layer: the heads merged and projected, then the feed-forward network."""
    x = residual(x, _times(merge_heads(attended).to(x.dtype), own["w_o"]).to(x.dtype))
    return residual(x, feed(norm(x, own, 2), own))
