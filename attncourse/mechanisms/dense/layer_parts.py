"""What Transformer layers are put together from: parameters by name, and each part with its own."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import feed_forward
from attncourse.mechanisms.dense.heads import multi_head_attention
from attncourse.mechanisms.dense.norms import layer_norm


def layer_names(*attentions: str, norms: int) -> list[str]:
    """The names of a layer's parameters: an attention for each prefix, norms, a network."""
    names = [prefix + name for prefix in attentions for name in ("w_q", "w_k", "w_v", "w_o")]
    names += [f"{kind}_{i}" for i in range(1, norms + 1) for kind in ("gain", "bias")]
    return [*names, "w_1", "b_1", "w_2", "b_2"]


def check_params(params: object, *names: str) -> Mapping[str, Tensor]:
    """The parameters themselves, once it is sure that each name stands for a tensor."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params must map names to tensors: got {type(params).__name__}")
    missing = [name for name in names if name not in params]
    if missing:
        raise ValueError(
            f"params must hold {len(names)} tensors: got none for {', '.join(missing)}"
        )
    return params


def norm(x: Tensor, params: Mapping[str, Tensor], i: int) -> Tensor:
    """Layer norm with the i-th gain and bias of a layer."""
    return layer_norm(x, params[f"gain_{i}"], params[f"bias_{i}"])


def attend(
    x: Tensor,
    memory: Tensor,
    params: Mapping[str, Tensor],
    prefix: str = "",
    *,
    h: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head attention with the four projections of a layer."""
    weights = [params[prefix + name] for name in ("w_q", "w_k", "w_v", "w_o")]
    return multi_head_attention(x, memory, *weights, h=h, mask=mask)


def feed(x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """The feed-forward network of a layer."""
    return feed_forward(x, params["w_1"], params["b_1"], params["w_2"], params["b_2"])


def pre_norm(x: Tensor, norm: Callable[..., Tensor], part: Callable[..., Tensor]) -> Tensor:
    """X + part(norm(x)): the residual stream itself is never normalised.

    Source: Xiong et al. 2020; Llama and GPT-2 are wired so.
    """
    return x + part(norm(x))


def post_norm(x: Tensor, norm: Callable[..., Tensor], part: Callable[..., Tensor]) -> Tensor:
    """Norm(x + part(x)): what a part adds is normalised together with what it was added to.

    Source: Vaswani et al. 2017, section 3.1; BERT is wired so.
    """
    return norm(x + part(x))


@checked
def residual(
    x: Float[Tensor, "... n d"], update: Float[Tensor, "... n d"]
) -> Float[Tensor, "... n d"]:
    """X + update, of one shape: nothing is broadcast."""
    return x + update
