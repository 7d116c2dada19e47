"""Answers that people gave, or might, none of them a `wrong_*` or `right_*`: what must be found.

Each is the body of a function of the exercise's signature.
"""

WRONG = {
    "self_attention": {
        "a mean of what came before": """
            q, k, v = x @ w_q, x @ w_k, x @ w_v
            out = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
            if not causal:
                return out
            return out.cumsum(-2) / torch.arange(1, x.shape[-2] + 1)[:, None]
        """,
        "keys cut off from the gradient": """
            q, k, v = x @ w_q, (x @ w_k).detach(), x @ w_v
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            mask = torch.ones_like(scores, dtype=torch.bool).tril() if causal else None
            return weights_of(scores, mask) @ v
        """,
        "the first token sees all": """
            q, k, v = x @ w_q, x @ w_k, x @ w_v
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if not causal:
                return weights_of(scores, None) @ v
            mask = torch.ones_like(scores, dtype=torch.bool).tril()
            mask[..., 0, :] = True
            return weights_of(scores, mask) @ v
        """,
        "tokens counted on the first axis": """
            q, k, v = x @ w_q, x @ w_k, x @ w_v
            n = x.shape[0]
            mask = torch.ones(n, n, dtype=torch.bool).tril() if causal else None
            return weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask) @ v
        """,
    },
    "cross_attention": {
        "a triangle at the end": """
            q, k, v = x @ w_q, memory @ w_k, memory @ w_v
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            late = k.shape[-2] - q.shape[-2]
            mask = torch.ones_like(scores, dtype=torch.bool).tril(late)
            return weights_of(scores, mask) @ v
        """,
        "one mean for all": """
            q, k, v = x @ w_q, memory @ w_k, memory @ w_v
            out = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
            return out.mean(dim=-2, keepdim=True).expand_as(out)
        """,
        "the last token of the memory": """
            return (memory[..., -1:, :] @ w_v).expand(*x.shape[:-1], w_v.shape[-1])
        """,
        "divided by the keys": """
            q, k, v = x @ w_q, memory @ w_k, memory @ w_v
            weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
            return weights @ v / k.shape[-2]
        """,
    },
    "fix_self_attention": {
        "the scores alone": """
            q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
            scores = q.mT @ k / math.sqrt(q.shape[-2])
            mask = torch.ones_like(scores, dtype=torch.bool).tril() if causal else None
            return (weights_of(scores, mask) @ v).mT
        """,
        "the softmax down the columns": """
            q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
            scores = q.mT @ k / math.sqrt(q.shape[-2])
            if causal:
                hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
                scores = scores.masked_fill(hidden, -math.inf)
            return (v @ torch.softmax(scores, dim=-2)).mT
        """,
    },
    "masked_attention": {
        "ten thousand, then the mask": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is None:
                return scores.softmax(-1) @ v
            return (scores.masked_fill(~mask, -1e4).softmax(-1) * mask) @ v
        """,
        "a billion off": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is None:
                return scores.softmax(-1) @ v
            return (torch.softmax(scores - 1e9 * ~mask, dim=-1) * mask) @ v
        """,
        "mask for two axes": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is not None:
                mask = mask.reshape(mask.shape[-2:])
            return weights_of(scores, mask) @ v
        """,
    },
    "attention": {
        "keys counted": """
            scores = torch.stack([(q * k[..., j : j + 1, :]).sum(-1) for j in range(37)], dim=-1)
            return weights_of(scores / math.sqrt(q.shape[-1]), mask) @ v
        """,
        "width written down": """
            return weights_of(q @ k.mT / 8**0.5, mask) @ v
        """,
        "cast up for good": """
            return weights_of(q.double() @ k.double().mT / q.shape[-1] ** 0.5, mask) @ v.double()
        """,
        "cast to float32 and back": """
            weights = weights_of((q @ k.mT / math.sqrt(q.shape[-1])).float(), mask)
            return (weights @ v.float()).to(v.dtype)
        """,
        "softmax in float32": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            return weights_of(scores, mask).float().to(v.dtype) @ v
        """,
        "scores clamped": """
            scores = (q @ k.mT / math.sqrt(q.shape[-1])).clamp(-500, 500)
            return weights_of(scores, mask) @ v
        """,
        "median taken off": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is not None:
                return weights_of(scores, mask) @ v
            e = (scores - scores.median(dim=-1, keepdim=True).values).exp()
            return e / e.sum(-1, keepdim=True) @ v
        """,
        "one query squeezed": """
            out = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask) @ v
            return out.squeeze(-2) if out.shape[-2] == 1 else out
        """,
        "ten keys at a time, forty in all": """
            weights = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask)
            parts = range(0, 40, 10)
            return sum(weights[..., i : i + 10] @ v[..., i : i + 10, :] for i in parts)
        """,
        "dropout": """
            weights = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask)
            return torch.nn.functional.dropout(weights, 0.1) @ v
        """,
        "a width of sixty-four": """
            return weights_of(q @ k.mT / math.sqrt(64), mask) @ v
        """,
        "two results": """
            weights = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask)
            return weights @ v, weights
        """,
        "weights in bfloat16": """
            weights = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask)
            return weights.bfloat16().to(v.dtype) @ v
        """,
        "gradient stopped": """
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            return weights_of(scores, mask).detach() @ v
        """,
        "all pairs made": """
            scores = (q[..., :, None, :] * k[..., None, :, :]).sum(-1) / math.sqrt(q.shape[-1])
            return weights_of(scores, mask) @ v
        """,
    },
    "softmax": {
        "median": """
            e = (x - x.median(dim=-1, keepdim=True).values).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "finite minimum": """
            low = torch.where(x.isinf(), math.inf, x).amin(-1, keepdim=True)
            e = (x - low).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "first score": """
            e = (x - x[..., :1]).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "clamped at seven hundred": """
            e = x.clamp(-700, 700).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "gaps clamped": """
            e = (x - x.amax(-1, keepdim=True)).clamp(min=-10).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "quotient mended": """
            return (x.exp() / x.exp().sum(-1, keepdim=True)).nan_to_num(1.0)
        """,
        "rows of a matrix": """
            out = torch.empty_like(x)
            for i in range(len(x)):
                e = (x[i] - x[i].max()).exp()
                out[i] = e / e.sum()
            return out
        """,
        "gradient stopped": """
            with torch.no_grad():
                e = (x - x.amax(-1, keepdim=True)).exp()
                return e / e.sum(-1, keepdim=True)
        """,
        "squeezed": """
            e = (x - x.amax(-1, keepdim=True)).exp()
            return (e / e.sum(-1, keepdim=True)).squeeze()
        """,
        "float64 for good": """
            x = x.double()
            e = (x - x.amax(-1, keepdim=True)).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "a matrix only": """
            n, m = x.shape
            e = (x - x.amax(-1, keepdim=True)).exp()
            return e / e.sum(-1, keepdim=True)
        """,
        "maximum rounded away": """
            e = (x - x.amax().round()).exp()
            return e / e.sum(-1, keepdim=True)
        """,
    },
    "fix_masked_softmax": {
        "detached where hidden": """
            still = torch.where(mask, scores, scores.detach())
            weights = torch.softmax(still, dim=-1) * mask
            total = weights.sum(dim=-1, keepdim=True)
            return weights / total.masked_fill(total == 0, 1.0)
        """,
        "mean taken off": """
            e = (scores - scores.mean(dim=-1, keepdim=True)).exp() * mask
            total = e.sum(dim=-1, keepdim=True)
            return e / total.masked_fill(total == 0, 1.0)
        """,
        "hidden ones at zero, renormalised": """
            weights = torch.softmax(scores.masked_fill(~mask, 0.0), dim=-1) * mask
            total = weights.sum(dim=-1, keepdim=True)
            return weights / total.masked_fill(total == 0, 1.0)
        """,
        "logarithms renormalised": """
            logs = torch.log_softmax(scores, dim=-1).masked_fill(~mask, -math.inf)
            return (logs - logs.logsumexp(dim=-1, keepdim=True)).exp().nan_to_num(0.0)
        """,
    },
    "masked_softmax": {
        "lowest added, not set": """
            low = torch.finfo(scores.dtype).min / 2
            return torch.softmax(scores + ~mask * low, dim=-1)
        """,
        "ten thousand, then the mask": """
            return scores.masked_fill(~mask, -1e4).softmax(-1) * mask
        """,
        "a billion off": """
            return torch.softmax(scores - 1e9 * ~mask, dim=-1) * mask
        """,
        "quotient mended": """
            e = (scores.masked_fill(~mask, -math.inf)).exp()
            return (e / e.sum(-1, keepdim=True)).nan_to_num(0.0)
        """,
        "sum clamped": """
            filled = scores.masked_fill(~mask, -math.inf)
            top = filled.amax(-1, keepdim=True)
            e = (filled - top.masked_fill(top.isinf(), 0.0)).exp()
            return e / e.sum(-1, keepdim=True).clamp(min=2.0)
        """,
        "exponentials times the mask": """
            e = (scores - scores.amax(-1, keepdim=True)).exp() * mask
            total = e.sum(-1, keepdim=True)
            return e / torch.where(total == 0, 1.0, total)
        """,
        "mask of the scores' shape": """
            flat = mask.reshape(scores.shape)
            out = torch.softmax(scores.masked_fill(~flat, -math.inf), dim=-1)
            return out.masked_fill(~flat, 0.0)
        """,
    },
    "soft_lookup": {
        "cold is the best": """
            scores = (keys @ query[..., None]).squeeze(-1)
            if temperature < 1e-6:
                return values.take_along_dim(scores.argmax(-1)[..., None, None], -2).squeeze(-2)
            return (torch.softmax(scores / temperature, -1)[..., None] * values).sum(-2)
        """,
        "temperature clamped": """
            scores = (keys @ query[..., None]).squeeze(-1) / max(temperature, 1e-8)
            return (torch.softmax(scores, -1)[..., None] * values).sum(-2)
        """,
        "squeezed": """
            weights = torch.softmax((keys @ query[..., None]) / temperature, dim=-2)
            return (weights.mT @ values).squeeze()
        """,
        "hot is the mean": """
            if temperature > 1e5:
                return values.mean(-2)
            scores = (keys @ query[..., None]).squeeze(-1) / temperature
            return (torch.softmax(scores, -1)[..., None] * values).sum(-2)
        """,
        "entries counted": """
            scores = torch.stack([(query * keys[..., j, :]).sum(-1) for j in range(37)], -1)
            return (torch.softmax(scores / temperature, -1)[..., None] * values).sum(-2)
        """,
    },
    "weighted_mean": {
        "quotient mended": """
            total = weights.sum(-1, keepdim=True)
            return ((weights[..., None] * values).sum(-2) / total).nan_to_num(0.0)
        """,
        "where after the quotient": """
            total = weights.sum(-1, keepdim=True)
            mean = (weights[..., None] * values).sum(-2) / total
            return torch.where(total == 0, torch.zeros_like(mean), mean)
        """,
        "lower bound": """
            total = weights.sum(-1, keepdim=True).clamp(min=1e-12)
            return (weights[..., None] * values).sum(-2) / total
        """,
        "lower bound of the dtype's step": """
            total = weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).eps)
            return (weights[..., None] * values).sum(-2) / total
        """,
        "a step added": """
            total = weights.sum(-1, keepdim=True) + torch.finfo(weights.dtype).eps
            return (weights[..., None] * values).sum(-2) / total
        """,
        "normalised by the library": """
            shares = torch.nn.functional.normalize(weights, p=1, dim=-1)
            return (shares[..., None] * values).sum(-2)
        """,
        "small totals are none": """
            total = weights.sum(-1, keepdim=True)
            total = torch.where(total < 1e-10, torch.ones_like(total), total)
            return (weights[..., None] * values).sum(-2) / total
        """,
        "one empty, all empty": """
            if (weights.sum(-1) == 0).any():
                return torch.zeros_like(values[..., 0, :])
            return (weights[..., None] * values).sum(-2) / weights.sum(-1, keepdim=True)
        """,
        "by logarithms": """
            return (torch.softmax(weights.log(), -1)[..., None] * values).sum(-2)
        """,
        "squeezed": """
            total = weights.sum(-1, keepdim=True)
            shares = weights / torch.where(total == 0, 1.0, total)
            return (shares[..., None, :] @ values).squeeze()
        """,
    },
    "additive_scores": {
        "tanh by two exponentials": """
            h = (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]
            return ((h.exp() - (-h).exp()) / (h.exp() + (-h).exp())) @ u
        """,
        "tanh by one exponential": """
            e = (2 * ((q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :])).exp()
            return ((e - 1) / (e + 1)) @ u
        """,
        "tanh mended where it overflows": """
            h = (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]
            e = (2 * h).exp()
            return torch.where(h > 300, 1.0, (e - 1) / (e + 1)) @ u
        """,
        "units counted": """
            a, b = q @ w_q, k @ w_k
            return sum((a[..., i, None] + b[..., None, :, i]).tanh() * u[i] for i in range(10))
        """,
        "cubic": """
            h = (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]
            return h.clamp(-1, 1) @ u
        """,
        "squeezed": """
            h = (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]
            return (h.tanh() @ u[:, None]).squeeze()
        """,
    },
    "bilinear_scores": {
        "float32": """
            return (q.float() @ w.float() @ k.float().mT).to(q.dtype)
        """,
        "float64 for good": """
            return q.double() @ w.double() @ k.double().mT
        """,
        "widths counted": """
            return sum(
                q[..., :, i, None] * w[i, j] * k[..., None, :, j]
                for i in range(8)
                for j in range(6)
            )
        """,
        "squeezed": """
            return (q @ w @ k.mT).squeeze()
        """,
        "by the library's pairs": """
            n, m = q.shape[-2], k.shape[-2]
            a = q[..., :, None, :].expand(*q.shape[:-1], m, -1)
            b = k[..., None, :, :].expand(*k.shape[:-2], n, m, -1)
            pairs = torch.nn.functional.bilinear(a.contiguous(), b.contiguous(), w[None])
            return pairs.squeeze(-1)
        """,
        "of three axes": """
            return torch.einsum("bnd,de,bme->bnm", q, w, k)
        """,
    },
    "cosine_scores": {
        "product mended": """
            lengths = q.norm(dim=-1, keepdim=True) * k.norm(dim=-1, keepdim=True).mT
            return (q @ k.mT / lengths).nan_to_num(0.0)
        """,
        "a step inside the root": """
            unit = lambda x: x / (x.square().sum(-1, keepdim=True) + 1e-12).sqrt()
            return unit(q) @ unit(k).mT
        """,
        "a step added": """
            unit = lambda x: x / (x.norm(dim=-1, keepdim=True) + 1e-8)
            return unit(q) @ unit(k).mT
        """,
        "short is none": """
            def unit(x):
                norm = x.norm(dim=-1, keepdim=True)
                return torch.where(norm < 1e-4, torch.zeros_like(x), x / norm.clamp(min=1e-4))
            return unit(q) @ unit(k).mT
        """,
        "by distances": """
            a, b = (torch.nn.functional.normalize(x, dim=-1) for x in (q, k))
            return 1 - torch.cdist(a, b).square() / 2
        """,
        "units in float32": """
            unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
            return unit(q).float().to(q.dtype) @ unit(k).float().to(q.dtype).mT
        """,
    },
    "causal_mask": {
        "keys counted": """
            return torch.arange(37) <= torch.arange(n)[:, None] + m - n
        """,
        "by a square": """
            size = max(n, m)
            return torch.ones(size, size, dtype=torch.bool).tril()[-n:, :m]
        """,
        "squeezed": """
            return torch.ones(n, m, dtype=torch.bool).tril(m - n).squeeze()
        """,
        "never empty": """
            mask = torch.ones(n, m, dtype=torch.bool).tril(m - n)
            mask[:, 0] = True
            return mask
        """,
    },
    "padding_mask": {
        "keys counted": """
            return torch.arange(9) < lengths[..., None, None]
        """,
        "squeezed": """
            return (torch.arange(m) < lengths[..., None, None]).squeeze()
        """,
        "never empty": """
            return torch.arange(m) < lengths.clamp(min=1)[..., None, None]
        """,
        "of int64": """
            assert lengths.dtype == torch.int64
            return torch.arange(m) < lengths[..., None, None]
        """,
    },
}

RIGHT = {
    "self_attention": {
        "a token at a time": """
            rows = []
            for i in range(x.shape[-2]):
                seen = x[..., : i + 1, :] if causal else x
                q = x[..., i : i + 1, :] @ w_q
                scores = q @ (seen @ w_k).mT / math.sqrt(w_q.shape[-1])
                rows.append(torch.softmax(scores, dim=-1) @ (seen @ w_v))
            return torch.cat(rows, dim=-2)
        """,
    },
    "cross_attention": {
        "tokens as columns": """
            q, k, v = w_q.mT @ x.mT, w_k.mT @ memory.mT, w_v.mT @ memory.mT
            weights = torch.softmax(k.mT @ q / math.sqrt(q.shape[-2]), dim=-2)
            return (v @ weights).mT
        """,
    },
    "attention": {
        "vmap over pairs": """
            score = torch.vmap(torch.vmap(torch.dot, (None, 0)), (0, None))
            flat_q, flat_k = (x.reshape(-1, *x.shape[-2:]) for x in (q, k))
            scores = torch.stack([score(a, b) for a, b in zip(flat_q, flat_k)])
            scores = scores.reshape(*q.shape[:-1], -1) / math.sqrt(q.shape[-1])
            return weights_of(scores, mask) @ v
        """,
        "four keys at a time": """
            weights = weights_of(q @ k.mT / math.sqrt(q.shape[-1]), mask)
            parts = range(0, k.shape[-2], 4)
            return sum(weights[..., i : i + 4] @ v[..., i : i + 4, :] for i in parts)
        """,
        "both scaled": """
            root = q.shape[-1] ** -0.25
            return weights_of((q * root) @ (k * root).mT, mask) @ v
        """,
        "sums last": """
            scores = torch.einsum("...nd,...md->...nm", q, k) * q.shape[-1] ** -0.5
            seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
            filled = scores.masked_fill(~seen, -math.inf)
            top = filled.amax(-1, keepdim=True).clamp(min=torch.finfo(q.dtype).min)
            e = (filled - top).exp()
            total = e.sum(-1, keepdim=True)
            return (e @ v) / torch.where(total == 0, 1.0, total)
        """,
        "in float64": """
            weights = weights_of(q.double() @ k.double().mT / math.sqrt(q.shape[-1]), mask)
            return (weights @ v.double()).to(v.dtype)
        """,
    },
    "softmax": {
        "in float64": """
            e = (x.double() - x.double().amax(-1, keepdim=True)).exp()
            return (e / e.sum(-1, keepdim=True)).to(x.dtype)
        """,
        "rows into a buffer": """
            flat = x.reshape(-1, x.shape[-1])
            out = torch.empty_like(flat)
            for i in range(len(flat)):
                e = (flat[i] - flat[i].max()).exp()
                out[i] = e / e.sum()
            return out.reshape(x.shape)
        """,
        "maximum detached": """
            e = torch.exp(x - x.detach().max(dim=-1, keepdim=True).values)
            return e / torch.einsum("...n->...", e)[..., None]
        """,
        "one at a time": """
            e = (x - x.amax(-1, keepdim=True)).exp()
            total = torch.zeros_like(e[..., :1])
            for i in range(x.shape[-1]):
                total = total + e[..., i : i + 1]
            return e / total
        """,
    },
    "fix_masked_softmax": {
        "where and any": """
            out = torch.softmax(torch.where(mask, scores, -math.inf), dim=-1)
            return torch.where(mask.any(-1, keepdim=True), out, 0.0)
        """,
    },
    "masked_softmax": {
        "where and any": """
            out = torch.softmax(torch.where(mask, scores, -math.inf), dim=-1)
            return torch.where(mask.any(-1, keepdim=True), out, 0.0)
        """,
        "far below the lowest score": """
            low = scores.detach().min() - 100
            return torch.softmax(scores.masked_fill(~mask, low), dim=-1) * mask
        """,
        "empty rows filled": """
            seen = mask | ~mask.any(-1, keepdim=True)
            return scores.masked_fill(~seen, -math.inf).softmax(-1) * mask
        """,
    },
    "soft_lookup": {
        "division last": """
            scores = torch.einsum("...d,...md->...m", query, keys) / temperature
            e = (scores - scores.amax(-1, keepdim=True)).exp()
            return torch.einsum("...m,...me->...e", e, values) / e.sum(-1, keepdim=True)
        """,
        "as attention": """
            weights = torch.softmax(query[..., None, :] @ keys.mT / temperature, dim=-1)
            return (weights @ values)[..., 0, :]
        """,
    },
    "weighted_mean": {
        "where before": """
            total = weights.sum(-1, keepdim=True)
            safe = torch.where(total == 0, torch.ones_like(total), total)
            return torch.einsum("...m,...me->...e", weights / safe, values)
        """,
        "zero counted in": """
            total = weights.sum(-1, keepdim=True)
            return (weights[..., None] * values).sum(-2) / (total + (total == 0))
        """,
    },
    "additive_scores": {
        "vmap over queries": """
            def one(a, b):
                return torch.tanh(a + b) @ u
            f, g = q @ w_q, k @ w_k
            return torch.stack([one(f[..., i : i + 1, :], g) for i in range(q.shape[-2])], -2)
        """,
        "bounded, then exponentials": """
            h = ((q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]).clamp(-20, 20)
            return (((2 * h).exp() - 1) / ((2 * h).exp() + 1)) @ u
        """,
        "stable exponentials": """
            h = (q @ w_q).unsqueeze(-2) + (k @ w_k).unsqueeze(-3)
            e = (-2 * h.abs()).exp()
            return (h.sign() * (1 - e) / (1 + e) * u).sum(-1)
        """,
    },
    "bilinear_scores": {
        "vmap over pairs": """
            score = torch.vmap(torch.vmap(torch.dot, (None, 0)), (0, None))
            p = q @ w
            flat_p, flat_k = (x.reshape(-1, *x.shape[-2:]) for x in (p, k))
            scores = torch.stack([score(a, b) for a, b in zip(flat_p, flat_k)])
            return scores.reshape(*q.shape[:-1], k.shape[-2])
        """,
        "einsum of three": """
            return torch.einsum("...na,ab,...mb->...nm", q, w, k)
        """,
    },
    "cosine_scores": {
        "roots of safe squares": """
            def unit(x):
                squares = x.square().sum(-1, keepdim=True)
                return x * torch.where(squares == 0, 1.0, squares).rsqrt()
            return unit(q) @ unit(k).mT
        """,
        "each length bounded": """
            unit = lambda x: x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            return unit(q) @ unit(k).mT
        """,
    },
    "causal_mask": {
        "upper left out": """
            return ~torch.ones(n, m, dtype=torch.bool).triu(m - n + 1)
        """,
    },
    "padding_mask": {
        "less than": """
            return torch.lt(torch.arange(m), lengths.reshape(*lengths.shape, 1, 1))
        """,
    },
}

# what is asked under a mask is asked without one, too
for _tried in (WRONG, RIGHT):
    _tried["masked_attention"] = _tried["attention"] | _tried.get("masked_attention", {})
