"""Requests that are sent many times, each time as the same frame."""

import torch

from attncourse.grading.judge.exchange import Request
from attncourse.grading.wire.frames import decode
from attncourse.grading.wire.protocol import Call, Record
from attncourse.testing import gaussian


def test_a_request_is_the_same_frame_under_every_identity():
    x = gaussian(3, 5)
    request = Request(Call("f"), [x], {"plus": 1})
    for identity in ("one", "another"):
        text, (args, kwargs) = decode(request.head(identity), request.body)
        assert text == {"id": identity, **Call("f").written()}
        assert torch.equal(args[0], x)
        assert kwargs == {"plus": 1}
    assert request.largest < Request(Record("f"), [x], {}).largest
