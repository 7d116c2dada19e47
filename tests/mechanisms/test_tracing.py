"""Sizes that are not int: make_fx, jit.trace and torch.export make graphs that compute the same.

What a graph cannot hold is refused in a sentence, never computed wrong: a function that looks at
its numbers before it goes on, and a program for one length that is given another.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attncourse.core.numbers import decides
from mechanisms.test_compile import SEVERAL_GRAPHS
from rows import MECHANISMS

TESTS = Path(__file__).parent.parent
REFUSED = "RuntimeError: what is computed next must not depend on numbers while one graph is"

# what torch.jit.trace cannot hold, as it says itself
NOT_TRACED = {
    "lsh_attention": "unordered_map::at",  # tensors in a tuple that goes into autograd.Function
    "causal_lsh_attention": "unordered_map::at",
}

pytestmark = pytest.mark.early


def found(*what):
    """What a process without the import hook of the tests finds."""
    script = [sys.executable, str(TESTS / "tracing.py"), *what]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=TESTS.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def graphs(request):
    """What became of the mechanisms that this run asks for, all of one kind in one process."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    kinds = {}
    for call in calls:
        if call and "traced" in call.params:
            kinds.setdefault(call.params["kind"], []).append(call.params["traced"])
    return {kind: found(kind, *sorted(names)) for kind, names in kinds.items()}


def test_jit_trace_gives_the_same():
    for name, why in found("trace", *MECHANISMS).items():
        assert (why is None) == (name not in NOT_TRACED), f"{name}: {why}"
        assert why is None or NOT_TRACED[name] in why


@pytest.mark.by_turns
@pytest.mark.parametrize("kind", ["make_fx", "export"])
@pytest.mark.parametrize("traced", MECHANISMS)
def test_a_graph_of_symbolic_sizes_gives_the_same_or_is_refused(graphs, kind, traced):
    why = graphs[kind][traced]
    if traced in SEVERAL_GRAPHS:
        assert why.startswith(REFUSED)
    elif kind == "export" and why is not None:
        assert why.startswith(("fixed", "AssertionError: Guard failed")), why
    else:
        assert why is None


def test_a_decoder_is_exported_for_every_length():
    assert found("decoder", "learned", "rotary") == {"learned": True, "rotary": True}


def test_numbers_decide_where_there_are_some():
    assert decides(torch.ones(2))
    assert not decides(torch.ones(2, device="meta"))
