"""A head reports one combination of the tokens: what is missing follows from the rank."""

import pytest
import torch

from attncourse.models.several_readings import best_report


@pytest.mark.parametrize(("m", "h"), [(2, 1), (3, 1), (3, 2), (2, 2), (3, 3)])
def test_h_heads_report_h_tokens(m, h):
    table, missing = best_report(torch.eye(m), h)
    assert torch.linalg.matrix_rank(table, atol=0.02) <= h
    assert missing == pytest.approx(m - h, abs=0.02)


def test_a_difference_takes_two_heads_and_a_sum_one():
    minus, plus = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    missing = [best_report(wanted, h)[1] for wanted, h in ((minus, 1), (minus, 2), (plus, 1))]
    assert missing == pytest.approx([1.0, 0.0, 0.0], abs=0.02)


def test_one_head_has_outputs_of_one_sign():
    table, _ = best_report(torch.tensor([[1.0, 0.0, -1.0]]), 1)
    assert (table >= 0).all() or (table <= 0).all()
