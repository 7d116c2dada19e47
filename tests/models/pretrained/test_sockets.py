"""Sockets take anybody's function, and say in a sentence which does not fit."""

import math

import pytest
import torch

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.dense.softmax import attention, masked_softmax, softmax
from attncourse.mechanisms.serving.decoding import decode_step
from attncourse.models.pretrained import smollm
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.pretrained.sockets import SocketError

TEXT = "The trophy does not fit."


def plain_attention(q, k, v):
    return attention(q, k, v)


def in_place_norm(x, gain, *, eps):
    gain.zero_()
    return smollm.rms_norm(x, torch.ones_like(gain), eps=eps)


def ids():
    return SmolLM.load().encode(TEXT)


OWN = {f"{name}, the library's": {name: f} for name, f in smollm.SOCKETS.items()}
OTHERS = {
    "attention without a mask": {"attention": plain_attention},
    "attention with any options": {"attention": lambda *args, **more: attention(*args, **more)},
    "torch's softmax": {"softmax": lambda x: torch.softmax(x, -1)},
    "cache as a list": {
        "cache": lambda c, q, k, v: (lambda o, n: (o, list(n)))(*decode_step(c, q, k, v))
    },
}


@pytest.mark.by_turns
@pytest.mark.parametrize("sockets", [*OWN.values(), *OTHERS.values()], ids=[*OWN, *OTHERS])
def test_a_right_function_in_a_socket_changes_nothing(sockets):
    model = SmolLM.load(**sockets)
    right = SmolLM.load()
    torch.testing.assert_close(model.logits(ids()), right.logits(ids()), rtol=0, atol=1e-3)
    assert model.generate("Hi", 3, chat=False) == right.generate("Hi", 3, chat=False)
    torch.testing.assert_close(model.maps(TEXT), right.maps(TEXT), rtol=0, atol=1e-4)


@pytest.mark.parametrize("way", [{"softmax": softmax}, {"masked_softmax": masked_softmax}])
def test_a_softmax_in_the_encoder_changes_nothing(way):
    right, model = MiniLM.load(), MiniLM.load(**way)
    torch.testing.assert_close(model.maps(TEXT), right.maps(TEXT), rtol=0, atol=1e-5)


def test_a_function_is_asked_with_what_is_documented():
    asked = {}

    def spy(name, function):
        def run(*args, **kwargs):
            asked.setdefault(name, []).append((args, kwargs))
            return function(*args, **kwargs)

        return run

    n = len(ids())
    names = ("attention", "mask", "rotary", "norm", "split_heads", "merge_heads", "feed_forward")
    SmolLM.load(**{name: spy(name, smollm.SOCKETS[name]) for name in names}).logits(ids())
    (q, k, v), named = asked["attention"][0]
    assert (q.shape, k.shape, v.shape) == ((9, n, 64), (9, n, 64), (9, n, 64))
    assert named["mask"].equal(causal_mask(n, n))
    assert asked["mask"] == [((n, n), {})]
    assert [args[0].shape[0] for args, _ in asked["rotary"][:2]] == [9, 3]
    assert asked["rotary"][0][1] == {"base": 100_000.0}
    assert [args[0].shape for args, _ in asked["norm"][:1]] == [(n, 576)]
    assert asked["norm"][0][1]["eps"] == pytest.approx(1e-5)
    assert [args[1] for args, _ in asked["split_heads"][:3]] == [9, 3, 3]
    assert len(asked["norm"]) == 61


def test_a_new_token_is_the_last_of_all():
    asked = []

    def spy(n, m):
        asked.append((n, m))
        return causal_mask(n, m)

    SmolLM.load(mask=spy).generate("Hi there", 3, chat=False)
    assert asked == [(2, 2), (1, 3), (1, 4)]


WRONG = {
    "an error": (
        {"attention": lambda q, k, v, *, mask: q @ k},
        "the function in the socket attention, layer 0, raised RuntimeError when given .*: Exp",
    ),
    "a shape": (
        {"softmax": lambda x: x.sum(-1)},
        r"the function in the socket softmax, layer 0, returned a tensor of shape \(9, \d+\); "
        r"expected a float32 tensor of shape \(9, \d+, \d+\)",
    ),
    "a dtype": (
        {"norm": lambda x, gain, *, eps: x.double()},
        "the function in the socket norm, layer 0, returned float64 numbers; expected a float32",
    ),
    "nothing": (
        {"rotary": lambda x, positions, *, base: None},
        "the function in the socket rotary, layer 0, returned None; expected a float32 tensor",
    ),
    "a mask of numbers": (
        {"mask": lambda n, m: causal_mask(n, m).float()},
        "the function in the socket mask returned float32 numbers; expected a bool tensor",
    ),
    "a stub": (
        {"feed_forward": lambda *args: (_ for _ in ()).throw(NotImplementedError)},
        "the function in the socket feed_forward, layer 0, raised NotImplementedError when given",
    ),
    "an exit": (
        {"storage": lambda x: exit()},
        "the function in the socket storage, layer 0, raised SystemExit",
    ),
    "too few arguments": (
        {"masked_softmax": lambda scores: scores},
        "the function in the socket masked_softmax, layer 0, raised TypeError when .* takes 1",
    ),
    "no cache": (
        {"cache": lambda cache, q, k, v: v},
        r"the function in the socket cache, layer 0, must return \(out, \(keys, values\)\)",
    ),
    "later layers": (
        {"norm": lambda x, gain, *, eps: x if x.abs().max() < 10 else x[1:]},
        r"the function in the socket norm, layer \d+, returned a tensor of shape",
    ),
}


@pytest.mark.parametrize(("sockets", "sentence"), WRONG.values(), ids=WRONG)
def test_a_function_that_does_not_fit_is_one_sentence(sockets, sentence):
    with pytest.raises(SocketError, match=sentence) as caught:
        SmolLM.load(**sockets).logits(ids())
    assert "\n" not in str(caught.value)


def test_what_is_plugged_in_is_looked_at():
    with pytest.raises(
        ValueError, match=r"^the sockets are grouped_attention, attention, .*: got x"
    ):
        SmolLM.load(x=softmax)
    with pytest.raises(TypeError, match="^softmax must be a function: got Tensor$"):
        SmolLM.load(softmax=torch.ones(1))
    with pytest.raises(ValueError, match="^one function computes the attention: got attention and"):
        SmolLM.load(attention=attention, softmax=softmax)
    with pytest.raises(ValueError, match="the sockets are attention, .*: got mask"):
        MiniLM.load(mask=causal_mask)
    SmolLM.load(attention=None)


def test_what_a_function_does_to_its_arguments_reaches_no_model():
    before = SmolLM.load().logits(ids())
    SmolLM.load(norm=in_place_norm).logits(ids())
    assert SmolLM.load().logits(ids()).equal(before)


def test_another_function_has_another_voice():
    """The mask multiplied into the scores: the model repeats itself."""

    def multiplied(q, k, v, *, mask):
        return softmax(q @ k.mT / math.sqrt(64) * mask) @ v

    told = SmolLM.load(attention=multiplied).generate(
        "Tell me a very short story about a fox.", 14, cached=False
    )
    assert told.count("very short story") == 3


def test_a_function_with_a_parameter_layer_is_told_the_layer():
    told = []

    def norm(x, gain, *, eps, layer):
        told.append(layer)
        return smollm.rms_norm(x, gain, eps=eps)

    SmolLM.load(norm=norm).logits(ids())
    assert told == [layer for layer in range(30) for _ in range(2)] + [None]


def test_an_order_of_parts_that_calls_a_broken_part_says_which():
    def broken(x, w_gate, w_up, w_down):
        return x[:-1]

    model = SmolLM.load(feed_forward=broken, sublayer=lambda x, norm, part: part(norm(x)))
    with pytest.raises(SocketError, match=r"^the function in the socket feed_forward, layer 0, re"):
        model.logits(ids())
