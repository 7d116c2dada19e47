"""The channel: what is sent arrives as it was, and no frame, however hostile, does harm."""

import contextlib
import json
import os
import struct
import time
from dataclasses import fields

import numpy
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attncourse.course.kinds import Foreign
from attncourse.grading.judge.exchange import claimed, outcome_of
from attncourse.grading.judge.reading import _parsed
from attncourse.grading.parsing.parser import Parsed, UnreadableError
from attncourse.grading.wire import frames as limits
from attncourse.grading.wire.channel import Channel, ChannelClosed, ChannelTimeout
from attncourse.grading.wire.frames import ChannelError
from attncourse.grading.wire.protocol import Findings, Ran
from attncourse.testing import gaussian

SOON = 60.0  # seconds: no test waits as long unless it fails


class Loop:
    """A channel that receives what it sends, through one pipe."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)  # a frame larger than the pipe is an error, no hang
        self.channel = Channel(self.reading, self.writing)

    def there_and_back(self, *values, **text):
        self.channel.send(text, *values)
        return self.channel.receive(timeout=SOON)

    def inject(self, data):
        """Write raw bytes and close, as a dying or lying process would; receive what is there."""
        os.write(self.writing, data)
        os.close(self.writing)
        try:
            return self.channel.receive(timeout=SOON)
        finally:
            self.writing = os.open(os.devnull, os.O_WRONLY)

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.close()


def frame(text, tensors=None):
    """The bytes of a frame with this JSON (a value or a string) and these tensors."""
    head = (text if isinstance(text, str) else json.dumps(text)).encode()
    body = tensors if isinstance(tensors, bytes) else b""
    if isinstance(tensors, dict):
        body = safetensors.torch.save(tensors)
    return struct.pack("<IQ", len(head), len(body)) + head + body


def same(a, b):
    """Equal in type, shape, dtype and value, NaN being equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        if (a.shape, a.dtype, a.device) != (b.shape, b.dtype, b.device):
            return False
        return a.is_meta or bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b or a != a


# There and back


TENSORS = {
    "float64": gaussian(3, 5),
    "float32": gaussian(3, 5).float(),
    "float16": gaussian(3, 5).half(),
    "bfloat16": gaussian(3, 5).bfloat16(),
    "bool": gaussian(3, 5) > 0,
    "int64": torch.arange(7),
    "int32": torch.arange(7, dtype=torch.int32),
    "int8": torch.tensor([-128, 127], dtype=torch.int8),
    "uint8": torch.tensor([0, 255], dtype=torch.uint8),
    "dimension 0": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.zeros(0, 3),
    "empty inside": torch.zeros(2, 0, 3),
    "many axes": gaussian(1, 2, 1, 2, 1, 2),
    "transposed": gaussian(3, 5).mT,
    "a slice": gaussian(6, 5)[::2, 1:3],
    "expanded": gaussian(1, 5).expand(4, 5),
    "a conjugate's part": torch.tensor([1 + 2j]).conj().imag,
    "NaN and infinity": torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0]),
    "meta": torch.empty(3, 5, dtype=torch.bfloat16, device="meta"),
    "meta of dimension 0": torch.empty((), device="meta"),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_arrives_as_it_was(loop, kind):
    _, (arrived,) = loop.there_and_back(TENSORS[kind])
    assert same(arrived, TENSORS[kind])
    assert arrived.is_contiguous()


VALUES = {
    "None": None,
    "numbers": [0, -1, 2**70, 0.1, -0.0, 1e308],
    "NaN and infinity": [float("nan"), float("inf"), -float("inf")],
    "booleans": [True, False],
    "strings": ["", "ä€\U0001f600", "\ud800", "\x00\n", '"{}'],
    "a tuple": (1, (2, (3,)), ()),
    "a list": [1, [2, []], "a"],
    "a dict": {"mask": gaussian(2, 3) > 0, "": {"deeper": [None, gaussian(2)]}},
    "words of the encoding": {"tensor": "0", "foreign": {"meta": ["float32", [1]]}, "tuple": [1]},
    "all at once": ([gaussian(3), (gaussian(3), {"a": [torch.tensor(True), 1.5]})], "x"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_arrives_as_it_was(loop, kind):
    _, (arrived,) = loop.there_and_back(VALUES[kind])
    assert same(arrived, VALUES[kind])


def test_text_and_several_values_travel_together(loop):
    text, values = loop.there_and_back(gaussian(2), "two", [3], op="call", names=["a", 1, None])
    assert text == {"op": "call", "names": ["a", 1, None]}
    assert same(values, [gaussian(2), "two", [3]])


def test_a_frame_without_values_has_none(loop):
    assert loop.there_and_back(ready=True) == ({"ready": True}, [])


def test_frames_arrive_one_by_one(loop):
    for number in range(3):
        loop.channel.send({"number": number}, gaussian(2, seed=number))
    for number in range(3):
        text, (value,) = loop.channel.receive(timeout=SOON)
        assert text == {"number": number}
        assert torch.equal(value, gaussian(2, seed=number))


def test_what_arrives_has_neither_gradient_nor_shared_memory(loop):
    x = gaussian(3).requires_grad_()
    _, (a, b) = loop.there_and_back(x, x.detach()[:2])
    assert not a.requires_grad
    assert a.data_ptr() not in (b.data_ptr(), x.data_ptr())


# What is not sent


class Integer(int):
    """A number of a type of its own."""


def deep(levels, value=1):
    for _ in range(levels):
        value = [value]
    return value


FOREIGN = {
    "ndarray": numpy.zeros(3),
    "object": object(),
    "set": {1},
    "bytes": b"x",
    "complex": 1j,
    "function": lambda: 0,
    "Integer": Integer(3),
    "Linear": nn.Linear(2, 3),
    "Parameter": nn.Parameter(torch.ones(2)),
    "strided tensor of complex64": torch.ones(2, dtype=torch.complex64),
    "sparse_coo tensor of float32": torch.eye(3).to_sparse(),
    "deeply nested value": [],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_value_of_another_type_travels_as_its_name(loop, name):
    value = deep(17) if name == "deeply nested value" else FOREIGN[name]
    _, (arrived,) = loop.there_and_back(value)
    while isinstance(arrived, list):
        (arrived,) = arrived
    assert arrived == Foreign(name)


def test_a_list_in_itself_comes_to_an_end(loop):
    endless = []
    endless.append(endless)
    _, (arrived,) = loop.there_and_back(endless)
    assert same(arrived, deep(17, Foreign("deeply nested value")))


def test_the_deepest_value_allowed_arrives(loop):
    _, (arrived,) = loop.there_and_back(deep(16))
    assert arrived == deep(16)


def test_keys_travel_as_text(loop):
    _, (arrived,) = loop.there_and_back({1: "a", None: "b", (2, 3): "c"})
    assert arrived == {"1": "a", "None": "b", "(2, 3)": "c"}


@pytest.mark.parametrize("value", ["x" * limits.LARGEST_REQUEST, 10**5000], ids=["text", "digits"])
def test_too_large_a_text_is_refused_before_anything_is_sent(loop, value):
    with pytest.raises(ValueError, match="too large|digits"):
        loop.channel.send({}, value)
    assert loop.there_and_back(1) == ({}, [1])


def test_too_large_a_tensor_is_refused_before_anything_is_sent(loop):
    loop.channel.room = 4096
    with pytest.raises(ValueError, match="^the value is too large to be sent$"):
        loop.channel.send({}, torch.zeros(4096))
    assert loop.there_and_back(1) == ({}, [1])


# Time and ends


def test_nothing_in_time_is_a_timeout(loop):
    before = time.monotonic()
    with pytest.raises(ChannelTimeout, match="^no answer in time$"):
        loop.channel.receive(timeout=0.05)
    assert time.monotonic() - before < SOON


def test_half_a_frame_in_time_is_a_timeout(loop):
    os.write(loop.writing, frame({"values": []})[:-3])
    with pytest.raises(ChannelTimeout):
        loop.channel.receive(timeout=0.05)


def test_a_timeout_that_has_passed_still_takes_what_is_there(loop):
    loop.channel.send({"there": True})
    assert loop.channel.receive(timeout=0.0)[0] == {"there": True}


def test_a_reader_that_reads_nothing_is_a_timeout():
    reading, writing = os.pipe()
    channel = Channel(reading, writing)
    try:
        with pytest.raises(ChannelTimeout, match="^nothing was read in time$"):
            channel.send({}, torch.zeros(100_000), timeout=0.05)
    finally:
        channel.close()


def test_a_writer_without_a_reader_is_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    channel = Channel(os.open(os.devnull, os.O_RDONLY), writing)
    with pytest.raises(ChannelClosed, match="^the other side has gone$"):
        channel.send({"op": "call"})
    channel.close()


def test_a_closed_channel_stays_closed():
    reading, writing = os.pipe()
    Channel(reading, writing).close()
    for number in (reading, writing):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


# Hostile frames


def described(header):
    """A payload of 8 bytes behind a header of safetensors that says this."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


def entry(dtype="F64", shape=(1,), data_offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


HOSTILE = {
    "nothing": b"",
    "half the lengths": b"\x01\x02\x03",
    "lengths alone": struct.pack("<IQ", 10, 0),
    "a shorter text": struct.pack("<IQ", 100, 0) + b'{"values": []}',
    "a shorter payload": struct.pack("<IQ", 14, 99) + b'{"values": []}' + b"x",
    "an empty text": struct.pack("<IQ", 0, 0),
    "a text too large": struct.pack("<IQ", 2**32 - 1, 0) + b"x" * 1000,
    "a payload too large": struct.pack("<IQ", 14, 2**64 - 1) + b'{"values": []}',
    "just too large": struct.pack("<IQ", limits.LARGEST_ANSWER + 1, 0),
    "garbage": bytes(range(256)) * 4,
    "text": b"Traceback (most recent call last):\n  File",
    "no JSON": frame("{values}"),
    "not UTF-8": struct.pack("<IQ", 4, 0) + b"\xff\xfe\xff\xfe",
    "too deep": frame("[" * 60_000),
    "a list": frame([1, 2]),
    "a number": frame(3),
    "null": frame("null"),
    "no values": frame({"op": "call"}),
    "values that are no list": frame({"values": 3}),
    "an unknown kind": frame({"values": [{"pickle": "gASV"}]}),
    "an unknown kind of items": frame({"values": [{"set": [1]}]}),
    "two kinds": frame({"values": [{"list": [], "tuple": []}]}),
    "no kind": frame({"values": [{}]}),
    "a bare list": frame({"values": [[1, 2]]}),
    "items that are none": frame({"values": [{"list": 3}]}),
    "pairs that are none": frame({"values": [{"dict": [1]}]}),
    "nested too deeply": frame({"values": [json.loads('{"list": [' * 20 + "]}" * 20)]}),
    "a missing tensor": frame({"values": [{"tensor": "0"}]}),
    "a tensor by no name": frame({"values": [{"tensor": ["0"]}]}),
    "an unknown dtype": frame({"values": [{"meta": ["no_such", [1]]}]}),
    "a dtype that is none": frame({"values": [{"meta": ["load", [1]]}]}),
    "a dtype that is not said": frame({"values": [{"meta": [None, [1]]}]}),
    "a negative size": frame({"values": [{"meta": ["float32", [-1]]}]}),
    "a huge size": frame({"values": [{"meta": ["float32", [2**40, 2**40]]}]}),
    "a huger size": frame({"values": [{"meta": ["float32", [10**30]]}]}),
    "a shape that is none": frame({"values": [{"meta": ["float32", "ab"]}]}),
    "too many digits": frame('{"values": [' + "9" * 5000 + "]}"),
    "no safetensors": frame({"values": [{"tensor": "0"}]}, b"x" * 100),
    "a huge header": frame({"values": []}, struct.pack("<Q", 2**60) + b"{}"),
    "a header beyond its end": frame(
        {"values": [{"tensor": "0"}]},
        struct.pack("<Q", 62) + b'{"0":{"dtype":"F64","shape":[9999],"data_offsets":[0,79992]}}  ',
    ),
    "a header too large": frame(
        {"values": []}, struct.pack("<Q", 2**17) + b"{" + b" " * (2**17 - 2) + b"}"
    ),
    "a header with more than tensors": frame(
        {"values": []}, described({"__metadata__": {"a": "b"}})
    ),
    "a kind that is none": frame({"values": []}, described({"0": entry(dtype="F128")})),
    "a kind that is a list": frame({"values": []}, described({"0": entry(dtype=[])})),
    "a shape of words": frame({"values": []}, described({"0": entry(shape=["1"])})),
    "a shape of truths": frame({"values": []}, described({"0": entry(shape=[True])})),
    "a shape too long": frame({"values": []}, described({"0": entry(shape=[1] * 40)})),
    "a shape that overflows": frame({"values": []}, described({"0": entry(shape=[2**40] * 3)})),
    "offsets the wrong way": frame({"values": []}, described({"0": entry(data_offsets=[8, 0])})),
    "offsets that are none": frame({"values": []}, described({"0": entry(data_offsets=[0.0, 8])})),
    "too many tensors": frame(
        {"values": []},
        described({str(i): entry(shape=[0], data_offsets=[0, 0]) for i in range(1025)}),
    ),
    "a header that is none": frame({"values": []}, struct.pack("<Q", 2) + b"[]"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_frame_is_an_error_at_once(loop, what):
    before = time.process_time()
    with pytest.raises(ChannelError) as caught:
        loop.inject(HOSTILE[what])
    assert not isinstance(caught.value, ChannelTimeout)
    assert len(str(caught.value)) < 100
    assert time.process_time() - before < 5.0


@pytest.mark.parametrize("what", ["a text too large", "a payload too large", "just too large"])
def test_too_large_a_frame_is_refused_by_its_lengths(loop, what):
    with pytest.raises(ChannelError, match="^a frame is larger than the channel allows$"):
        loop.inject(HOSTILE[what])


def test_a_truth_of_another_byte_than_0_and_1_is_made_one(loop):
    payload = described({"0": entry("BOOL", [8])})[:-8] + bytes([0, 1, 2, 255, 0, 7, 1, 0])
    _, (value,) = loop.inject(frame({"values": [{"tensor": "0"}]}, payload))
    assert value.view(torch.uint8).tolist() == [0, 1, 1, 1, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x00", "a[31mred"),
        ("two\nlines\tof text", "two lines of text"),
        ("\u202eesrever\u2066\u200b", "esrever"),
        ("\ud800\ufdd0é", "é"),
        ("x" * 30, "x" * 20),
        (3, ""),
        (["a"], ""),
    ],
)
def test_text_of_a_worker_is_cut_and_cleaned(text, shown):
    assert limits.plain_text(text, 20) == shown


def test_a_long_name_is_cut(loop):
    _, (value,) = loop.inject(frame({"values": [{"foreign": "x" * 10_000}]}))
    assert value == Foreign("x" * 80)


def test_no_frame_makes_the_reader_take_memory_for_a_length_alone(loop):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(ChannelError):
        loop.inject(struct.pack("<IQ", limits.LARGEST_ANSWER, limits.LARGEST_PAYLOAD) + b"x" * 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tensor", "list", "tuple", "dict", "meta", "foreign", "values", "x"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=12,
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
fuzz = settings(max_examples=200, derandomize=True, deadline=None, database=None)


def receive_or_refuse(data):
    """What a fresh channel makes of these bytes: values, or a ChannelError and nothing else."""
    loop = Loop()
    try:
        return loop.inject(data)
    except ChannelError:
        return None
    finally:
        loop.close()


@fuzz
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data):
    receive_or_refuse(data)


@fuzz
@given(json_values, st.binary(max_size=100) | st.just({"0": torch.ones(2)}))
def test_any_json_is_refused_or_read(values, tensors):
    receive_or_refuse(frame({"values": values}, tensors))
    receive_or_refuse(frame({"values": [values]}, tensors))


@fuzz
@given(st.data())
def test_a_frame_damaged_anywhere_is_refused_or_read(data):
    whole = frame(
        {"values": [{"tensor": "0"}, {"dict": [["a", {"tuple": [1, None]}]]}]}, {"0": gaussian(2)}
    )
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    receive_or_refuse(whole[:place] + bytes([byte]) + whole[place + 1 :])
    assert receive_or_refuse(whole[:place]) is None


@fuzz
@given(plain_values)
def test_any_plain_value_arrives_as_it_was(value):
    loop = Loop()
    try:
        assert same(loop.there_and_back(value), ({}, [value]))
    finally:
        loop.close()


# What a worker's answer becomes


answers = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("id") | json_values,
        "failure": st.none() | st.lists(json_values, min_size=3, max_size=5) | json_values,
        "modified": st.lists(st.integers() | json_values, max_size=3) | json_values,
        "values": st.lists(json_values, max_size=2) | json_values,
    },
)


@settings(max_examples=1500, derandomize=True, deadline=None, database=None)
@given(answers, st.binary(max_size=20) | st.just({"0": torch.ones(2)}))
def test_an_answer_is_an_outcome_of_plain_values_or_an_error_of_the_channel(text, tensors):
    whole = frame(text, tensors)
    head_size, _ = struct.unpack_from("<IQ", whole)
    try:
        outcome = outcome_of(whole[12 : 12 + head_size], whole[12 + head_size :], "id")
    except ChannelError:
        return
    assert text["id"] == "id"
    if outcome.failure:
        assert not outcome.failure.fatal
        assert all(type(word) is str for word in (outcome.failure.kind, outcome.failure.message))
    assert all(type(key) in (int, str) for key in outcome.modified)


@settings(max_examples=500, derandomize=True, deadline=None, database=None)
@given(st.sampled_from([field.name for field in fields(Findings)]), json_values)
def test_a_parsers_answer_is_what_was_found_or_an_error(field, said):
    with contextlib.suppress(ChannelError, UnreadableError):
        assert isinstance(_parsed(Findings(**{field: said})), Parsed)


@pytest.mark.parametrize("text", [{}, {"id": "x", "notes": []}, {"id": "id"}, {"notes": []}])
def test_what_lacks_a_field_or_is_no_answer_to_the_request_is_an_error(text):
    with pytest.raises(ChannelError):
        claimed(Ran, *limits.encode(text), "id")
    with pytest.raises(ChannelError):
        claimed(Ran, *limits.encode(text | {"id": "id", "notes": [], "passed": True}), "id")
