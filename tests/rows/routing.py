"""Routing attention: two clusters of two queries and two keys, of five and 37."""

from functools import partial

import torch

from attncourse.mechanisms.content import routing
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows.softmax import plain_attention


def nearest(x, centroid, top):
    """The positions of the tokens whose direction has the largest product with the centroid."""
    tokens = torch.nn.functional.normalize(x.detach().double(), dim=-1)
    return (tokens @ centroid.detach().double()).topk(top).indices


def plain_routing(q, k, v, centroids, *, top):
    """One sequence and one cluster after the other, by index."""
    if q.ndim > 2:
        rows = zip(q, k, v, centroids, strict=True)
        found = [plain_routing(*row, top=top) for row in rows]
        return torch.stack(found) if found else q.new_zeros(*q.shape[:-1], v.shape[-1])
    outputs = [[] for _ in q]
    for centroid in centroids:
        rows, columns = nearest(q, centroid, top), nearest(k, centroid, top)
        out = plain_attention(q[rows], k[columns], v[columns])
        for row, one in zip(rows.tolist(), out, strict=True):
            outputs[row].append(one)
    nothing = q.new_zeros(v.shape[-1])
    return torch.stack([torch.stack(some).mean(dim=0) if some else nothing for some in outputs])


def routed(*lead, std=2.0, seed=0):
    centroids = gaussian(*lead, 2, 8, std=1.0, seed=seed + 3)
    return *attention_inputs(*lead, std=std, seed=seed), centroids


MECHANISMS = {
    "routing_attention": Mechanism(
        partial(routing.routing_attention, top=2),
        partial(plain_routing, top=2),
        routed,
    ),
}
OPTIONS = {routing.update_centroids: {"decay": 0.9}}
