"""The two first programs, interpreted."""

import pytest
import torch

from attncourse.kernels.first import masked_copy, row_softmax
from attncourse.testing import gaussian

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
