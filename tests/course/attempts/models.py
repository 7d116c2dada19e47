"""Attempts at the models in miniature, and at what the clinic has to mend."""

import math

import torch
from torch.nn import functional as F

NONE: set[str] = set()


def _attend(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, -1) @ v


def _triangle(x):
    return torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()


def biases_of_inputs(config):
    c = config
    d, b = c["d"], int(c["biases"])
    q, kv = c["h"] * c["d_head"], c["g"] * c["d_head"]
    ups = 2 if c["gated"] else 1
    shapes = [(d, q), (d, kv), (d, kv), (q, d)] + [(d, c["d_ff"])] * ups + [(c["d_ff"], d)]
    layer = sum(r * s + b * r for r, s in shapes) + 2 * (1 + b) * d
    out = 0 if c["tied"] else c["vocabulary"] * d
    return (
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def gate_without_a_bias(config):
    c = config
    d, b = c["d"], int(c["biases"])
    q, kv = c["h"] * c["d_head"], c["g"] * c["d_head"]
    ups = 2 if c["gated"] else 1
    layer = 2 * d * q + 2 * d * kv + (ups + 1) * d * c["d_ff"] + 2 * (1 + b) * d
    layer += b * (q + 2 * kv + d + c["d_ff"] + d)
    out = 0 if c["tied"] else c["vocabulary"] * d
    return (
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def a_float(config):
    c = config
    d, b = c["d"], int(c["biases"])
    q, kv = c["h"] * c["d_head"], c["g"] * c["d_head"]
    ups = 2 if c["gated"] else 1
    shapes = [(d, q), (d, kv), (d, kv), (q, d)] + [(d, c["d_ff"])] * ups + [(c["d_ff"], d)]
    layer = sum(r * s + b * s for r, s in shapes) + 2 * (1 + b) * d
    out = 0 if c["tied"] else c["vocabulary"] * d
    return float(
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def taken_out_of_the_config(config):
    c = config
    d, b = c["d"], int(c["biases"])
    q, kv = c["h"] * c["d_head"], c["g"] * c["d_head"]
    ups = 2 if c["gated"] else 1
    shapes = [(d, q), (d, kv), (d, kv), (q, d)] + [(d, c["d_ff"])] * ups + [(c["d_ff"], d)]
    layer = sum(r * s + b * s for r, s in shapes) + 2 * (1 + b) * d
    out = 0 if c.pop("tied") else c["vocabulary"] * d
    return (
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def tied_the_wrong_way(config):
    c = config
    d, b = c["d"], int(c["biases"])
    q, kv = c["h"] * c["d_head"], c["g"] * c["d_head"]
    ups = 2 if c["gated"] else 1
    shapes = [(d, q), (d, kv), (d, kv), (q, d)] + [(d, c["d_ff"])] * ups + [(c["d_ff"], d)]
    layer = sum(r * s + b * s for r, s in shapes) + 2 * (1 + b) * d
    out = c["vocabulary"] * d if c["tied"] else 0
    return (
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def width_of_a_head_computed(config):
    c = config
    d, b = c["d"], int(c["biases"])
    w = d // c["h"]
    q, kv = c["h"] * w, c["g"] * w
    ups = 2 if c["gated"] else 1
    shapes = [(d, q), (d, kv), (d, kv), (q, d)] + [(d, c["d_ff"])] * ups + [(c["d_ff"], d)]
    layer = sum(r * s + b * s for r, s in shapes) + 2 * (1 + b) * d
    out = 0 if c["tied"] else c["vocabulary"] * d
    return (
        (c["vocabulary"] + c["length"]) * d
        + c["layers"] * layer
        + (1 + b) * d * c["last_norm"]
        + out
    )


def no_logarithm(logits, tokens):
    p = logits[..., :-1, :].softmax(-1)
    return -p.gather(-1, tokens[..., 1:, None]).mean()


def bits(logits, tokens):
    p = torch.log_softmax(logits[..., :-1, :], -1)
    return -p.gather(-1, tokens[..., 1:, None]).mean() / math.log(2)


def last_place_only(logits, tokens):
    p = torch.log_softmax(logits[..., -2, :], -1)
    return -p.gather(-1, tokens[..., -1:])[..., 0].mean()


def flattened_then_shifted(logits, tokens):
    p = torch.log_softmax(logits.flatten(0, -2), -1)
    t = tokens.flatten()
    return -p[:-1].gather(-1, t[1:, None]).mean()


def softmax_twice(logits, tokens):
    p = logits[..., :-1, :].softmax(-1)
    return F.cross_entropy(p.flatten(0, -2), tokens[..., 1:].flatten())


def clamped(logits, tokens):
    p = logits[..., :-1, :].softmax(-1).gather(-1, tokens[..., 1:, None])
    return -p.clamp(min=1e-9).log().mean()


def shares_of_one_number(tokens, chance, fate, others, *, mask_id, rate=0.15):
    hide = chance < 0.8 * rate
    swap = (chance >= 0.8 * rate) & (chance < 0.9 * rate)
    return torch.where(hide, mask_id, torch.where(swap, others, tokens)), chance < rate


def exchanged_not_asked(tokens, chance, fate, others, *, mask_id, rate=0.15):
    asked = chance < rate
    shown = torch.where(asked & (fate < 0.8), mask_id, tokens)
    swap = asked & (fate >= 0.8) & (fate < 0.9)
    return torch.where(swap, others, shown), asked & ~swap


def neighbour_in_place(tokens, chance, fate, others, *, mask_id, rate=0.15):
    asked = chance < rate
    shown = torch.where(asked & (fate < 0.8), mask_id, tokens)
    return torch.where(asked & (fate >= 0.8) & (fate < 0.9), tokens.roll(1, -1), shown), asked


def written_into_the_tokens(tokens, chance, fate, others, *, mask_id, rate=0.15):
    asked = chance < rate
    tokens[asked & (fate < 0.8)] = mask_id
    swap = asked & (fate >= 0.8) & (fate < 0.9)
    tokens[swap] = others[swap]
    return tokens, asked


def channels_at_the_end(images, patch):
    *lead, c, y, x = images.shape
    g = images.reshape(*lead, c, y // patch, patch, x // patch, patch)
    return g.permute(*range(len(lead)), -4, -2, -3, -1, -5).flatten(-3).flatten(-3, -2)


def batch_as_channels(images, patch):
    y, x = images.shape[-2:]
    flat = images.reshape(-1, y, x)
    g = flat.reshape(-1, y // patch, patch, x // patch, patch).transpose(2, 3)
    return g.reshape(*images.shape[:-3], (y // patch) * (x // patch), -1)


def overlapping(images, patch):
    y, x = images.shape[-2:]
    found = []
    for t in range(y - patch + 1):
        for left in range(x - patch + 1):
            found.append(images[..., t : t + patch, left : left + patch].flatten(-3))
    return torch.stack(found, -2)


def features_first(images, patch):
    *lead, c, y, x = images.shape
    g = images.reshape(*lead, c, y // patch, patch, x // patch, patch)
    return g.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2).mT


def outputs_added(q, k, v, *, h):
    out = 0
    for a, b in zip(q.chunk(h, -1), k.chunk(h, -1), strict=True):
        out = out + torch.softmax(a @ b.mT / math.sqrt(a.shape[-1]), -1) @ v
    return out


def heads_in_reverse(q, k, v, *, h):
    outs = []
    for a, b, c in zip(q.chunk(h, -1), k.chunk(h, -1), v.chunk(h, -1), strict=True):
        outs.append(torch.softmax(a @ b.mT / math.sqrt(a.shape[-1]), -1) @ c)
    return torch.cat(outs[::-1], -1)


def one_matrix_for_both(q, k, v, proj_k, proj_v):
    return torch.softmax(q @ (proj_k @ k).mT / math.sqrt(q.shape[-1]), -1) @ (proj_k @ v)


def root_of_r(q, k, v, proj_k, proj_v):
    return torch.softmax(q @ (proj_k @ k).mT / math.sqrt(proj_k.shape[0]), -1) @ (proj_v @ v)


def between_the_values(out, q, k, v):
    return out.shape == (*q.shape[:-1], v.shape[-1]) and bool(
        (out <= v.max()).all() and (out >= v.min()).all()
    )


def total_alone(out, q, k, v):
    e = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v
    return out.shape == e.shape and bool(torch.isclose(out.sum(), e.sum()))


def scores_not_divided(prompt, table, w_out, *, count):
    ids = prompt
    for _ in range(count):
        x = table[ids]
        z = torch.softmax(x @ x[-1], 0) @ x @ w_out
        ids = torch.cat([ids, z.argmax()[None]])
    return ids[len(prompt) :]


def unlikeliest(prompt, table, w_out, *, count):
    ids = prompt
    for _ in range(count):
        x = table[ids]
        z = torch.softmax(x @ x[-1] / math.sqrt(x.shape[-1]), 0) @ x @ w_out
        ids = torch.cat([ids, z.argmin()[None]])
    return ids[len(prompt) :]


def heads_reshaped(x, w_q, w_k, w_v, w_o, *, h):
    q, k, v = ((x @ w).unflatten(-1, (h, -1)).transpose(-3, -2) for w in (w_q, w_k, w_v))
    out = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v
    return out.reshape(*x.shape[:-1], -1) @ w_o


def every_third_feature(x, w_q, w_k, w_v, w_o, *, h):
    q, k, v = ((x @ w).unflatten(-1, (-1, h)).movedim(-1, -3) for w in (w_q, w_k, w_v))
    out = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v
    return out.movedim(-3, -1).flatten(-2) @ w_o


def signs(tex):
    rows = [r for r in tex.split("\\\\") if r.strip()]
    return len(rows), max((r.replace("\\&", "").count("&") for r in rows), default=0)


def all_cells(tex):
    rows = [r for r in tex.split("\\\\") if r.strip()]
    return len(rows), sum(r.replace("\\&", "").count("&") + 1 for r in rows)


def largest_by_size(q, k, v, *, top):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    i = s.abs().topk(top, -1).indices
    m = torch.zeros_like(s, dtype=torch.bool).scatter(-1, i, True)
    return torch.softmax(s.masked_fill(~m, -math.inf), -1) @ v


def equal_shares(q, k, v, *, top):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    i = s.topk(top, -1).indices
    m = torch.zeros_like(s).scatter(-1, i, 1.0 / top)
    return m @ v


def memory_of_the_target(source, target, *, source_mask):
    t = target + _attend(target, target, target, _triangle(target))
    return t + _attend(t, t, t, _triangle(target))


def no_residual(source, target, *, source_mask):
    m = source + _attend(source, source, source, source_mask)
    t = _attend(target, target, target, _triangle(target))
    return t + _attend(t, m, m)


def product_in_the_softmax(q, k, v, *, mask=None):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    return torch.softmax(s * torch.softmax(s, -1), -1) @ v


def sharpened(q, k, v, *, mask=None):
    s = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1)
    return s * s / (s * s).sum(-1, keepdim=True) @ v


ATTEMPTS = {
    "count_parameters": [
        (biases_of_inputs, {"bias_for_each_input"}),
        (gate_without_a_bias, NONE),
        (a_float, NONE),
        (taken_out_of_the_config, NONE),
        (tied_the_wrong_way, NONE),
        (width_of_a_head_computed, NONE),
    ],
    "fix_next_token_loss": [
        (no_logarithm, NONE),
        (bits, NONE),
        (last_place_only, NONE),
        (flattened_then_shifted, {"shifted_across_texts"}),
        (softmax_twice, {"two_softmaxes"}),
        (clamped, NONE),
    ],
    "masking_rule": [
        (shares_of_one_number, NONE),
        (exchanged_not_asked, NONE),
        (neighbour_in_place, NONE),
        (written_into_the_tokens, NONE),
    ],
    "patchify": [
        (channels_at_the_end, {"channels_last"}),
        (batch_as_channels, NONE),
        (overlapping, NONE),
        (features_first, NONE),
    ],
    "fix_joined_heads": [(outputs_added, {"weights_side_by_side"}), (heads_in_reverse, NONE)],
    "fix_low_rank_formula": [
        (one_matrix_for_both, {"values_mixed_by_the_keys_matrix"}),
        (root_of_r, NONE),
    ],
    "fix_shape_check": [(between_the_values, NONE), (total_alone, NONE)],
    "fix_generation": [(scores_not_divided, {"not_scaled"}), (unlikeliest, NONE)],
    "fix_heads": [(heads_reshaped, {"joined_without_transpose"}), (every_third_feature, NONE)],
    "fix_row_count": [(signs, {"signs_for_cells"}), (all_cells, NONE)],
    "fix_random_sparse": [(largest_by_size, NONE), (equal_shares, NONE)],
    "fix_memory_mask": [(memory_of_the_target, NONE), (no_residual, NONE)],
    "fix_weight_formula": [(product_in_the_softmax, NONE), (sharpened, NONE)],
}
