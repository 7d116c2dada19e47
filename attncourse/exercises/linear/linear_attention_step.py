r"""# One token, and a state

Causal linear attention needs no past tokens, only their sums. Take one token: write it into the
state, then read.

$$S \leftarrow S + \phi(k)\, v^\top, \qquad z \leftarrow z + \phi(k), \qquad
o = \frac{S^\top \phi(q)}{z \cdot \phi(q)}, \qquad \phi(x) = \mathrm{elu}(x) + 1 .$$

- `state` is a pair (S, z) with S (..., d, e) and z (..., d); before the first token both are zeros.
  `q` and `k` are (..., d), `v` is (..., e).
- The result is the pair `(out, state)`: the output (..., e) and the new (S, z). The state that was
  given is not changed. All have the dtype of the inputs, and gradients go through the state, too.
- A token sees itself: the first output is the first value.
"""

import torch

from attncourse.mechanisms.linear.linear_transformer import elu_feature_map
from attncourse.mechanisms.linear.linear_transformer import linear_attention_step as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 20
hints = (
    "How many numbers does the state have, and which of them does a key reach? Write phi(k) as a "
    "column and v as a row: their product is what is added to S.",
    "S has the key features as rows, so that phi(q) as a row, times S, is a sum of values. Do not "
    "use `+=`: it writes into the tensor that you were given.",
)
forbidden = (
    "linear_attention_step",
    "linear_attention_segment",
    "causal_linear_attention",
)

SIZES = ((8, 6), (3, 7))  # d, e


def check_one_step_by_hand(student):
    """one token on top of a state: the output and both sums"""
    for d, e in SIZES:
        args = _inputs(d=d, e=e, seed=10)
        assert_same(student(*args), right_by_a_row_times_a_matrix(*args))


def check_first_token_gives_its_value(student):
    """after zeros the output is the token's own value"""
    for d, e in SIZES:
        _, q, k, v = _inputs(d=d, e=e, seed=20)
        nothing = torch.zeros(d, e, dtype=v.dtype), torch.zeros(d, dtype=v.dtype)
        assert_same(student(nothing, q, k, v)[0], v, "the first output")


def check_steps_give_the_causal_mean(student):
    """seven tokens one after the other give the mean over the past, with the weights written out"""
    for d, e in SIZES:
        q, k = gaussian(7, d, seed=30), gaussian(7, d, seed=31)
        v = gaussian(7, e, std=1000.0, seed=32)
        weights = (_phi(q) @ _phi(k).mT).tril()
        expected = weights / weights.sum(dim=-1, keepdim=True) @ v
        state = torch.zeros(d, e, dtype=v.dtype), torch.zeros(d, dtype=v.dtype)
        for i in range(7):
            out, state = student(state, q[i], k[i], v[i])
            assert_same(out, expected[i], f"output {i}")


def check_takes_leading_axes(student):
    """works for any batch and head axes, and for those of length one"""
    for lead in ((2,), (1,), (4, 1), (2, 3)):
        args = _inputs(*lead, d=5, e=3, seed=40)
        assert_same(student(*args), right_by_a_row_times_a_matrix(*args))


def check_weighs_small_features(student):
    """a token and a past far below zero are weighed right"""
    for shift in (-12.0, -30.0):
        state, q, k, v = _inputs(d=8, e=6, seed=50, shift=shift)
        assert_same(
            student(state, q + shift, k + shift, v)[0],
            right_by_a_row_times_a_matrix(state, q + shift, k + shift, v)[0],
            "the output",
        )


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of both sums are right"""
    for d, e in SIZES:
        args = _inputs(d=d, e=e, seed=60)
        expected = gradients(right_by_a_row_times_a_matrix, *args)
        found = gradients(student, *args)
        for name, a, b in zip(("S", "z", "q", "k", "v"), found, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give a float32 output and a float32 state"""
    (s, z), q, k, v = _inputs(d=8, e=6, seed=70)
    single = (s.float(), z.float()), q.float(), k.float(), v.float()
    assert_same(student(*single), right_by_a_row_times_a_matrix(*single))


def _inputs(*lead, d, e, seed, shift=0.0):
    """A state of five tokens, and a sixth one."""
    past_k = _phi(gaussian(*lead, 5, d, seed=seed) + shift)
    past_v = gaussian(*lead, 5, e, seed=seed + 1)
    state = past_k.mT @ past_v, past_k.sum(dim=-2)
    q, k = gaussian(*lead, d, seed=seed + 2), gaussian(*lead, d, seed=seed + 3)
    return state, q, k, gaussian(*lead, e, seed=seed + 4)


def _phi(x):
    return x.clamp(max=0).exp() + x.clamp(min=0)


def _read(s, z, phi_q):
    return (phi_q[..., None, :] @ s).squeeze(-2) / (phi_q * z).sum(dim=-1, keepdim=True)


def _outer(a, b):
    return a[..., :, None] * b[..., None, :]


def wrong_read_before_written(state, q, k, v):
    """You read the state before the token is written into it, so that a token does not see itself,
    and the first output is 0/0. Write first, then read.
    """
    s, z = state
    return _read(s, z, _phi(q)), (s + _outer(_phi(k), v), z + _phi(k))


def wrong_state_changed_in_place(state, q, k, v):
    """You write into the state that you were given, and who kept it has another one now. Make new
    sums: `s + ...`, not `s += ...`.
    """
    s, z = state
    s += _outer(_phi(k), v)
    z += _phi(k)
    return _read(s, z, _phi(q)), (s, z)


def wrong_old_state_returned(state, q, k, v):
    """You return the state that you were given, so that each token sees itself and the start alone.
    Return the new sums.
    """
    s, z = state
    return _read(s + _outer(_phi(k), v), z + _phi(k), _phi(q)), (s, z)


def wrong_sum_of_keys_forgotten(state, q, k, v):
    """You add to S and leave z as it was, so that you divide by the weights of the past without the
    token's own. Add phi(k) to z.
    """
    s, z = state
    return _read(s + _outer(_phi(k), v), z, _phi(q)), (s + _outer(_phi(k), v), z)


def wrong_sum_of_keys_replaced(state, q, k, v):
    """You put phi(k) in the place of z instead of adding it. z is the sum over all tokens so far,
    this one included.
    """
    s = state[0] + _outer(_phi(k), v)
    return _read(s, _phi(k), _phi(q)), (s, _phi(k))


def wrong_nothing_added_up(state, q, k, v):
    """You keep this token alone: the old sums are gone. Add to the state what the token brings."""
    s, z = _outer(_phi(k), v), _phi(k)
    return _read(s, z, _phi(q)), (s, z)


def wrong_not_divided(state, q, k, v):
    """You did not divide by the sum of the weights: divide the output by z . phi(q)."""
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    return (_phi(q)[..., None, :] @ s).squeeze(-2), (s, z)


def wrong_state_divided(state, q, k, v):
    """Your output is right, but you put the state away divided by the sum of its keys: the next
    token adds to the wrong thing. Keep sums, and divide only what you return.
    """
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    total = z.sum(dim=-1)
    return _read(s, z, _phi(q)), (s / total[..., None, None], z / total[..., None])


def wrong_a_little_added(state, q, k, v):
    """You added a small number to the sum of the weights, and where features are small it is not
    small. Leave it away: the token's own weight is above zero.
    """
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    total = (_phi(q) * z).sum(dim=-1, keepdim=True) + 1e-6
    return (_phi(q)[..., None, :] @ s).squeeze(-2) / total, (s, z)


def wrong_no_features(state, q, k, v):
    """You write and read with q and k as they are. Put phi, elu + 1, around both first, or weights
    are negative.
    """
    s, z = state[0] + _outer(k, v), state[1] + k
    return _read(s, z, q), (s, z)


def wrong_query_without_features(state, q, k, v):
    """You read with the query as it is, while the keys were written as features. Put phi around the
    query, too.
    """
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    return _read(s, z, q), (s, z)


def wrong_key_without_features(state, q, k, v):
    """You write the key as it is and read with the features of the query. Put phi around the key,
    too.
    """
    s, z = state[0] + _outer(k, v), state[1] + k
    return _read(s, z, _phi(q)), (s, z)


def wrong_read_with_the_key(state, q, k, v):
    """You read with the key that you just wrote. The question is the query's: read with phi(q)."""
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    return _read(s, z, _phi(k)), (s, z)


def wrong_state_before_the_output(state, q, k, v):
    """You return the state first. The result is the pair (out, state), the output first: exchange
    the two.
    """
    s, z = state[0] + _outer(_phi(k), v), state[1] + _phi(k)
    return (s, z), _read(s, z, _phi(q))


def wrong_values_in_the_rows(state, q, k, v):
    """You wrote the product the other way round, with a row for each entry of v. S is (d, e), a row
    for each feature: phi(k) is the column, v the row.
    """
    s, z = state[0].mT + _outer(v, _phi(k)), state[1] + _phi(k)
    return _read(s.mT, z, _phi(q)), (s, z)


def wrong_past_halved(state, q, k, v):
    """You let the past fade as the new token comes. Here all tokens count alike, however old: the
    sums are only added to.
    """
    s, z = 0.5 * state[0] + _outer(_phi(k), v), 0.5 * state[1] + _phi(k)
    return _read(s, z, _phi(q)), (s, z)


def right_by_a_row_times_a_matrix(state, q, k, v):
    """phi(q) as a row, times the new S"""
    s, z = state
    phi_q = elu_feature_map(q)
    phi_k = elu_feature_map(k)
    s = s + phi_k[..., :, None] * v[..., None, :]
    z = z + phi_k
    out = (phi_q[..., None, :] @ s).squeeze(-2)
    return out / (phi_q * z).sum(dim=-1, keepdim=True), (s, z)


def right_by_einsum(state, q, k, v):
    """the same in letters"""
    phi_q, phi_k = _phi(q), _phi(k)
    s = state[0] + torch.einsum("...d,...e->...de", phi_k, v)
    z = state[1] + phi_k
    top = torch.einsum("...d,...de->...e", phi_q, s)
    return top / torch.einsum("...d,...d->...", phi_q, z)[..., None], (s, z)


def right_by_one_table(state, q, k, v):
    """S and z side by side in one table, with a 1 behind the value"""
    s, z = state
    both = torch.cat([s, z[..., None]], dim=-1)
    both = both + _outer(_phi(k), torch.cat([v, torch.ones_like(v[..., :1])], dim=-1))
    sums = (both * _phi(q)[..., None]).sum(dim=-2)
    return sums[..., :-1] / sums[..., -1:], (both[..., :-1], both[..., -1])


shown = right_by_a_row_times_a_matrix
