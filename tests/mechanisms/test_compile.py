"""torch.compile makes one graph of every fast form, gradient included, but of those listed here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rows import MECHANISMS

TESTS = Path(__file__).parent.parent

pytestmark = pytest.mark.early

# What runs next depends on numbers that only the run knows: graphs, with Python in between.
SEVERAL_GRAPHS = {
    "adaptive_span_attention": "heads are grouped by the spans that they have learned",
    "block_selection_attention": "each block of keys meets the queries that chose it, some or many",
    "block_selection_attention_causal": "each block of keys meets the queries that chose it",
    "causal_performer_attention": "a chunk is halved until no exponential in it can overflow",
    "entmax15": "Newton's steps go on until none is larger than rounding",
    "entmax15_attention": "Newton's steps go on until none is larger than rounding",
    "sparsemax": "Newton's steps go on until none is larger than rounding",
    "sparsemax_attention": "Newton's steps go on until none is larger than rounding",
}


def found(*what):
    """What a process without the import hook of the tests finds."""
    script = [sys.executable, str(TESTS / "compiling.py"), *what]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=TESTS.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compiled(request):
    """What became of the mechanisms that are asked for in this run, all in one process."""
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    names = {call.params["compiles"] for call in calls if call and "compiles" in call.params}
    return found("graphs", *sorted(names))


@pytest.fixture(scope="module")
def rest():
    return found("rest")


def test_those_with_several_graphs_are_mechanisms():
    assert set(SEVERAL_GRAPHS) < set(MECHANISMS)


@pytest.mark.by_turns
@pytest.mark.parametrize("compiles", MECHANISMS)
def test_one_graph_or_as_many_as_are_known_compute_the_same(compiled, compiles):
    one, several = compiled[compiles]
    assert (one is None) == (compiles not in SEVERAL_GRAPHS), one
    assert several is None


def test_a_graph_is_made_once_for_its_shape_and_once_for_all_others(rest):
    assert rest["recompilations"] == 2


def test_each_function_has_its_own_graphs(rest):
    assert rest["apart"]


def test_positions_are_part_of_a_graph(rest):
    assert rest["positions"]


def test_a_wrong_shape_is_told_as_without_compiling(rest):
    assert rest["message"] == (
        "q and k must share d, their last axis: got d=3 for q (5, 3) and d=8 for k (5, 8)"
    )


@pytest.mark.by_turns
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_a_rule_becomes_machine_code_that_computes_the_same():
    assert found("machine_code") is None
