"""The two first programs, interpreted."""

import pytest
import torch

from attncourse.core.interpreted import _Missing, tl, triton
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import get
from attncourse.kernels.first import masked_copy, row_softmax
from attncourse.testing import Skipped, gaussian, needs_triton

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="they run on the CPU")


@pytest.mark.parametrize("n", [1, 7, 8, 13])
@pytest.mark.parametrize("block", [1, 4, 16])
def test_what_lies_past_n_is_neither_copied_nor_overwritten(n, block):
    x = gaussian(32)
    copied = masked_copy(x, n, block=block)
    assert torch.equal(copied[:n], x[:n])
    assert (copied[n:] == -1).all()


@pytest.mark.parametrize("n", [1, 11, 16])
def test_rows_have_pytorchs_softmax(n):
    x = gaussian(5, 16, std=100.0)
    x[:, n:] = torch.nan
    found = row_softmax(x, n)
    torch.testing.assert_close(found[:, :n], torch.softmax(x[:, :n], dim=-1))
    assert not found[:, n:].any()


def test_where_triton_is_missing_a_check_is_skipped_and_a_program_says_so(monkeypatch):
    monkeypatch.setattr("attncourse.testing.find_spec", lambda name: None)
    checks = run(get("masked_copy"), LocalAnswer(masked_copy, ())).checks
    assert {check.state for check in checks} == {"skipped"}
    assert checks[0].message == "needs Triton, which is published for Linux alone"
    with pytest.raises(ModuleNotFoundError, match="^Triton is missing, which is published for Lin"):
        _Missing().jit(masked_copy)


def test_a_check_is_skipped_where_triton_compiles(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(Skipped, match="^needs TRITON_INTERPRET=1 from the start, so that Triton"):
        needs_triton()


@triton.jit
def moved(source, target, by, BLOCK: tl.constexpr):
    places = tl.arange(0, BLOCK)
    tl.store(target + places, tl.load(source + places + by))


def test_a_program_stays_inside_of_its_tensors():
    source, target = torch.arange(8.0), torch.zeros(8)
    moved[(1,)](source, target, 4, BLOCK=4)
    assert target[:4].tolist() == [4, 5, 6, 7]
    with pytest.raises(Exception, match="a program reads outside of the tensors that it was given"):
        moved[(1,)](source, target, 5, BLOCK=4)
    with pytest.raises(Exception, match="a program reads outside of the tensors"):
        moved[(1,)](source, target, -1, BLOCK=4)
    with pytest.raises(Exception, match="a program writes outside of the tensors"):
        moved[(1,)](source, target[7:].clone(), 0, BLOCK=4)
    part = torch.zeros(16)[4:8]
    moved[(1,)](source, part, 0, BLOCK=4)  # a view of more
    assert part.tolist() == [0, 1, 2, 3]
