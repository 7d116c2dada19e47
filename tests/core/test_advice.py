"""What an error advises is right: each advice is done, and gives what was meant."""

import re
from pathlib import Path

import pytest
import torch
from test_bad_input import FUNCTIONS, MASKED, masks_of, raised_by, right

import attncourse
from attncourse.core.positions import alibi_bias
from attncourse.measure.bench.choice import chosen
from attncourse.measure.bench.suites import scaling
from attncourse.mechanisms.dense.softmax import masked_softmax
from attncourse.testing import assert_same, random_mask

ADVICE = re.compile(r"\(perhaps you want (.+)\)$")

# how people write a mask in numbers
WRITTEN = {
    "0 and -inf": lambda mask: torch.zeros(mask.shape).masked_fill(~mask, -torch.inf),
    "0 and the smallest": lambda m: torch.zeros(m.shape).masked_fill(~m, torch.finfo().min),
    "0 and -10000": lambda mask: (~mask).half() * -10000,
    "whole numbers, 0 and -10000": lambda mask: (~mask).long() * -10000,
    "1.0 and 0.0": lambda mask: mask.double(),
    "1 and 0": lambda mask: mask.long(),
    "1 and 0 in a byte": lambda mask: mask.to(torch.uint8),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize(("function", "name"), MASKED, ids=lambda x: getattr(x, "__name__", x))
def test_the_advice_for_a_mask_of_numbers_gives_the_mask_that_was_meant(function, name, written):
    (_, n, m), mask = masks_of(function), None
    mask = random_mask(n, m, empty_row=1)
    arguments = right(function) | FUNCTIONS[function].options
    given = written(mask)
    error = raised_by(lambda: function(**arguments | {name: given}))
    advised = eval(ADVICE.search(str(error))[1], {name: given})
    assert torch.equal(advised, mask)
    assert_same(function(**arguments | {name: advised}), function(**arguments | {name: mask}))


@pytest.mark.parametrize(
    "given",
    [
        torch.zeros(2, 3),
        torch.full((2, 3), -torch.inf),
        torch.tensor([[0.5, 1.0, 0.0]]),
        torch.tensor([[2, 1, 0]]),
        torch.tensor([[torch.nan, 0.0, 1.0]]),
        torch.zeros(2, 3, dtype=torch.complex64),
        torch.ones(2, 3, device="meta"),
        alibi_bias(1, 2, 3)[0],
    ],
    ids=["zeros", "-inf", "shares", "counts", "NaN", "complex", "meta", "bias"],
)
def test_what_could_mean_either_or_nothing_gets_no_advice(given):
    error = raised_by(lambda: masked_softmax(torch.zeros(2, 3), given))
    assert str(error) == (f"mask must be Boolean, True where a query may attend: got {given.dtype}")


@pytest.mark.parametrize("word", ["linformr", "sliding_windw", "Performr"])
def test_the_name_that_the_bench_suggests_is_one_it_takes(word):
    suites = [scaling()]
    with pytest.raises(ValueError, match="did you mean") as caught:
        chosen(suites, [word])
    assert chosen(suites, [re.search(r"did you mean (.+)\?", str(caught.value))[1]])


def test_no_other_error_of_the_library_advises():
    """Whoever writes a new advice tests it here."""
    rooms = ("core", "mechanisms", "models", "measure", "kernels", "plots")
    package = Path(attncourse.__file__).parent
    sources = [path for room in rooms for path in (package / room).rglob("*.py")]
    phrase = re.compile(r"perhaps you|did you mean|you may want|try to use|consider ")
    found = {path.name for path in sources if phrase.search(path.read_text(encoding="utf-8"))}
    assert found == {"rules.py", "choice.py"}
