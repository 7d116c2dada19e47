r"""# Who answers for which object

A detector has q queries, each with an answer; an image has t objects. Before the loss can say how
wrong an answer is, each object needs an answer of its own. Find, for every object, the query that
answers for it, so that no query answers twice and the whole is as cheap as it can be:

$$\min_{\sigma} \sum_{j=1}^{t} \mathrm{cost}_{\sigma(j),\, j} , \qquad
\sigma(j) \ne \sigma(j') \text{ for } j \ne j' .$$

- `cost` is (..., q, t), q at least t: what it costs to let query i answer for object j. Costs may
  be negative. No two assignments cost the same.
- The result is (..., t), int64: the number of the query, from 0 to q - 1, for each object.
- For each matrix of a batch the assignment is its own. q is at most six: you may try all.
- No gradient is asked for, since the result is whole numbers.
"""

import itertools

import torch

from attncourse.models.senses.boxes import match_boxes as solution
from attncourse.testing import assert_same, gaussian

difficulty, minutes = 2, 20
hints = (
    "`itertools.permutations(range(q), t)` lists every way to give t objects different queries. "
    "What does each of them cost?",
    "With all ways as an index `ways` (p, t), `cost[..., ways, torch.arange(t)]` is (..., p, t). "
    "Sum over the objects, take the smallest, and look up its way.",
)
forbidden = ("match_boxes", "linear_sum_assignment")

SIZES = ((5, 3), (4, 2), (6, 1))  # q, t


def check_the_cheapest_first_is_dear(student):
    """two queries and two objects by hand: who takes the cheapest first pays for it"""
    cost = torch.tensor([[1.0, 2], [2, 9]]).double()
    assert_same(student(cost), torch.tensor([1, 0]))


def check_the_sum_is_least(student):
    """the least sum of all assignments, for any numbers of queries and objects"""
    for seed, sizes in enumerate(SIZES):
        cost = gaussian(3, *sizes, seed=10 * seed)
        assert_same(student(cost), right_by_trying(cost))


def check_as_many_objects_as_queries(student):
    """as many objects as queries: each query answers for one"""
    cost = gaussian(4, 4, seed=40)
    assert_same(student(cost), right_by_trying(cost))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too"""
    for lead in ((), (1,), (2, 1, 3)):
        cost = gaussian(*lead, 4, 3, seed=50)
        assert_same(student(cost), right_by_trying(cost))


def check_a_constant_changes_nothing(student):
    """the same for all answers to an object changes no assignment, nor does a large scale"""
    cost = gaussian(5, 4, 3, seed=60)
    dearer = 1000 * cost + 5000 * gaussian(5, 1, 3, seed=61)
    assert_same(student(dearer), right_by_trying(cost))


def check_float32(student):
    """costs in float32 give whole numbers as well"""
    cost = gaussian(2, 5, 2, seed=70).float()
    assert_same(student(cost), right_by_trying(cost))


def wrong_nearest_query(cost):
    """You give each object its cheapest query, so that one query answers for two. An answer can be
    held against one object only: no number may come twice.
    """
    return cost.argmin(dim=-2)


def wrong_object_by_object(cost):
    """You go from object to object and give each the cheapest query that is left. The first one may
    take what another needs more: compare whole assignments.
    """
    price = cost.clone()
    found = []
    for j in range(cost.shape[-1]):
        best = price[..., j].argmin(dim=-1, keepdim=True)
        price = price.scatter(-2, best[..., None].expand(*best.shape, cost.shape[-1]), torch.inf)
        found.append(best)
    return torch.cat(found, dim=-1)


def wrong_cheapest_pair_first(cost):
    """You take the cheapest pair of all, then the cheapest of what is left. That is greedy, and the
    last object pays for it: the least *sum* is asked for.
    """
    *_, q, t = cost.shape
    flat = cost.reshape(-1, q, t).clone()
    found = torch.zeros(len(flat), t, dtype=torch.int64)
    for row, price in zip(found, flat, strict=True):
        for _ in range(t):
            i, j = divmod(int(price.argmin()), t)
            row[j] = i
            price[i, :], price[:, j] = torch.inf, torch.inf
    return found.reshape(*cost.shape[:-2], t)


def wrong_dearest(cost):
    """You look for the largest sum. A cost is to be small: take the smallest."""
    return right_by_trying(-cost)


def wrong_order_of_the_list(cost):
    """You let the first query answer for the first object, the second for the second. The order of
    the list means nothing: match by cost.
    """
    return torch.arange(cost.shape[-1]).expand(*cost.shape[:-2], -1)


def wrong_best_of_the_batch(cost):
    """You chose one assignment for the whole batch. Each image has its own: sum over the objects,
    not over the leading axes.
    """
    one = right_by_trying(cost.reshape(-1, *cost.shape[-2:]).sum(dim=0))
    return one.expand(*cost.shape[:-2], -1)


def wrong_sign_dropped(cost):
    """You dropped the sign of the costs, by a square or an absolute value, and the cheapest became
    the dearest. Sum them as they are.
    """
    return right_by_trying(cost.abs())


def wrong_worst_object(cost):
    """You made the dearest object as cheap as possible. Asked for is the least sum over all
    objects.
    """
    q, t = cost.shape[-2:]
    ways = torch.tensor(list(itertools.permutations(range(q), t)))
    return ways[cost[..., ways, torch.arange(t)].amax(dim=-1).argmin(dim=-1)]


def right_by_index(cost):
    """every assignment at once, as an index"""
    q, t = cost.shape[-2:]
    ways = torch.tensor(list(itertools.permutations(range(q), t)))
    price = cost[..., ways, torch.arange(t)].sum(dim=-1)
    return ways[price.argmin(dim=-1)]


def right_by_trying(cost):
    """one matrix after the other, one assignment after the other"""
    q, t = cost.shape[-2:]
    found = []
    for price in cost.reshape(-1, q, t).tolist():
        ways = itertools.permutations(range(q), t)
        found.append(min(ways, key=lambda way: sum(price[i][j] for j, i in enumerate(way))))
    return torch.tensor(found).reshape(*cost.shape[:-2], t)


def right_object_after_object(cost):
    """the cheapest way to serve the first objects with a set of queries, object after object"""
    q, t = cost.shape[-2:]
    found = []
    for price in cost.reshape(-1, q, t).tolist():
        best = {frozenset(): (0.0, ())}
        for j in range(t):
            longer = {}
            for used, (paid, way) in best.items():
                for i in set(range(q)) - used:
                    offer = (paid + price[i][j], (*way, i))
                    longer[used | {i}] = min(longer.get(used | {i}, offer), offer)
            best = longer
        found.append(min(best.values())[1])
    return torch.tensor(found).reshape(*cost.shape[:-2], t)


shown = right_by_index
