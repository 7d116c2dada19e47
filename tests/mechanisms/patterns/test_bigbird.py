"""BigBird's pattern against the mask, and against BigBird's own code with its own random blocks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import BigBirdConfig
from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

from attncourse.core.patterns import bigbird_mask, random_blocks
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns.bigbird import bigbird_attention
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(bigbird_attention))


def inputs(n, *lead, d=8, e=6, std=2.0):
    return tuple(gaussian(*lead, n, w, std=std, seed=s) for s, w in enumerate((d, d, e)))


def table(blocks, r, seed=0):
    """Any blocks at all, also those that are seen anyway, and twice the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, blocks, (blocks, r), generator=generator)


def sdpa(q, k, v, *, block, random):
    mask = bigbird_mask(q.shape[-2], block, random)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("block", [1, 5, 8, 20, 36, 37, 100])
def test_it_equals_pytorch_under_the_mask_in_value_and_gradient(block, std):
    x, options = inputs(37, 2, std=std), {"block": block, "random": table(-(-37 // block), 2)}
    assert_same(bigbird_attention(*x, **options), sdpa(*x, **options))
    ours = gradients(bigbird_attention, *x, **options)
    assert_same(ours, gradients(sdpa, *x, **options))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 60), block=st.integers(1, 30), r=st.integers(1, 4))
def test_any_sizes_agree(n, block, r):
    x, options = inputs(n, d=3, e=2), {"block": block, "random": table(-(-n // block), r)}
    assert_same(bigbird_attention(*x, **options), sdpa(*x, **options))


class Recorded(BigBirdBlockSparseAttention):
    """Their attention, with the random blocks of each head kept as it draws them."""

    def _bigbird_block_rand_mask_with_head(self, *args, **kwargs):
        self.drawn = super()._bigbird_block_rand_mask_with_head(*args, **kwargs)
        return self.drawn


@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_bigbirds_own_attention(seed):
    """Theirs draws blocks while training only: in eval mode all of them are block 0."""
    heads, block, blocks, r, width = 3, 4, 12, 2, 6
    n = blocks * block
    config = BigBirdConfig(
        hidden_size=heads * width, num_attention_heads=heads, num_random_blocks=r, block_size=block
    )
    module = Recorded(config, seed=seed).double().train()
    q, k, v = inputs(n, 2, heads, d=width, e=width, std=1.0)
    ones = torch.ones(2, blocks, block, dtype=torch.float64)
    state = np.random.get_state()
    theirs, _ = module.bigbird_block_sparse_attention(
        *(q, k, v),
        band_mask=module_band(2, blocks, block),
        from_mask=torch.ones(2, 1, n, 1, dtype=torch.float64),
        to_mask=torch.ones(2, 1, 1, n, dtype=torch.float64),
        from_blocked_mask=ones,
        to_blocked_mask=ones,
        n_heads=heads,
        n_rand_blocks=r,
        attention_head_size=width,
        from_block_size=block,
        to_block_size=block,
        batch_size=2,
        from_seq_len=n,
        to_seq_len=n,
        seed=seed,
        plan_from_length=None,
        plan_num_rand_blocks=None,
    )
    np.random.set_state(state)
    for head, drawn in enumerate(module.drawn):
        middle = torch.as_tensor(np.asarray(drawn)).long().view(blocks - 2, r)
        random = torch.nn.functional.pad(middle, (0, 0, 1, 1))
        assert len(random.unique()) > 3
        one = (x[:, head] for x in (q, k, v))
        assert_same(bigbird_attention(*one, block=block, random=random), theirs[:, :, head])


def module_band(batch, blocks, block):
    """Their mask of the three neighbouring blocks, all visible."""
    return torch.ones(batch, 1, blocks - 4, block, 3 * block, dtype=torch.float64)


@every_form
@pytest.mark.parametrize("block", [13, 19, 37, 40])
def test_up_to_three_blocks_are_full_attention(form, block):
    x = inputs(37, 2)
    out = form(*x, block=block, random=table(-(-37 // block), 1))
    assert_same(out, scaled_dot_product_attention(*x))


def test_blocks_named_twice_or_in_another_order_change_nothing():
    x, random = inputs(48, 2), random_blocks(12, 2, generator=torch.Generator().manual_seed(3))
    once = bigbird_attention(*x, block=4, random=random)
    assert_same(bigbird_attention(*x, block=4, random=random.flip(-1)), once)
    twice = torch.cat([random, random[:, :1], torch.zeros_like(random)], dim=-1)
    assert_same(bigbird_attention(*x, block=4, random=twice), once)
    assert_same(bigbird_attention(*x, block=4, random=random.to(torch.uint8)), once)


def test_what_no_block_shows_is_not_seen():
    q, k, v = inputs(48)
    options = {"block": 4, "random": table(12, 1, seed=1)}
    before = bigbird_attention(q, k, v, **options)
    for t in (13, 25):
        changed = k.clone(), v.clone()
        for x in changed:
            x[t] += 1.0
        differs = (bigbird_attention(q, *changed, **options) != before).any(dim=-1)
        seen = bigbird_mask(48, **options)[:, t]
        assert not differs[~seen].any()
        assert differs[seen].double().mean() > 0.9  # a weight may be too small to show


def sparse(q, k, v):
    blocks = q.shape[-2] // 4
    random = random_blocks(blocks, 2, generator=torch.Generator().manual_seed(0))
    return bigbird_attention(q, k, v, block=4, random=random)


def sparse_backward(q, k, v):
    return gradients(sparse, q, k, v)


@pytest.mark.parametrize("form", [sparse, sparse_backward])
def test_work_and_memory_grow_with_the_length_and_not_with_its_square(form):
    table_of_random_blocks = (1024 // 4) ** 2
    for n in (1024, 2048):
        assert scaling_exponent(flops, form, inputs, n) == pytest.approx(1, abs=0.02)
    assert largest_tensor(form, *inputs(1024)) <= max(table_of_random_blocks, 1024 * 8 * 7)


def test_the_work_is_that_of_the_blocks_named():
    """Of 64 blocks, 62 see 5 and 2 random ones, and two see all."""
    dense = flops(scaled_dot_product_attention, *inputs(256, e=8))
    assert flops(sparse, *inputs(256)) / dense == pytest.approx((62 * 7 + 2 * 64) / 64**2)


OUT_OF_RANGE = [
    (0, table(5, 2), "block must be at least 1: got block=0"),
    (
        2,
        table(4, 2),
        "random must have a row for each of the 5 blocks, n / block rounded up"
        ": got 4 rows for n=9 and block=2",
    ),
    (
        2,
        table(5, 2) * 0 + 5,
        "random must hold numbers of blocks, between 0 and 4: got numbers from 5 to 5",
    ),
    (
        2,
        table(5, 2) * 0 - 1,
        "random must hold numbers of blocks, between 0 and 4: got numbers from -1 to -1",
    ),
]


@every_form
@pytest.mark.parametrize(
    ("block", "random", "message"), OUT_OF_RANGE, ids=[m for *_, m in OUT_OF_RANGE]
)
def test_what_is_out_of_range_is_told_in_one_sentence(form, block, random, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared whole)
        form(*inputs(9), block=block, random=random)
    assert str(caught.value) == message


@every_form
def test_a_table_must_hold_integers_in_two_axes(form):
    x = inputs(9)
    with pytest.raises(TypeError, match=r"^random must hold integers: got torch.float32$"):
        form(*x, block=2, random=table(5, 2).float())
    with pytest.raises(ValueError, match=r"^random must have exactly 2 axes \(c, r\): got random"):
        form(*x, block=2, random=table(5, 2)[0])
    with pytest.raises(TypeError, match=r"^random must be a torch.Tensor: got a list$"):
        form(*x, block=2, random=[[0]] * 5)
    with pytest.raises(ValueError, match=r"^q and k must share n, their second-to-last axis: got"):
        form(x[0][:5], *x[1:], block=2, random=table(5, 2))
    with pytest.raises(TypeError, match=r"^q and k must share a dtype: got"):
        form(x[0].float(), *x[1:], block=2, random=table(5, 2))
