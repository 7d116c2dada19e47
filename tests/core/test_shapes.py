"""`checked` reads a function's annotations and says what is wrong in one sentence."""

import inspect

import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attncourse.core.rules import axis_error
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, masked_softmax
from attncourse.testing import attention_inputs, gaussian, random_mask


@checked
def example(
    x: Float[Tensor, "... n d"],
    y: Float[Tensor, "... m d"],
    w: Float[Tensor, "d r"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
    count: int = 1,
    scale: float = 1.0,
    anything: object = None,
) -> str:
    """Reached."""
    return "reached"


@checked
def of_one_axis(ids: Int[Tensor, " n"], weights: Float[Tensor, " n"]) -> str:
    """Reached."""
    return "reached"


@checked
def three_axes_deep(a: Float[Tensor, "n m d"], b: Float[Tensor, "n r r"]) -> str:
    """Reached."""
    return "reached"


def good(**changes):
    """Arguments of `example` that are right, with some of them changed."""
    arguments = {"x": gaussian(2, 5, 3), "y": gaussian(2, 7, 3), "w": gaussian(3, 4)}
    return arguments | changes


def sentence(error, call):
    """The message of the error that `call` must raise, of exactly this type."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


def test_a_checked_function_keeps_its_name_docstring_and_signature():
    assert (example.__name__, example.__doc__) == ("example", "Reached.")
    assert list(inspect.signature(attention).parameters) == ["q", "k", "v", "mask"]
    assert attention.__doc__.startswith("Scaled dot-product attention")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask": None},
        {"mask": random_mask(5, 7)},
        {"mask": random_mask(1, 7)},
        {"mask": random_mask(5, 7)[0]},
        {"mask": torch.tensor(True)},
        {"mask": torch.ones(1, 1, dtype=torch.bool)},
        {"mask": torch.ones(2, 5, 1, dtype=torch.bool)},
        {"mask": torch.ones(1, 5, 7, dtype=torch.bool)},
        {"count": -3, "scale": 2},
        {"scale": float("nan")},
        {"anything": "at all"},
        {"x": gaussian(0, 5, 3), "y": gaussian(0, 7, 3)},
        {"x": gaussian(2, 6, 5, 3), "y": gaussian(2, 6, 7, 3)},
        {"x": torch.nn.Parameter(gaussian(2, 5, 3))},
    ],
    ids=lambda changes: ", ".join(changes) or "none",
)
def test_a_right_call_goes_through(changes):
    assert example(**good(**changes)) == "reached"


MESSAGES = [
    (TypeError, {"x": None}, "x must be a torch.Tensor: got None"),
    (TypeError, {"x": [[1.0]]}, "x must be a torch.Tensor: got a list"),
    (TypeError, {"x": 3}, "x must be a torch.Tensor: got an int"),
    (TypeError, {"x": gaussian(2, 5, 3).long()}, "x must be floating point: got torch.int64"),
    (TypeError, {"x": gaussian(2, 5, 3) > 0}, "x must be floating point: got torch.bool"),
    (
        TypeError,
        {"mask": torch.ones(5, 7)},
        "mask must be Boolean, True where a query may attend: got torch.float32"
        " (perhaps you want mask.bool())",
    ),
    (
        TypeError,
        {"mask": torch.ones(5, 7, dtype=torch.uint8)},
        "mask must be Boolean, True where a query may attend: got torch.uint8"
        " (perhaps you want mask.bool())",
    ),
    (TypeError, {"mask": "causal"}, "mask must be a torch.Tensor: got a str"),
    (TypeError, {"count": 1.0}, "count must be an integer: got a float"),
    (TypeError, {"count": True}, "count must be an integer: got a bool"),
    (TypeError, {"scale": "2"}, "scale must be a number: got a str"),
    (TypeError, {"scale": False}, "scale must be a number: got a bool"),
    (TypeError, {"scale": torch.tensor(2.0)}, "scale must be a number: got a Tensor"),
    (ValueError, {"x": gaussian(3)}, "x must have at least 2 axes (..., n, d): got x (3,)"),
    (ValueError, {"x": torch.tensor(1.0)}, "x must have at least 2 axes (..., n, d): got x ()"),
    (ValueError, {"w": gaussian(3)}, "w must have exactly 2 axes (d, r): got w (3,)"),
    (ValueError, {"w": gaussian(2, 3, 4)}, "w must have exactly 2 axes (d, r): got w (2, 3, 4)"),
    (ValueError, {"x": gaussian(2, 0, 3)}, "n must be at least 1: got x (2, 0, 3)"),
    (ValueError, {"y": gaussian(2, 0, 3)}, "m must be at least 1: got y (2, 0, 3)"),
    (ValueError, {"w": gaussian(3, 0)}, "r must be at least 1: got w (3, 0)"),
    (
        ValueError,
        {"mask": torch.ones(0, 7, dtype=torch.bool)},
        "n must be at least 1: got mask (0, 7)",
    ),
    (
        ValueError,
        {"y": gaussian(2, 7, 4)},
        "x and y must share d, their last axis: got d=3 for x (2, 5, 3) and d=4 for y (2, 7, 4)",
    ),
    (
        ValueError,
        {"w": gaussian(9, 4)},
        "x and w must share d, the last axis of x and the second-to-last axis of w"
        ": got d=3 for x (2, 5, 3) and d=9 for w (9, 4)",
    ),
    (
        ValueError,
        {"mask": random_mask(6, 7)},
        "x and mask must share n, their second-to-last axis (or mask have 1 there)"
        ": got n=5 for x (2, 5, 3) and n=6 for mask (6, 7)",
    ),
    (
        ValueError,
        {"mask": random_mask(5, 6)[0]},
        "y and mask must share m, the second-to-last axis of y and the last axis of mask"
        " (or mask have 1 there)"
        ": got m=7 for y (2, 7, 3) and m=6 for mask (6,)",
    ),
    (
        ValueError,
        {"mask": random_mask(5, 8)},
        "y and mask must share m, the second-to-last axis of y and the last axis of mask"
        " (or mask have 1 there)"
        ": got m=7 for y (2, 7, 3) and m=8 for mask (5, 8)",
    ),
    (
        ValueError,
        {"y": gaussian(7, 3)},
        "x and y must share their leading axes: got (2,) for x (2, 5, 3) and () for y (7, 3)",
    ),
    (
        ValueError,
        {"y": gaussian(1, 7, 3)},
        "x and y must share their leading axes: got (2,) for x (2, 5, 3) and (1,) for y (1, 7, 3)",
    ),
    (
        ValueError,
        {"mask": torch.ones(3, 5, 7, dtype=torch.bool)},
        "the leading axes of mask must broadcast to those of x"
        ": got (3,) for mask (3, 5, 7) and (2,) for x (2, 5, 3)",
    ),
    (
        ValueError,
        {"mask": torch.ones(2, 2, 5, 7, dtype=torch.bool)},
        "the leading axes of mask must broadcast to those of x"
        ": got (2, 2) for mask (2, 2, 5, 7) and (2,) for x (2, 5, 3)",
    ),
    (
        TypeError,
        {"y": gaussian(2, 7, 3).float()},
        "x and y must share a dtype: got torch.float64 for x and torch.float32 for y",
    ),
    (
        TypeError,
        {"w": gaussian(3, 4).half()},
        "x and w must share a dtype: got torch.float64 for x and torch.float16 for w",
    ),
    (
        ValueError,
        {"y": gaussian(2, 7, 3).to("meta")},
        "x and y must be on one device: got cpu for x and meta for y",
    ),
    (
        ValueError,
        {"mask": random_mask(5, 7).to("meta")},
        "x and mask must be on one device: got cpu for x and meta for mask",
    ),
]


@pytest.mark.parametrize(
    ("error", "changes", "message"), MESSAGES, ids=[message for _, _, message in MESSAGES]
)
def test_a_wrong_call_is_told_the_rule_and_both_values(error, changes, message):
    arguments = good(**changes)
    positions = [arguments.pop(name) for name in "xyw"]
    assert sentence(error, lambda: example(*positions, **arguments)) == message
    assert sentence(error, lambda: example(**good(**changes))) == message


@pytest.mark.parametrize(
    ("error", "ids", "weights", "message"),
    [
        (TypeError, gaussian(3), gaussian(3), "ids must hold integers: got torch.float64"),
        (TypeError, gaussian(3) > 0, gaussian(3), "ids must hold integers: got torch.bool"),
        (
            ValueError,
            torch.arange(4).view(2, 2),
            gaussian(3),
            "ids must have exactly 1 axis (n): got ids (2, 2)",
        ),
        (
            ValueError,
            torch.arange(4),
            gaussian(3),
            "ids and weights must share n, their last axis"
            ": got n=4 for ids (4,) and n=3 for weights (3,)",
        ),
    ],
    ids=str,
)
def test_tensors_of_one_axis_and_of_integers_are_checked_too(error, ids, weights, message):
    assert sentence(error, lambda: of_one_axis(ids, weights)) == message


def test_integers_and_floating_point_tensors_need_no_common_dtype():
    assert of_one_axis(torch.arange(3), gaussian(3)) == "reached"


def test_an_axis_letter_may_repeat_within_one_tensor_and_stand_third_to_last():
    assert three_axes_deep(gaussian(5, 3, 2), gaussian(5, 4, 4)) == "reached"
    assert "share r" in sentence(
        ValueError, lambda: three_axes_deep(gaussian(5, 3, 2), gaussian(5, 4, 3))
    )
    assert sentence(ValueError, lambda: three_axes_deep(gaussian(5, 3, 2), gaussian(6, 4, 4))) == (
        "a and b must share n, their third-to-last axis"
        ": got n=5 for a (5, 3, 2) and n=6 for b (6, 4, 4)"
    )


def test_python_says_itself_when_an_argument_is_missing_unknown_or_surplus():
    q, k, v = attention_inputs()
    with pytest.raises(TypeError, match=r"missing .* argument: 'v'"):
        attention(q, k)
    with pytest.raises(TypeError, match="unexpected keyword argument 'msk'"):
        attention(q, k, v, msk=random_mask(5, 37))
    with pytest.raises(TypeError, match=r"too many positional|takes 3 positional"):
        attention(q, k, v, random_mask(5, 37))
    with pytest.raises(TypeError, match="multiple values for argument 'q'"):
        attention(q, k, v, q=q)


def test_the_order_of_keywords_does_not_matter():
    """A mask broadcasts to the queries, whichever of the two is written first."""
    q, k, v = attention_inputs(2, 3)
    mask = random_mask(5, 37)
    assert torch.equal(attention(mask=mask, v=v, k=k, q=q), attention(q, k, v, mask=mask))
    scores = gaussian(2, 5, 37)
    assert torch.equal(masked_softmax(mask=mask, scores=scores), masked_softmax(scores, mask))


def test_the_order_of_keywords_does_not_change_the_message():
    wrong = good(y=gaussian(2, 7, 4))
    assert sentence(ValueError, lambda: example(**wrong)) == sentence(
        ValueError, lambda: example(**dict(reversed(wrong.items())))
    )


def test_an_axis_error_states_the_rule_and_the_shape():
    error = axis_error("w must be odd", "w", torch.zeros(2, 3))
    assert isinstance(error, ValueError)
    assert str(error) == "w must be odd: got w (2, 3)"


def test_what_has_passed_once_hides_nothing_of_what_comes_after():
    @checked
    def product(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], *, times: int = 1) -> Tensor:
        return times * (a @ b.mT)

    a, b = torch.ones(2, 3), torch.ones(4, 3)
    for _ in range(2):
        assert product(a, b).shape == product(a=a, b=b, times=2).shape == (2, 4)
        with pytest.raises(ValueError, match="must share d"):
            product(a, torch.ones(4, 2))
        with pytest.raises(TypeError, match="must share a dtype"):
            product(a, b.double())
        with pytest.raises(TypeError, match="times must be an integer"):
            product(a, b, times=2.0)
        with pytest.raises(TypeError, match="b must be a torch.Tensor"):
            product(a, b=[[1.0]])


def test_a_function_gets_a_mask_with_all_of_its_named_axes():
    @checked
    def seen(
        scores: Float[Tensor, "... n m"], mask: Bool[Tensor, "... #n #m"] | None, *, times: int = 1
    ) -> tuple[int, ...] | None:
        return None if mask is None else tuple(mask.shape)

    scores, row = gaussian(2, 5, 7), torch.ones(7, dtype=torch.bool)
    assert seen(scores, row) == seen(scores, mask=row) == seen(mask=row, scores=scores) == (1, 7)
    assert seen(scores, row[0]) == (1, 1)
    assert seen(scores, random_mask(10, 7).view(2, 5, 7), times=2) == (2, 5, 7)
    assert seen(scores, None) is None
    with pytest.raises(TypeError, match=r"too many positional|takes 2 positional"):
        seen(scores, row, 3)


def test_the_axis_of_past_tokens_may_be_empty_and_no_other():
    @checked
    def count(x: Float[Tensor, "... n d"], past: Float[Tensor, "... t d"]) -> int:
        return past.shape[-2]

    assert count(gaussian(2, 5, 3), gaussian(2, 0, 3)) == 0
    with pytest.raises(ValueError, match=r"^d must be at least 1: got past \(2, 4, 0\)$"):
        count(gaussian(2, 5, 3), gaussian(2, 4, 0))
