"""The protocol is listed once: both ends use all of it, and nothing else."""

import ast
from pathlib import Path
from typing import get_args

import pytest

import attncourse.grading as grading
from attncourse.grading.wire import protocol
from attncourse.grading.wire.protocol import WorkerAnswer, WorkerOrder, ZygoteOrder, ZygoteReply

ROOMS = Path(grading.__file__).parent
WORKERS, ZYGOTES = ({kind.__name__ for kind in get_args(o)} for o in (WorkerOrder, ZygoteOrder))


def nodes(*rooms):
    """The syntax of every module in the rooms."""
    for room in rooms:
        for path in (ROOMS / room).rglob("*.py") if (ROOMS / room).is_dir() else [ROOMS / room]:
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def name(node):
    """A name, wherever it is looked up."""
    return getattr(node, "attr", getattr(node, "id", None))


def made(*rooms):
    """The classes of the protocol that are called there."""
    return {name(n.func) for n in nodes(*rooms) if isinstance(n, ast.Call)} & vars(protocol).keys()


def test_every_order_is_in_the_dialogue_of_one_of_the_two():
    orders = {kind.__name__ for kind in protocol.Order.__subclasses__()}
    assert orders == WORKERS | ZYGOTES
    assert not WORKERS & ZYGOTES


@pytest.mark.parametrize(
    ("module", "orders"), [("worker.py", WORKERS), ("zygote.py", ZYGOTES)], ids=["worker", "zygote"]
)
def test_the_confined_end_obeys_each_order_and_no_other(module, orders):
    cases = [name(n.cls) for n in nodes(f"confined/{module}") if isinstance(n, ast.MatchClass)]
    assert len(cases) == len(set(cases))
    assert set(cases) == orders


def test_the_judges_end_gives_each_order_and_answers_none():
    orders = made("judge") & (WORKERS | ZYGOTES)
    assert orders == WORKERS | ZYGOTES
    assert not made("confined") & (orders - {"End"})  # the zygote itself, when the judge hangs up


def test_each_answer_and_reply_is_given_by_one_end_and_read_by_the_other():
    listed = {kind.__name__ for kind in (*get_args(WorkerAnswer), *get_args(ZygoteReply))}
    assert made("confined") >= listed
    read_by_being_made = {"Started", "Extended", "Seen", "Ended"}
    assert not made("judge") & (listed - read_by_being_made)
    read = {name(node) for node in nodes("judge") if isinstance(node, ast.Name)}
    assert listed - read == {"Ready", "Failed"}  # told by coming, and by an error


def test_no_order_is_spelt_out_anywhere_else():
    for node in nodes("judge", "confined", "classroom", "wire/channel.py", "wire/frames.py"):
        assert not (isinstance(node, ast.Constant) and node.value == "op")


ORDERS = [
    protocol.Parse("def f(): pass", "a.py"),
    protocol.Load([]),
    protocol.Renew(),
    protocol.Call("f", "flops"),
    protocol.Record("f"),
    protocol.Repeat("{}", None),
    protocol.Start(2**30, 1, 2),
    protocol.Extend(7, 1),
    protocol.Look(7),
    protocol.End(7, 0.5),
    protocol.Twin(["softmax"]),
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_arrives_as_it_was_given(order):
    known = [type(one) for one in ORDERS]
    assert set(known) == {*get_args(WorkerOrder), *get_args(ZygoteOrder)}
    assert protocol.read(order.written(), known) == order
    with pytest.raises(KeyError):
        protocol.read(order.written(), [kind for kind in known if kind is not type(order)])
    with pytest.raises(TypeError):
        protocol.read(order.written() | {"passed": True}, known)
