r"""# Mend the chunks

This function computes causal linear attention in chunks. With chunks of one token it is right, and
a language model trained with it has a loss that is far too good. Find out what it sees, and mend
it, so that again

$$o_i = \frac{\sum_{j \le i} \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}
{\sum_{j \le i} \phi(q_i) \cdot \phi(k_j)}$$

whatever the chunk.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e). Shapes, dtype, the
  features and the short last chunk are right already, and stay so.
- FLOPs and the largest tensor go on growing with the length and no faster, and it takes a few
  operators for each chunk.
"""

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.linear import causal_linear_attention
from attncourse.mechanisms.linear.linear_transformer import causal_linear_attention as solution

difficulty, minutes = 4, 20
hints = (
    "Take two tokens of width 1 and change the value of the second. Does the first output move, "
    "with a chunk of 1, with a chunk of 2?",
    "At the moment when a query reads it, what is in the state? The chunk itself may go in only "
    "after reading; what the query sees of its own chunk is a triangle of weights.",
)
forbidden = causal_linear_attention.forbidden


def wrong_whole_chunk_seen(q, k, v, *, chunk):
    """You let each query read a state that holds its whole chunk, later tokens too. Read from the
    state before the chunk, and weigh the chunk's own keys in a triangle.
    """

    def phi(x):
        return torch.nn.functional.elu(x) + 1

    outs = []
    s = torch.zeros_like(k[..., 0, :, None] * v[..., 0, None, :])
    z = torch.zeros_like(k[..., :1, :])
    for i in range(0, q.shape[-2], chunk):
        queries = phi(q[..., i : i + chunk, :])
        keys = phi(k[..., i : i + chunk, :])
        values = v[..., i : i + chunk, :]
        s = s + keys.mT @ values
        z = z + keys.sum(dim=-2, keepdim=True)
        outs.append((queries @ s) / (queries @ z.mT))
    return torch.cat(outs, dim=-2)


stub = wrong_whole_chunk_seen
shown = causal_linear_attention.shown


borrowed = (
    Borrow(
        causal_linear_attention,
        itself,
        (
            "check_equals_the_mean_over_the_past",
            "check_past_does_not_see_the_future",
            "check_takes_leading_axes",
            "check_weighs_small_features",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "check_works_chunk_by_chunk",
            "wrong_past_forgotten",
            "wrong_chunk_not_seen",
            "wrong_chunk_counted_twice",
            "wrong_own_token_hidden",
            "wrong_divided_by_the_chunk_alone",
            "wrong_two_means_averaged",
            "wrong_all_weights",
            "wrong_token_by_token",
            "right_by_a_state_and_a_triangle",
            "right_by_a_column_of_ones",
            "right_by_summed_chunks",
        ),
    ),
)
