"""A learner's backward pass in SmolLM2: the words stay, and the gradients tell."""

import pytest
from click.testing import CliRunner

from attncourse import in_a_model
from attncourse.cli import main
from attncourse.course.backward_trial import BackwardTrial
from attncourse.course.exercise import all_exercises, get
from attncourse.course.plugs.table import BACKWARD, PLUGS, offer

NOTHING = "That nothing changes proves nothing: check({}) looks closer."


@pytest.mark.by_turns
@pytest.mark.parametrize("name", BACKWARD)
def test_a_right_one_gives_the_true_gradients_and_proves_nothing(name):
    trial = in_a_model(name, get(name).solution)
    assert isinstance(trial, BackwardTrial)
    lines = repr(trial).splitlines()
    assert lines[0] == (
        f"Your {name} in SmolLM2: it writes the same words, and its gradients are the true ones."
    )
    assert lines[-1] == NOTHING.format(name)
    assert trial.angle.shape == trial.ratio.shape == (31,)
    for answer in get(name).right.values():
        assert in_a_model(name, answer).right()


def test_a_forgotten_dot_product_goes_astray_the_more_the_lower():
    trial = in_a_model("fix_attention_backward", get("fix_attention_backward").stub)
    assert "go astray" in repr(trial)
    assert "proves nothing" not in repr(trial)
    assert trial.angle[30] > 0.999
    assert trial.angle[29] > 0.9 > trial.angle[15] > trial.angle[0]
    assert trial.ratio[0] > 50
    page = trial._repr_html_()
    assert page.count("<tr>") == 5
    assert "go astray" in page


def test_a_forgotten_scale_explodes():
    trial = in_a_model("attention_backward", get("attention_backward").wrong["scale_forgotten"])
    assert trial.ratio[0] > 1e5
    assert trial.angle[:10].abs().max() < 0.4


def unwritten(q, k, v, grad):
    raise NotImplementedError


def two(q, k, v, grad):
    return q, k


def one_shape(q, k, v, grad):
    return q, q, q


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        (unwritten, "Your attention_backward gave no gradients: NotImplementedError"),
        (two, "Your attention_backward must return the tuple (dq, dk, dv): got a tuple of 2"),
        (
            lambda *_: None,
            "Your attention_backward must return the tuple (dq, dk, dv): got NoneType",
        ),
        (one_shape, "The gradient of k must be like k, (9, 15, 64): got (9, 1, 64)"),
        (
            lambda q, k, v, g: (q.double(), k, v),
            "The gradient of q must be like q, (9, 1, 64): got (9, 1, 64), torch.float64",
        ),
    ],
)
def test_what_gives_no_gradients_is_one_sentence(backward, said):
    assert repr(in_a_model("attention_backward", backward)) == said


def test_it_is_offered_where_a_check_passed_and_only_for_exercises():
    assert set(BACKWARD) <= set(all_exercises())
    assert not set(BACKWARD) & set(PLUGS)
    assert offer("attention_backward").endswith("in_a_model(attention_backward)")


def test_a_file_is_tried(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def softmax_backward(weights, grad):\n"
        "    return weights * (grad - (weights * grad).sum(-1, keepdim=True))\n"
    )
    result = CliRunner().invoke(main, ["try", str(path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Your softmax_backward in SmolLM2: it writes the same words" in result.stdout
