"""A ring of real processes equals the whole, in value and in gradient."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.serving.distributed_ring import ring_attention_distributed
from attncourse.testing import assert_same, gaussian
from rows.ring import shards


def test_without_a_group_the_distributed_ring_is_told():
    assert dist.group.WORLD is None
    message = r"^group must be a process group: got None \(torch.distributed is not initialised\)$"
    with pytest.raises(ValueError, match=message):
        ring_attention_distributed(gaussian(5, 8), gaussian(7, 8), gaussian(7, 6), group=None)


QUERIES, KEYS = (5, 3, 4), (7, 1, 12)


def run_worker(rank, size, folder):
    """One of `size` processes: its rows and gradients, in a ring of all and in a ring of two."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=60),
    )
    pair = dist.new_group([0, 2])
    rings = {"all": (dist.group.WORLD, range(size)), "pair": (pair, (0, 2))}
    for name, (group, members) in rings.items():
        for dtype in (torch.float64, torch.bfloat16):
            if rank in members:
                found = rows_and_gradients(rank, group, dtype)
                torch.save(found, f"{folder}/{name}-{rank}-{dtype}.pt")
    Path(f"{folder}/refusal-{rank}").write_text(refusal(rank))
    dist.barrier()
    dist.destroy_process_group()


def refusal(rank):
    """What a second derivative says."""
    leaves = [x[rank].requires_grad_() for x in shards(QUERIES, KEYS, 2)]
    out = ring_attention_distributed(*leaves, group=dist.group.WORLD)
    (first,) = torch.autograd.grad(out.sum(), leaves[:1], create_graph=True)
    try:
        first.sum().backward()
    except RuntimeError as error:
        return str(error)
    return "nothing"


def rows_and_gradients(rank, group, dtype):
    leaves = [x[rank].to(dtype).requires_grad_() for x in shards(QUERIES, KEYS, 2)]
    out = ring_attention_distributed(*leaves, group=group)
    c = gaussian(2, 12, 6, seed=99).split(QUERIES, dim=-2)[rank].to(dtype)
    return [out.detach(), *torch.autograd.grad((out * c).sum(), leaves)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where three processes, which meet in a file, have left what they computed."""
    folder = tmp_path_factory.mktemp("ring")
    running = multiprocessing.spawn(run_worker, args=(3, str(folder)), nprocs=3, join=False)
    try:
        deadline = time.monotonic() + 120
        while not running.join(timeout=5):
            assert time.monotonic() < deadline, "the processes do not end"
    finally:
        for process in running.processes:
            process.kill()
    return folder


def expected(members, dtype):
    """Rows and gradients of the whole, cut over the members of the ring."""
    queries, keys = ([n[i] for i in members] for n in (QUERIES, KEYS))
    picked = [[x[i].to(dtype).double() for i in members] for x in shards(QUERIES, KEYS, 2)]
    q, k, v = (torch.cat(x, dim=-2).requires_grad_() for x in picked)
    c = gaussian(2, 12, 6, seed=99).split(QUERIES, dim=-2)
    c = torch.cat([c[i].to(dtype).double() for i in members], dim=-2)
    out = scaled_dot_product_attention(q, k, v)
    grads = torch.autograd.grad((out * c).sum(), (q, k, v))
    wholes = zip((out.detach(), *grads), (queries, queries, keys, keys), strict=True)
    return list(zip(*(x.split(sizes, dim=-2) for x, sizes in wholes), strict=True))


@pytest.mark.parametrize(("name", "members"), [("all", (0, 1, 2)), ("pair", (0, 2))])
def test_processes_in_a_ring_equal_the_whole_in_value_and_gradient(folder, name, members):
    for rank, wanted in zip(members, expected(members, torch.float64), strict=True):
        found = torch.load(folder / f"{name}-{rank}-{torch.float64}.pt")
        assert_same(tuple(found), tuple(wanted))


def test_processes_keep_half_precision(folder):
    for rank, wanted in zip(range(3), expected((0, 1, 2), torch.bfloat16), strict=True):
        found = torch.load(folder / f"all-{rank}-{torch.bfloat16}.pt")
        for ours, exact in zip(found, wanted, strict=True):
            assert ours.dtype == torch.bfloat16
            assert (ours.double() - exact).abs().max() <= 2**-7 * exact.abs().max()


def test_a_second_derivative_is_refused(folder):
    for rank in range(3):
        assert Path(f"{folder}/refusal-{rank}").read_text() == (
            "ring_attention_distributed has neither second derivatives nor rules for torch.func,"
            " whose tensors cannot travel: take ring_attention, in one process"
        )
