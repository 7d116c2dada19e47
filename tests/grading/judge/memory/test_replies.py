"""Replies that are told apart by what was said, and read once."""

import json

import pytest
import torch

from attncourse.course.execution import Failure, Outcome
from attncourse.grading.judge.memory.replies import concluded, received
from attncourse.grading.wire.frames import ChannelError, encode
from attncourse.testing import gaussian

GARBAGE = b'{"id": "a", \xff'


def answer(value=None, identity="a", failure=None, modified=()):
    return encode({"id": identity, "failure": failure, "modified": list(modified)}, value)


def test_equal_answers_have_one_digest_whatever_their_identity():
    x = gaussian(4)
    one, other = (received(*answer(x, name), name, ()) for name in ("a", "b"))
    assert one.digest == other.digest is not None
    assert torch.equal(one.outcome.value, x)


@pytest.mark.parametrize(
    "other",
    [
        answer(gaussian(4, seed=1)),
        answer(gaussian(4)[None]),
        answer(gaussian(4).float()),
        answer([gaussian(4)]),
        answer(gaussian(4), modified=[0]),
        answer(None, failure=["ValueError", "no", "", False]),
    ],
)
def test_answers_that_differ_have_other_digests(other):
    mine = received(*answer(gaussian(4)), "a", ())
    assert received(*other, "a", ()).digest not in (mine.digest, None)


def test_bytes_that_move_from_the_text_to_the_tensors_change_the_digest():
    head, body = answer(gaussian(4))
    whole = received(head, body, "a", ()).digest
    cut = head[:-1], head[-1:] + body
    with pytest.raises(ChannelError):
        received(*cut, "a", ())
    with pytest.raises(ChannelError):
        received(*cut, "a", {whole})


def test_what_is_known_is_not_read():
    head, body = answer(gaussian(4))
    known = received(head, body, "a", ()).digest
    again = received(head, body, "a", {known})
    assert "outcome" not in vars(again)
    assert torch.equal(again.outcome.value, gaussian(4))


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (GARBAGE, b""),
        (b"", b""),
        answer(1, identity="b"),
        encode({"id": "a", "failure": None}, 1),
        encode({"id": "a", "failure": ["kind"], "modified": []}, 1),
    ],
)
def test_what_is_no_answer_to_the_request_is_an_error(head, body):
    with pytest.raises(ChannelError):
        received(head, body, "a", ())


def test_an_answer_in_an_unusual_form_is_read_and_never_recognised():
    head, body = answer(3)
    text = json.loads(head)
    reordered = json.dumps({key: text[key] for key in ("modified", "failure", "values", "id")})
    reply = received(reordered.encode(), body, "a", ())
    assert (reply.outcome.value, reply.digest) == (3, None)


@pytest.mark.parametrize(
    ("outcome", "known"),
    [
        (Outcome(5), True),
        (Outcome(failure=Failure("CostError", "no")), True),
        (Outcome(failure=Failure("MemoryError", "no")), False),
        (Outcome(failure=Failure("ProcessEnded", "no", fatal=True)), False),
        (Outcome(1.5), False),
        (Outcome(torch.ones(2)), False),
    ],
)
def test_a_conclusion_is_recognised_where_it_would_be_the_same_again(outcome, known):
    reply = concluded(outcome)
    assert reply.outcome is outcome
    assert (reply.digest is not None) is known
    assert reply.digest == concluded(outcome).digest
    assert concluded(Outcome(6)).digest != concluded(Outcome(5)).digest
