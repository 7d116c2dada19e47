"""No small change of a right answer that changes what it computes passes the checks."""

import ast
from dataclasses import replace

import pytest
from mutation import bare, called, mutants
from survivors import answers, tally

from attncourse.course.exercise import all_exercises

EXERCISES = all_exercises()
RIGHT = [(exercise, name) for exercise in EXERCISES.values() for name in answers(exercise)]

# What passes although it differs somewhere, and why it may: parts of the change, the reason.
MAY_DIFFER = {
    "weighted_mean": (
        ("total", "largest"),
        "the gradient of weights that are all zero need only be finite",
    ),
    "cosine_scores": (("== 0", "amax"), "the gradient of a zero vector need only be finite"),
    "fix_expensive_heads": (
        ("v.shape[-1]", "_check_heads(h"),
        "its matrices are square, so that all widths are one",
    ),
    **dict.fromkeys(
        ("linear_attention", "causal_linear_attention", "fix_causal_linear_attention"),
        (("no_state:",), "no check has a width of one, at which a scale would not show"),
    ),
    **dict.fromkeys(
        ("block_attention", "sliding_window_attention", "fix_sliding_window_attention"),
        ((").float()",), "what is rounded to float32 is within the tolerance"),
    ),
    **dict.fromkeys(
        ("encoder_layer", "decoder_layer", "fix_decoder_layer"),
        (
            ("_in_units", ").float()"),
            "the ends of a dtype are not asked, and what is rounded to it",
        ),
    ),
    "truncated_svd": (
        ("linalg.svd(a)", "full_matrices=True"),
        "what a whole basis has beyond the first r is cut off",
    ),
    **dict.fromkeys(
        ("nystrom_attention", "fix_nystrom_attention"),
        ((").float()", "].float()"), "what is rounded to float32 is within the tolerance"),
    ),
    "masked_copy": (
        ("-> numbers = tl.load(",),
        "what is read past n and not written shows only where the tensor ends there",
    ),
    "layer_norm": (("_in_units",), "tokens at the ends of their dtype are not asked of a learner"),
}


@pytest.mark.by_turns
@pytest.mark.parametrize(
    ("exercise", "name"), RIGHT, ids=[f"{exercise.name}-{name}" for exercise, name in RIGHT]
)
def test_a_changed_answer_fails_or_computes_the_same(exercise, name):
    found = tally(exercise, name)
    assert found.made == found.killed + len(found.equal) + len(found.alive)
    assert found.killed > 10
    parts, _ = MAY_DIFFER.get(exercise.name, ((), ""))
    assert [line for line in found.alive if not any(part in line for part in parts)] == []


@pytest.mark.parametrize(
    ("exercise", "name"), RIGHT, ids=[f"{exercise.name}-{name}" for exercise, name in RIGHT]
)
def test_no_mutant_can_run_for_ever(exercise, name):
    loops = [node for f in called(answers(exercise)[name]) for node in ast.walk(bare(f))]
    assert not any(isinstance(node, ast.While) for node in loops)


def test_without_the_table_of_one_entry_a_wrong_mutant_lives():
    mean = EXERCISES["weighted_mean"]
    name = "equals_the_sum_over_entries"
    found = tally(replace(mean, checks={name: mean.checks[name]}), "by_running_mean")
    assert any("values[..., 1,:]" in line for line in found.alive)
    assert not any("values[..., 1,:]" in line for line in tally(mean, "by_running_mean").alive)


def scaled(x, y):
    """Takes one thing from another."""
    low = x.sum(dim=-1, keepdim=True)
    return x - 2 * y + low


def test_the_mutants_of_a_function_are_one_change_each():
    changes = {mutant.what.partition(" -> ")[2] for mutant in mutants(scaled)}
    assert {
        "low = x.sum(dim=-2, keepdim=True)",
        "low = x.sum(dim=1, keepdim=True)",
        "low = x.sum(dim=-1)",
        "low = x.mean(dim=-1, keepdim=True)",
        "low = y.sum(dim=-1, keepdim=True)",
        "low = x",
        "return x - 2 * y",
        "return 2 * y - x + low",
        "return x.sub_(2 * y) + low",
        "return (x - 2 * y + low).double()",
        "return x - 2 / y + low",
        "x.zero_()",
    } <= changes
    assert scaled.__name__ == next(mutants(scaled)).function.__name__
