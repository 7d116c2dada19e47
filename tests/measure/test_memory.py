"""Peak memory is counted to the byte, workspaces inside operators included."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.memory import is_out_of_memory, memory_limit, peak_bytes
from attncourse.mechanisms.dense.softmax import attention

FLOAT = 4
N = 1000  # 4000 bytes, which the allocator does not round


def x(*shape):
    return torch.ones(shape)


def test_a_result_counts_and_the_arguments_do_not():
    assert peak_bytes(torch.neg, x(N)) == N * FLOAT
    assert peak_bytes(torch.Tensor.neg_, x(N)) == 0
    assert peak_bytes(lambda a: a[: N // 2], x(N)) == 0


def test_what_is_released_before_the_peak_does_not_count():
    def one_after_the_other(a):
        for _ in range(10):
            a = a.neg()
        return a

    def all_at_once(a):
        return [a.neg() for _ in range(10)]

    assert peak_bytes(one_after_the_other, x(N)) == 2 * N * FLOAT
    assert peak_bytes(all_at_once, x(N)) == 10 * N * FLOAT


def test_a_temporary_inside_a_call_counts():
    assert peak_bytes(lambda a: a.neg().sum(), x(N)) == N * FLOAT + FLOAT


def test_what_autograd_keeps_counts():
    def kept(a):
        return a.exp().exp().exp()

    assert peak_bytes(kept, x(N)) == 2 * N * FLOAT
    assert peak_bytes(kept, x(N).requires_grad_()) == 3 * N * FLOAT


def test_a_backward_pass_counts():
    leaf = x(N).requires_grad_()

    def both(a):
        return torch.autograd.grad((a * a).sum(), a)

    assert peak_bytes(both, leaf) >= 2 * N * FLOAT


def test_the_workspace_of_a_fused_operator_counts_where_a_watch_of_tensors_sees_none():
    q, k, v = (x(1, 2, 256, 32) for _ in range(3))
    result = q.nbytes
    peak = peak_bytes(scaled_dot_product_attention, q, k, v)
    assert result < peak < result + 2 * 256 * 256 * FLOAT


def test_dense_attention_holds_the_scores_and_fused_attention_does_not():
    q, k, v = (x(1, 2, 512, 32) for _ in range(3))
    scores = 2 * 512 * 512 * FLOAT
    assert peak_bytes(attention, q, k, v) >= 2 * scores
    assert peak_bytes(scaled_dot_product_attention, q, k, v) < scores


def test_the_count_is_the_same_every_time():
    q, k, v = (x(1, 2, 100, 32) for _ in range(3))
    assert len({peak_bytes(attention, q, k, v) for _ in range(3)}) == 1


def test_nothing_is_written_for_the_reader_to_wonder_at(capfd):
    peak_bytes(torch.neg, x(N))
    assert capfd.readouterr() == ("", "")


def test_keywords_reach_the_function_and_errors_come_through():
    assert peak_bytes(torch.sum, x(3, N), dim=0) == N * FLOAT
    with pytest.raises(ValueError, match="q and k must share d"):
        peak_bytes(attention, x(2, 3), x(2, 4), x(2, 4))


def test_under_a_limit_an_allocation_that_is_too_large_is_an_error_that_is_recognised():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_limit(), pytest.raises(RuntimeError) as caught:
        torch.empty(2**42, dtype=torch.uint8).fill_(1)
    assert is_out_of_memory(caught.value)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with memory_limit():
        assert peak_bytes(torch.neg, x(N)) == N * FLOAT


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), True),
        (RuntimeError("not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_errors_that_say_memory_ran_out_are_told_apart(error, expected):
    assert is_out_of_memory(error) is expected
