"""What torch.compile makes of the library as it is installed; a script that prints JSON.

The tests' own import hook checks annotations with code that cannot be traced, so that this runs in
a process without it. Backend "eager" runs the graphs uncompiled: what is looked at is whether there
is one graph, gradients included, and whether it computes the same.
"""

import json
import sys
import warnings

import torch
from torch._dynamo.testing import CompileCounter

import attncourse
from attncourse.testing import assert_same, gaussian
from rows import MECHANISMS


def with_gradients(function, arguments):
    """The result, and the gradients of its sum with respect to each floating-point argument."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in arguments]
    out = function(*leaves)
    wanted = [x for x in leaves if x.requires_grad]
    return out, torch.autograd.grad(out.sum(), wanted, allow_unused=True)


def graph(row, **options):
    """None, or why the function does not compile to what it computes itself."""
    torch._dynamo.reset()
    arguments = row.inputs(2, seed=5)
    try:
        compiled = torch.compile(row.fast, backend="eager", **options)
        found = with_gradients(compiled, arguments)
        assert_same(found, with_gradients(row.fast, arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def recompilations():
    """How many graphs lengths 5 to 9 make, with uncompiled calls of other shapes in between."""
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(attncourse.attention, backend=counter, fullgraph=True)
    for n in range(5, 10):
        q, k = gaussian(n, 8), gaussian(37, 8)
        compiled(q, k, k)
        attncourse.attention(k, q, q)
        compiled(q, k, k)
    return counter.frame_count


def functions_do_not_share_their_graphs():
    """Do two functions compile where torch.compile keeps one graph for each code?"""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=1):
        for function in (attncourse.softmax, attncourse.elu_feature_map):
            torch.compile(function, backend="eager", fullgraph=True)(gaussian(5, 8))
    return True


def positions_in_one_graph():
    """Are tables and rotations of positions part of a graph, whatever device they are made for?"""
    torch._dynamo.reset()
    x, places = gaussian(5, 8), torch.arange(5)

    def placed(x, places):
        table = attncourse.sinusoidal_positions(5, 8) + attncourse.alibi_bias(1, 5, 8)[0]
        return attncourse.rotary(x, places) + table

    compiled = torch.compile(placed, backend="eager", fullgraph=True)
    assert_same(compiled(x, places), placed(x, places))
    return True


def message_of_a_wrong_shape():
    torch._dynamo.reset()
    try:
        torch.compile(attncourse.attention, backend="eager")(*(gaussian(5, d) for d in (3, 8, 8)))
    except ValueError as error:
        return str(error)
    return None


def machine_code():
    """Why attention by a rule does not compute the same as C++, if it does not."""
    torch._dynamo.reset()
    q, k, v = (gaussian(2, 3, 300, 16, seed=seed).float() for seed in range(3))
    rule = attncourse.sliding_window_mod(300, 20)
    try:
        compiled = torch.compile(attncourse.flexible_attention, fullgraph=True)
        expected = attncourse.sliding_window_attention(q, k, v, window=20)
        assert_same(compiled(q, k, v, mask_mod=rule), expected)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def graphs(*names):
    """Of each row: why it makes no one graph that computes the same, and why several do not."""
    found = {}
    for name in names:
        one = graph(MECHANISMS[name], fullgraph=True)
        found[name] = [one, one and graph(MECHANISMS[name])]
    return found


def rest():
    """What one mechanism shows for all."""
    return {
        "recompilations": recompilations(),
        "positions": positions_in_one_graph(),
        "apart": functions_do_not_share_their_graphs(),
        "message": message_of_a_wrong_shape(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch.compile's own, where it falls back
    asked = {"graphs": graphs, "rest": rest, "machine_code": machine_code}[sys.argv[1]]
    print(json.dumps(asked(*sys.argv[2:])))
