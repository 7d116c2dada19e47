"""A strip shows numbers, roles, signs and sizes."""

import pytest
import torch

from attncourse.plots import KEY, QUERY, SCORE, Step, strip
from attncourse.plots.strips import drawn_step, written
from attncourse.plots.style import INK
from attncourse.plots.svg import parts, size, svg

Q = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 0.5]])
STEPS = [Step("Q", Q, QUERY, rows=["it", "is"]), Step("Qᵀ", Q.T, KEY), Step("S", Q @ Q.T, SCORE)]


def words(figure):
    (ax,) = figure.axes
    return [text.get_text() for text in ax.texts]


def test_a_step_has_its_numbers_its_role_and_its_size():
    figure = drawn_step(STEPS[0], "times")
    (ax,) = figure.axes
    assert words(figure) == ["1", "0", "2", "0", "−1", "0.5", "×"]
    assert (ax.get_title(), ax.title.get_color()) == ("Q", QUERY)
    assert ax.get_xlabel() == "n = 2, d = 3"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["it", "is"]


def test_a_transposed_step_has_its_letters_turned_and_one_without_a_role_has_none():
    assert drawn_step(STEPS[1]).axes[0].get_xlabel() == "d = 3, m = 2"
    assert drawn_step(Step("out", Q)).axes[0].get_xlabel() == "2 × 3"
    assert drawn_step(Step("out", Q)).axes[0].title.get_color() == INK


def test_a_vector_is_a_row_and_a_number_one_cell():
    assert drawn_step(Step("x", torch.arange(3.0))).axes[0].get_xlabel() == "1 × 3"
    assert words(drawn_step(Step("x", torch.tensor(2.0)))) == ["2"]


def test_numbers_say_no_more_than_they_must():
    values = (0.0, -0.001, 1 / 3, 12.0, 1.005, float("inf"), float("-inf"), float("nan"))
    assert [written(x) for x in values] == ["0", "0", "0.33", "12", "1", "∞", "−∞", "NaN"]


def test_a_strip_has_a_panel_for_each_step_each_fit_for_a_phone():
    drawings = parts(svg(strip(STEPS, between=["times", "softmax"], title="By hand")))
    assert len(drawings) == 4
    assert all(size(part)[0] * 4 / 3 < 358 for part in drawings)


def test_signs_are_one_fewer_than_steps():
    with pytest.raises(ValueError, match="between each two steps: got 3 signs for 3 steps"):
        strip(STEPS, between=["a", "b", "c"])
