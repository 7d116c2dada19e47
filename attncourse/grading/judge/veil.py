"""Words of a submission, where its inputs are secret: none of them may carry an input out.

An exception's text, the name of a type or a string that is returned hold what the submission
wants, numbers too. So its author is told in words of ours: the kind of exception, the line of
their own file that raised it, and what Python or PyTorch is known to say, with no number in it
but sizes. Numbers that a check compared are the check's to tell.
"""

import builtins
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from attncourse.course.checking import CheckResult, Result
from attncourse.course.failures import NO_GRADIENTS, OTHER_NAMES
from attncourse.course.forbidden import aliases, message
from attncourse.course.places import WIDEST
from attncourse.grading.judge.submission import Submission

# What Python and PyTorch say: # is a size or some, @ a word of the submission's or of Python's.
SENTENCES = (
    """
mat1 and mat2 shapes cannot be multiplied (#x# and #x#)
size mismatch, got input (#), mat (#x#), vec (#)
The size of tensor a (#) must match the size of tensor b (#) at non-singleton dimension #
shape '[#]' is invalid for input of size #
Dimension out of range (expected to be in range of [#], but got #)
einsum(): subscript @ has size # for operand # which does not broadcast with previously seen size #
einsum(): the number of subscripts in the equation (#) does not match the number of dimensions \
(#) for operand # and no ellipsis was given
expected m1 and m2 to have the same dtype, but got: @ != @
expected scalar type @ but found @
Sizes of tensors must match except in dimension #. Expected size # but got size # for tensor \
number # in the list.
stack expects each tensor to be equal size, but got [#] at entry # and [#] at entry #
index # is out of bounds for dimension # with size #
The shape of the mask [#] at index # does not match the shape of the indexed tensor [#] at index #
Boolean value of Tensor with more than one value is ambiguous
a Tensor with # elements cannot be converted to Scalar
only one element tensors can be converted to Python scalars
masked_fill_ only supports boolean masks, but got mask with dtype @
where expected condition to be a boolean tensor, but got a tensor with dtype @
The expanded size of the tensor (#) must match the existing size (#) at non-singleton dimension \
#.  Target sizes: [#].  Tensor sizes: [#]
batch1 must be a #D tensor
Expected size for first two dimensions of batch2 tensor to be: [#] but got: [#].
#D tensors expected, but got #D and #D tensors
too many indices for tensor of dimension #
result type @ can't be cast to the desired output type @
view size is not compatible with input tensor's size and stride (at least one dimension spans \
across two contiguous subspaces). Use .reshape(...) instead.
Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
a leaf Variable that requires grad is being used in an in-place operation.
element 0 of tensors does not require grad and does not have a grad_fn
output with shape [#] doesn't match the broadcast shape [#]
@() missing # required positional argument: '@'
@() missing # required positional arguments: '@' and '@'
@() takes # positional argument but # were given
@() takes # positional arguments but # were given
@() got an unexpected keyword argument '@'
@() received an invalid combination of arguments - got (@), but expected one of:
name '@' is not defined
'@' object has no attribute '@'
module '@' has no attribute '@'
'@' object is not subscriptable
'@' object is not iterable
'@' object is not callable
unsupported operand type(s) for @: '@' and '@'
cannot access local variable '@' where it is not associated with a value
list index out of range
division by zero
float division by zero
math domain error
math range error
maximum recursion depth exceeded
maximum recursion depth exceeded in comparison
too many values to unpack (expected #)
not enough values to unpack (expected #, got #)
selected index k out of range
there is not enough memory
ctypes is not available in an exercise that forbids functions
@ is not available while a submission is graded
No module named '@'
cannot import name '@' from '@'
can't start new thread
EOF when reading a line
the value is too large to be sent
""".strip()
    .replace("\\\n", "")
    .splitlines()
)

NOT_SHOWN = "its text is not shown, since the inputs are secret; in your notebook it is"

_RAISED = "your function raised "
_TYPE = re.compile(r"(your function returned |part \d+ .*?)(an? .*?)(; expected .*)", re.DOTALL)
_ARGUMENT = re.compile(r"(your function modified its argument )(.*?)(; work on .*)", re.DOTALL)
_OURS = ("your function returned ", "part ")
_ASKED = re.compile(r"(?<=^there is not enough memory): it asked for [\d.]+ GiB at once$")
_PLACE = re.compile(r" \(((?:[^():]{1,200}, )?line \d.*)\)$", re.DOTALL)
_STEP = re.compile(r"(?:(.{1,200}), )?line (\d{1,6})(?:, in (.{1,200}?))?: (.*)", re.DOTALL)
_NUMPY = re.compile(r"; numpy(?:'s (\w+))? was given a PyTorch tensor: use PyTorch's own function$")
_OF_PYTHON = """
Tensor NoneType int float str bool tuple list dict set function module ndarray Module torch double
half Double Float Half Bool Long Int BFloat16 BFloat numpy math method torch.return_types.max
builtin_function_or_method a an numpy array tensor of shape sparse_coo sparse_csr nested value type
float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 complex64 complex128 numbers
/ * + - @ ** // % & | ~ < > <= >=
"""
_OF_FRAMES = ("lambda", "listcomp", "genexpr", "dictcomp", "setcomp", "module", "locals")
_WORDS = frozenset(_OF_PYTHON.split())
_LIBRARIES = {"EinopsError", "LinAlgError", "_LinAlgError", "AxisError", "TypeCheckError"}
_KINDS = _LIBRARIES | {name for name, value in vars(builtins).items() if isinstance(value, type)}


def _pattern(sentence: str) -> re.Pattern[str]:
    slots = {r"\#": r"(?P<n%d>[\d, x-]{1,40})", "@": r"(?P<w%d>[\w./*+@%%&|~<>=-]{1,60})"}
    pieces = re.split(r"(\\\#|@)", re.escape(sentence))
    return re.compile("".join(slots[p] % i if p in slots else p for i, p in enumerate(pieces)))


_KNOWN = [_pattern(sentence) for sentence in SENTENCES]


class Veil:
    """What may be told of one submission: its own words and lines, and these sizes."""

    def __init__(
        self, submission: Submission, sizes: Iterable[int], refused: Iterable[str]
    ) -> None:
        sources = [cell.source for cell in submission.cells]
        self.lines = {cell.label: cell.source.splitlines() for cell in submission.cells}
        self.words = frozenset(re.findall(r"[^\W\d]\w*", "\n".join(sources)))
        self.sizes = {0, 1, 2, 3, *sizes}
        names = tuple(refused)
        self.refusals = {message(name) for name in aliases(names).values()}

    def over(self, result: Result) -> Result:
        """The result, with no word of the submission's that could tell an input."""
        return replace(result, checks=tuple(map(self._check, result.checks)))

    def _check(self, check: CheckResult) -> CheckResult:
        told = check.message
        if told.startswith(_RAISED):
            return replace(check, message=self._raised(told.removeprefix(_RAISED)))
        ours = check.unusable or told.startswith(_OURS)
        if ours and not check.fatal and not any(map(told.startswith, self.refusals)):
            return replace(check, message=self._returned(told))
        return check

    def _raised(self, told: str) -> str:
        remedy = next((words for words in (NO_GRADIENTS, OTHER_NAMES) if told.endswith(words)), "")
        told = told.removesuffix(remedy)
        found = _PLACE.search(told)
        mine = found is not None and self._steps(found[1])
        place = found[0] if found and mine else ""
        kind, _, said = (told[: found.start()] if found else told).partition(": ")
        said = _ASKED.sub("", said)
        numpy = _NUMPY.search(said)
        known = not numpy or numpy[1] is None or hasattr(np, numpy[1])
        plain = said[: numpy.start()] if numpy else said
        kind = kind if kind in _KINDS or kind in self.words else "an exception"
        if not said or (mine and said in place) or (known and self._known(plain)):
            return f"{_RAISED}{kind}{': ' * bool(said)}{said}{place}{remedy}"
        return f"{_RAISED}{kind}{place}; {NOT_SHOWN}."

    def _steps(self, place: str) -> bool:
        """Are these lines of the submission's own, each where it is said to be?"""
        label = ""
        for step in place.split(" → "):
            if step == "…":
                continue
            found = _STEP.fullmatch(step)
            if found is None:
                return False
            label = found[1] or label
            lines, number = self.lines.get(label, []), int(found[2])
            line = lines[number - 1].strip() if 0 < number <= len(lines) else None
            names = re.findall(r"\w+", found[3] or "")
            if line is None or line[:WIDEST] != found[4].strip():
                return False
            if not all(name in self.words or name in _OF_FRAMES for name in names):
                return False
        return True

    def _known(self, said: str) -> bool:
        """Is it a sentence of Python's or PyTorch's, with sizes and words that are known?"""
        return any(self._fits(found) for p in _KNOWN if (found := p.fullmatch(said)))

    def _fits(self, found: re.Match[str]) -> bool:
        slots = found.groupdict()
        sizes = (n for key, s in slots.items() if key[0] == "n" for n in re.findall(r"\d+", s))
        words = (s for key, s in slots.items() if key[0] == "w")
        return all(int(n) in self.sizes for n in sizes) and all(map(self._word, words))

    def _word_or_size(self, word: str) -> bool:
        return int(word) in self.sizes if word.isdecimal() else self._word(word)

    def _word(self, word: str) -> bool:
        return word in _WORDS or word in _KINDS or word in self.words

    def _returned(self, told: str) -> str:
        """A sentence on what was returned or modified: a type, a text or an argument is named."""
        told = re.sub(r"the (str|int|float) .*?(?=; expected)", r"a value of type \1", told)
        named = _TYPE.fullmatch(told) or _ARGUMENT.fullmatch(told)
        if named is None:
            return told if told.startswith(_OURS) else f"{_RAISED}an exception; {NOT_SHOWN}."
        if all(map(self._word_or_size, re.findall(r"\w+", named[2]))):
            return told
        return f"{named[1]}something of its own{named[3]}"
