"""What autocast casts, and what it leaves alone."""

import torch

import attncourse
from attncourse.core.autocast import autocast_device, lowered
from attncourse.testing import attention_inputs, gaussian


def test_floats_go_down_one_by_one_and_in_sequences_but_for_float64():
    x = torch.ones(2)
    assert lowered(x, torch.bfloat16).dtype == torch.bfloat16
    assert lowered(x.half(), torch.bfloat16).dtype == torch.bfloat16
    assert lowered(x.double(), torch.bfloat16).dtype == torch.float64
    assert lowered(x.long(), torch.bfloat16).dtype == torch.int64
    assert [y.dtype for y in lowered([x, x], torch.half)] == [torch.half] * 2
    assert lowered((x, 3), torch.half)[1] == 3


def test_the_device_of_the_first_tensor_decides_and_meta_knows_no_autocast():
    x = torch.ones(2)
    assert autocast_device((3, x)) is None
    with torch.autocast("cpu"):
        assert autocast_device((3, x)) == "cpu"
        assert autocast_device(((x, x),)) == "cpu"
        assert autocast_device((x.to("meta"),)) is None
        assert autocast_device(([], "a")) is None


def test_the_state_of_a_recurrence_stays_in_float32():
    state = torch.zeros(8, 6), torch.zeros(8)
    q, k, v = (gaussian(w, seed=w).float() for w in (8, 8, 6))
    with torch.autocast("cpu"):
        out, state = attncourse.linear_attention_step(state, q, k, v)
    assert [x.dtype for x in (out, *state)] == [torch.bfloat16, torch.float32, torch.float32]


def test_a_cache_that_is_a_pair_goes_down_and_one_that_is_an_object_holds_what_it_was_given():
    past, q = gaussian(3, 8).float(), gaussian(1, 8, seed=1).float()
    with torch.autocast("cpu"):
        out, cache = attncourse.decode_step((past, past), q, q, q)
        kept = attncourse.KVCache()
        kept.append(past, past)
    assert {x.dtype for x in (out, *cache, kept.keys)} == {torch.bfloat16}


def test_a_mask_may_come_by_position_or_name_and_arguments_may_be_names():
    q, k, v = (x.float() for x in attention_inputs())
    mask = gaussian(5, 37) > 0
    with torch.autocast("cpu"):
        named = attncourse.attention(q=q, k=k, v=v, mask=mask)
    assert torch.equal(named, attncourse.attention(*(x.bfloat16() for x in (q, k, v)), mask=mask))
