"""One call of a learner's function: its value or its failure, and what it did to its arguments."""

import linecache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attncourse.course.execution import execute
from attncourse.testing import gaussian

NAN, INF = float("nan"), float("inf")


def learners(source, name="f", file="<code cell 1>"):
    """A function from source that a learner wrote in a notebook."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    namespace = {"torch": torch}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


def call(function, *args, forbidden=(), **kwargs):
    return execute(function, None, args, kwargs, forbidden)


# What came out


def test_a_value_is_handed_back():
    outcome = call(lambda x, *, by: x * by, 3, by=4)
    assert (outcome.value, outcome.failure, outcome.modified) == (12, None, ())


def test_a_probe_measures_the_function():
    x = torch.ones(3, 5)
    assert execute(lambda a: a @ a.mT, "flops", (x,), {}).value == 2 * 3 * 5 * 3


def test_a_failure_has_the_kind_the_first_line_and_the_place():
    source = "def g(x):\n    return x / 0\n\ndef f(x):\n    return g(x)\n"
    failure = call(learners(source), 1).failure
    assert (failure.kind, failure.message) == ("ZeroDivisionError", "division by zero")
    assert failure.where == "code cell 1, line 5: return g(x) → line 2, in g: return x / 0"
    assert not failure.fatal


def test_the_place_is_the_learners_line_not_the_library():
    source = "def f(x):\n    y = torch.nn.functional.softmax(x, dim=7)\n    return y\n"
    failure = call(learners(source), torch.ones(2)).failure
    assert failure.kind == "IndexError"
    assert failure.where == "code cell 1, line 2: y = torch.nn.functional.softmax(x, dim=7)"


def test_the_place_is_found_in_a_folder_called_attncourse():
    source = "def f(x):\n    return x.missing\n"
    function = learners(source, file="/home/ada/attncourse/exercises/mine.py")
    assert call(function, 1).failure.where == "mine.py, line 2: return x.missing"


def test_only_the_first_line_of_a_long_message_is_kept():
    failure = call(learners("def f():\n    raise ValueError('a' * 900 + '\\nsecond')\n")).failure
    assert failure.message == "a" * 500


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("raise SystemExit('enough')", "SystemExit", "enough"),
        ("exit(3)", "SystemExit", "3"),
        ("raise NotImplementedError", "NotImplementedError", ""),
        ("assert 1 > 2, 'no'", "AssertionError", "no"),
        ("return f()", "RecursionError", "maximum recursion depth exceeded"),
        ("return undefined", "NameError", "name 'undefined' is not defined"),
    ],
)
def test_an_exception_is_a_failure(statement, kind, message):
    failure = call(learners(f"def f():\n    {statement}\n")).failure
    assert failure.kind == kind
    assert failure.message.startswith(message)
    assert failure.where.startswith(f"code cell 1, line 2: {statement}")


def test_an_interrupt_is_not_swallowed():
    def impatient():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(impatient)


def test_too_few_arguments_are_the_learners_failure():
    failure = call(lambda x: x).failure
    assert failure.kind == "TypeError"
    assert "missing 1 required positional argument" in failure.message


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (MemoryError(), "there is not enough memory"),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                "8589934592 bytes. Error code 12 (Cannot allocate memory)\n0x7f"
            ),
            "there is not enough memory: it asked for 8.0 GiB at once",
        ),
    ],
)
def test_a_lack_of_memory_is_said_in_words(raised, message):
    def greedy():
        raise raised

    failure = call(greedy).failure
    assert (failure.kind, failure.message) == ("MemoryError", message)


# What it may not use


class Encoder:
    """nn.MultiheadAttention as a learner would smuggle it in."""

    def __init__(self, *, evaluated, need_weights):
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
        self.layer.train(not evaluated)
        self.need_weights = need_weights

    def __call__(self, x):
        with torch.no_grad():
            return self.layer(x, x, x, need_weights=self.need_weights)


FORBIDDEN = {
    "torch.softmax": ("softmax", lambda x: torch.softmax(x, -1)),
    "F.softmax": ("softmax", lambda x: F.softmax(x, -1)),
    "Tensor.softmax": ("softmax", lambda x: x.softmax(-1)),
    "nn.Softmax": ("softmax", lambda x: nn.Softmax(-1)(x)),
    "an alias": ("softmax", lambda x, s=torch.softmax: s(x, -1)),
    "with out=": ("softmax", lambda x: torch.softmax(x, -1, out=torch.empty_like(x))),
    "special.softmax": ("special_softmax", lambda x: torch.special.softmax(x, -1)),
    "F.sdpa": (
        "scaled_dot_product_attention",
        lambda x: F.scaled_dot_product_attention(x, x, x),
    ),
    "torch._C._nn.sdpa": (
        "scaled_dot_product_attention",
        lambda x: torch._C._nn.scaled_dot_product_attention(x, x, x),
    ),
    "torch.ops sdpa": (
        "scaled_dot_product_attention",
        lambda x: torch.ops.aten.scaled_dot_product_attention(x, x, x),
    ),
    "F.multi_head_attention_forward": (
        "MultiheadAttention",
        Encoder(evaluated=False, need_weights=True),
    ),
    "MHA without weights": ("MultiheadAttention", Encoder(evaluated=False, need_weights=False)),
    "MHA evaluated": ("MultiheadAttention", Encoder(evaluated=True, need_weights=True)),
    "MHA evaluated, without weights": (
        "MultiheadAttention",
        Encoder(evaluated=True, need_weights=False),
    ),
}


@pytest.mark.parametrize("way", FORBIDDEN)
def test_a_forbidden_function_is_refused_whichever_way_it_is_called(way):
    name, function = FORBIDDEN[way]
    x = gaussian(3, 5, 8)
    failure = call(function, x, forbidden=(name,)).failure
    assert failure.kind == "ForbiddenError"
    assert failure.message == (
        f"this exercise asks you to write it yourself: {name} is not allowed"
    )
    assert call(function, x).failure is None


def test_a_forbidden_function_is_refused_in_a_probe():
    failure = execute(lambda x: x.softmax(-1), "flops", (torch.ones(3),), {}, ("softmax",)).failure
    assert failure.kind == "ForbiddenError"


def test_a_learners_own_function_may_have_the_forbidden_name():
    def softmax(x):
        return x.exp() / x.exp().sum()

    assert call(softmax, torch.ones(2), forbidden=("softmax",)).value.tolist() == [0.5, 0.5]


# What it did to its arguments


def appended(values):
    values.append(1.0)


def emptied(values):
    values["a"].zero_()


MODIFIED = {
    "a positional argument": (lambda x, y: y.add_(1), (1,)),
    "two of them": (lambda x, y: (x.mul_(2), y.add_(2)), (0, 1)),
    "through a view": (lambda x, y: x[0].fill_(5.0), (0,)),
    "by +=": (lambda x, y: x.__iadd__(1), (0,)),
    "a new shape": (lambda x, y: x.resize_(1), (0,)),
    "a transpose": (lambda x, y: y.t_(), (1,)),
    "a NaN written": (lambda x, y: x[0].fill_(NAN), (0,)),
    "a zero turned to NaN": (lambda x, y: y.div_(0.0), (1,)),
    "nothing": (lambda x, y: x + y.sum(), ()),
    "only flags": (lambda x, y: x.requires_grad_(), ()),
}


@pytest.mark.parametrize("what", MODIFIED)
def test_a_modified_argument_is_found(what):
    function, expected = MODIFIED[what]
    x, y = torch.tensor([1.0, 2.0]), torch.zeros(2, 3)
    outcome = call(function, x, y)
    assert outcome.failure is None
    assert outcome.modified == expected
    assert x.tolist() == [1.0, 2.0]  # the caller's own are never touched
    assert not y.any()


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (lambda *, mask: mask.logical_not_(), (), {"mask": torch.tensor([True])}, ("mask",)),
        (lambda pair: pair[1].zero_(), ((torch.ones(1), torch.ones(2)),), {}, (0,)),
        (emptied, ({"a": torch.ones(1)},), {}, (0,)),
        (lambda x: x.zero_(), (torch.tensor(3),), {}, (0,)),
        (appended, ([1.0],), {}, (0,)),
        (lambda values: values.__setitem__(0, 9), ([1, 2],), {}, (0,)),
        (lambda values: values.__setitem__(0, 1), ([torch.ones(2)],), {}, (0,)),
        (lambda *, pairs: pairs[0].clear(), (), {"pairs": [[1, 2]]}, ("pairs",)),
    ],
    ids=[
        "by keyword",
        "in a tuple",
        "in a dict",
        "a number of dimension 0",
        "a list longer",
        "a list's number",
        "a list's tensor",
        "a nested list emptied",
    ],
)
def test_a_modified_argument_is_found_wherever_it_stands(function, args, kwargs, expected):
    outcome = call(function, *args, **kwargs)
    assert outcome.failure is None
    assert outcome.modified == expected


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor([NAN, INF, -INF, 1.0]),
        torch.tensor([True, False]),
        torch.tensor([NAN], dtype=torch.bfloat16),
        torch.zeros(0, 3),
        torch.empty(2, 3, device="meta"),
        [NAN, None, "word", (1, 2)],
    ],
    ids=["NaN and infinity", "bool", "bfloat16", "empty", "meta", "a list"],
)
def test_an_argument_left_alone_is_not_reported(x):
    assert call(lambda x: 1, x).modified == ()


@pytest.mark.parametrize(("before", "after"), [(NAN, 0.0), (INF, 1e308), (0.0, NAN)])
def test_a_change_of_nan_or_infinity_is_found(before, after):
    x = torch.tensor([before], dtype=torch.float64)
    assert call(lambda x: x.fill_(after), x).modified == (0,)


def test_an_argument_modified_before_an_exception_is_a_failure_only():
    outcome = call(learners("def f(x):\n    x.zero_()\n    raise ValueError('x')\n"), torch.ones(2))
    assert outcome.failure.kind == "ValueError"


# What it leaves behind


def test_random_numbers_are_the_same_each_time_and_the_callers_are_untouched():
    before = torch.random.get_rng_state()
    first, second = (call(lambda: torch.rand(3)).value for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_seed_set_by_the_learner_does_not_last():
    before = torch.random.get_rng_state()
    call(learners("def f():\n    torch.manual_seed(5)\n    raise ValueError\n"))
    assert torch.equal(torch.random.get_rng_state(), before)
