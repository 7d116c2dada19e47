"""Running the checks of an exercise: four states, one clear message, and the mistake named."""

from dataclasses import dataclass, field

import pytest
import torch

import double
from attncourse.course.calls import Misconception
from attncourse.course.checking import CheckResult, LearnerError, LocalAnswer, Result, Student, run
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import read
from attncourse.measure.cost import flops
from attncourse.testing import assert_same, assert_that, fail, gaussian, gradients, needs_cuda
from machinery import module_of

SQUARED = Misconception("squared", "You squared x. Twice a number is a sum: add x to itself.")


@dataclass
class Scripted:
    """An answer that gives prepared outcomes, the last one for ever."""

    outcomes: list[Outcome]
    begun: int = 0
    asked: list = field(default_factory=list)

    def begin(self):
        self.begun += 1

    def run(self, probe, args, kwargs):
        self.asked.append((probe, args, kwargs))
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def check(exercise, function):
    return run(exercise, LocalAnswer(function, exercise.forbidden))


def one_check(variant, function, **changes):
    """The toy exercise with a single check."""
    dropped = {f"check_{name}": None for name in read(module_of(double)).checks}
    return read(variant(**dropped | {"check_it": function} | changes))


def messages(result):
    return [c.message for c in result.checks]


def states(result):
    return [c.state for c in result.checks]


# The four states


def test_a_right_answer_passes_every_check(exercise):
    result = check(exercise, double.right_by_product)
    assert (result.exercise, result.state, result.passed) == ("double", "passed", 3)
    assert messages(result) == ["", "", ""]
    assert [c.description for c in result.checks] == [
        "doubles every entry of a matrix",
        "adds the number after doubling",
        "the gradient is two",
    ]


def test_a_stub_is_not_attempted(exercise):
    def unattempted(x, *, plus=0.0):
        raise NotImplementedError

    result = check(exercise, unattempted)
    assert (result.state, result.passed) == ("not attempted", 0)
    assert set(messages(result)) == {"double still raises NotImplementedError."}


def test_a_wrong_answer_fails_and_is_named(exercise):
    result = check(exercise, lambda x, *, plus=0.0: x**2 + plus)
    assert result.state == "failed"
    assert [c.misconception for c in result.checks] == [SQUARED] * 3


def test_a_check_that_the_mistake_does_not_touch_passes(exercise):
    result = check(exercise, lambda x, *, plus=0.0: x + x)
    assert states(result) == ["passed", "failed", "passed"]
    assert result.checks[1].misconception.name == "number_forgotten"


def test_a_mistake_that_is_not_known_is_described(exercise):
    result = check(exercise, lambda x, *, plus=0.0: 3 * x)
    assert [c.misconception for c in result.checks] == [None] * 3
    assert messages(result) == [
        "Your result is 1.5 times the expected one, in every entry.",
        "7 of 7 entries differ, most at (6,): yours is -9.137, expected -4.591.",
        "the gradient is not as expected: "
        "your result is 1.5 times the expected one, in every entry.",
    ]


def test_the_values_to_draw_are_those_of_the_first_difference(exercise):
    first = check(exercise, lambda x, *, plus=0.0: 3 * x + plus).checks[0]
    x = gaussian(3, 5)
    assert torch.equal(first.actual, 3 * x)
    assert torch.equal(first.expected, 2 * x)


def test_a_check_that_needs_a_missing_machine_is_skipped_and_never_passed(variant, monkeypatch):
    def on_cuda(student):
        """runs on a GPU"""
        needs_cuda()
        student(gaussian(3))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    exercise = read(variant(check_on_cuda=on_cuda))
    result = check(exercise, double.solution)
    assert states(result) == ["passed", "passed", "passed", "skipped"]
    assert (result.state, result.passed) == ("skipped", 3)
    assert result.checks[3].message == "needs a CUDA device"


MIXED = {
    "passed": ["passed", "passed"],
    "failed": ["passed", "skipped", "failed", "not attempted"],
    "skipped": ["passed", "skipped"],
    "not attempted": ["not attempted", "skipped"],
}


@pytest.mark.parametrize("state", MIXED)
def test_the_state_of_an_exercise_follows_from_its_checks(state):
    for order in (MIXED[state], MIXED[state][::-1]):
        result = Result("double", tuple(CheckResult("it", "it", s) for s in order))
        assert result.state == state
        assert result.passed == order.count("passed")


def test_half_an_answer_has_failed_and_is_not_unattempted(exercise):
    def half(x, *, plus=0.0):
        if plus:
            raise NotImplementedError
        return 2 * x

    result = check(exercise, half)
    assert states(result) == ["passed", "failed", "passed"]
    assert (result.state, result.passed) == ("failed", 2)


# What the learner is told


def test_an_exception_is_told_with_its_line(exercise):
    def broken(x, *, plus=0.0):
        return x.doubled()

    result = check(exercise, broken)
    assert set(messages(result)) == {
        "your function raised AttributeError: 'Tensor' object has no attribute 'doubled' "
        "(test_checking.py, line 151: return x.doubled())".replace(
            "151", str(broken.__code__.co_firstlineno + 1)
        )
    }
    assert all(c.unusable and not c.fatal for c in result.checks)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            Failure("ValueError", "no", "line 2: x"),
            "your function raised ValueError: no (line 2: x)",
        ),
        (
            Failure("AssertionError", "", "line 2: x"),
            "your function raised AssertionError (line 2: x)",
        ),
        (Failure("KeyError", "'a'"), "your function raised KeyError: 'a'"),
        (
            Failure("ForbiddenError", "write it yourself", "line 2: x"),
            "write it yourself (line 2: x)",
        ),
        (Failure("TimeoutError", "it did not return.", fatal=True), "it did not return."),
    ],
)
def test_a_failure_is_told_in_one_sentence(exercise, failure, message):
    result = run(exercise, Scripted([Outcome(failure=failure)]))
    assert messages(result) == [message] * 3
    assert result.state == "failed"


def test_a_misconception_that_raises_the_same_is_named(variant):
    def wrong_axis(x, *, plus=0.0):
        """You summed over axis 7. There is none."""
        return x.sum(dim=7)

    result = check(read(variant(wrong_axis=wrong_axis)), lambda x, *, plus=0.0: x.sum(7))
    assert {c.misconception.name for c in result.checks} == {"axis"}
    assert messages(result)[0].startswith("your function raised IndexError: Dimension out of range")


def test_a_forbidden_function_is_refused_and_no_mistake_is_guessed(exercise):
    result = check(exercise, lambda x, *, plus=0.0: torch.softmax(x, -1))
    said = "this exercise asks you to write it yourself: softmax is not allowed"
    assert {told.partition(" (test_checking.py")[0] for told in messages(result)} == {said}
    assert {c.misconception for c in result.checks} == {None}


def test_the_wrong_kind_is_told(exercise):
    result = check(exercise, lambda x, *, plus=0.0: None)
    assert messages(result)[0] == (
        "your function returned None; expected a float64 tensor of shape (3, 5). "
        "A function without `return` gives None."
    )
    assert result.checks[0].unusable


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x, *, plus=0.0: x.mul_(2).add_(plus), "x"),
        (lambda x, **named: x.mul_(2), "x"),
    ],
)
def test_a_modified_argument_is_told_by_its_name(exercise, function, names):
    result = check(exercise, function)
    assert result.checks[0].message == (
        f"your function modified its argument {names}; work on a copy "
        "instead (operators such as += and methods that end in _ write into their input)."
    )
    assert result.state == "failed"


@pytest.mark.parametrize(
    ("modified", "names"),
    [((0, "plus"), "x, plus"), (("mask",), "mask"), ((99, -1, True), "99, -1, plus")],
)
def test_modified_arguments_are_named_whatever_a_worker_claims(exercise, modified, names):
    result = run(exercise, Scripted([Outcome(torch.zeros(1), modified=modified)]))
    assert result.checks[0].message.startswith(f"your function modified its argument {names}; ")


def test_a_value_is_accepted_where_the_solution_itself_fails(variant):
    def anything(student):
        """takes a word"""
        assert_that(student("a") is None, "the answer to a word is not None.")

    exercise = one_check(variant, anything, solution=lambda x, *, plus=0.0: x @ x)
    assert check(exercise, lambda x, **_: None).state == "passed"
    result = check(exercise, lambda x, **_: 3)
    assert messages(result) == ["the answer to a word is not None."]


def test_a_check_may_have_a_message_of_its_own(variant):
    def own(student):
        """grows with x"""
        student(gaussian(3))
        fail("your output does not grow with x.")

    result = check(one_check(variant, own), double.solution)
    assert messages(result) == ["your output does not grow with x."]
    assert result.state == "failed"


COMPARED = {
    "the sum is not as expected: it is 7, expected 6.": (7, 6),
    "the sum is not as expected: it is 4.0, expected 2.0.": (
        ((1, (True, 4.0)), 3),
        ((1, (True, 2.0)), 3),
    ),
    "the sum is not as expected: it is a tuple of 2, expected a tuple of 1.": ((1, 2), (1,)),
    "the sum is not as expected: it is None, expected the int 6.": (None, 6),
    "the sum is not as expected: it came as a float64 tensor of shape (3,); "
    "expected a float64 tensor of shape (4,).": (gaussian(3), gaussian(4)),
    "the sum is not as expected: it came as float32 numbers; expected float64. "
    "Keep the dtype that the inputs have.": (gaussian(3).float(), gaussian(3)),
    "the sum is not as expected: your result is 2 times the expected one, in every entry.": (
        2 * gaussian(3),
        gaussian(3),
    ),
}


@pytest.mark.parametrize("message", COMPARED)
def test_what_a_check_compared_is_told_where_the_calls_were_right(variant, message):
    def compares(student):
        """the sum"""
        student(gaussian(3))
        assert_same(*COMPARED[message], "the sum")

    result = check(one_check(variant, compares), double.solution)
    assert messages(result) == [message]


def test_a_check_of_probes_compares_what_they_gave(variant):
    def cost(student):
        """costs nothing"""
        assert_same(flops(student, gaussian(4)), 0, "the count of FLOPs")

    result = check(one_check(variant, cost), lambda x, *, plus=0.0: x @ x + x)
    assert messages(result) == ["the count of FLOPs is not as expected: it is 8, expected 0."]


# Results that cannot be compared, and faults of the course


STRANGE = {
    "a sparse tensor of float64": lambda x: x.to_sparse(),
    "a nested tensor of float64": lambda x: torch.nested.nested_tensor([x, x]),
    "a complex128 tensor": lambda x: x + 0j,
    "a quint8 tensor": lambda x: torch.quantize_per_tensor(x.float(), 0.1, 0, torch.quint8),
    "a tensor on meta": lambda x: x.to("meta"),
    "a Parameter": lambda x: torch.nn.Parameter(x),
    "a numpy array": lambda x: x.numpy(),
    "a tuple of 2": lambda x: (2 * x, x),
    "None": lambda x: None,
}


@pytest.mark.filterwarnings("ignore")  # PyTorch's, that these kinds are prototypes
@pytest.mark.parametrize("kind", STRANGE)
def test_a_result_that_cannot_be_compared_is_told_once_and_nothing_of_its_gradient(exercise, kind):
    result = check(exercise, lambda x, *, plus=0.0: STRANGE[kind](x.detach()))
    first = messages(result)[0]
    assert first.startswith(f"your function returned {kind}; expected ")
    assert "fault of the course" not in "".join(messages(result))
    assert states(result) == ["failed"] * 3
    assert set(messages(result)) == {first}


def test_a_check_that_breaks_is_the_fault_of_the_course(variant):
    def broken(student):
        """breaks"""
        student(gaussian(3))
        raise KeyError("secret inputs")

    exercise = read(variant(check_broken=broken))
    result = check(exercise, double.solution)
    assert states(result) == ["passed", "passed", "passed", "skipped"]
    assert (
        result.fault
        == result.checks[3].message
        == (
            "the grader could not compare your result (KeyError); "
            "this is a fault of the course, not yours."
        )
    )
    wrong = check(exercise, lambda x, *, plus=0.0: x * x + plus)
    assert {c.misconception for c in wrong.checks} == {None}  # not everything was asked


def test_marks_stand_where_they_cannot_be_explained(exercise, monkeypatch):
    def breaks(*given):
        raise ZeroDivisionError

    monkeypatch.setattr("attncourse.course.checking.diagnosis", breaks)
    result = check(exercise, lambda x, *, plus=0.0: 3 * x)
    assert states(result) == ["failed"] * 3
    assert all(m.endswith("this is a fault of the course, not yours.") for m in messages(result))
    assert messages(check(exercise, double.solution)) == [""] * 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.float(), "Keep the dtype that the inputs have. Its numbers are right."),
        (lambda x: x.mT, "Transposed, it is what is expected."),
        (lambda x: x[None], "Its numbers are right, only its axes of length one are not."),
        (lambda x: x.long(), "Keep the dtype that the inputs have."),
        (lambda x: 3 * x.mT, "expected a float64 tensor of shape (3, 5)."),
    ],
)
def test_what_is_right_about_a_result_of_another_kind_is_told(exercise, change, told):
    assert messages(check(exercise, lambda x, **_: change(2 * x)))[0].endswith(told)


# The course of a run


def test_nothing_more_is_asked_once_the_process_is_lost(exercise):
    lost = Failure("TimeoutError", "it did not return within 2 s.", fatal=True)
    answer = Scripted([Outcome(2 * gaussian(3, 5)), Outcome(failure=lost)])
    result = run(exercise, answer)
    assert states(result) == ["passed", "failed", "failed"]
    assert [c.name for c in result.checks] == list(exercise.checks)
    assert messages(result)[1:] == ["it did not return within 2 s."] * 2
    assert result.checks[2].description == "the gradient is two (not run)"
    assert [c.misconception for c in result.checks] == [None] * 3
    assert (answer.begun, len(answer.asked)) == (2, 2)


def test_every_check_begins_anew(exercise):
    answer = Scripted([Outcome(failure=Failure("ValueError", "no"))])
    run(exercise, answer)
    assert answer.begun == len(answer.asked) == 3


def test_a_student_records_its_calls_and_probes(exercise):
    answer = Scripted([Outcome(2 * gaussian(3)), Outcome((gaussian(3),))])
    student = Student(exercise, answer)
    student(gaussian(3), plus=0.0)
    gradients(student, gaussian(3))
    assert [(call.probe, call.kwargs) for call in student.calls] == [
        (None, {"plus": 0.0}),
        ("gradients", {}),
    ]
    assert [asked[0] for asked in answer.asked] == [None, "gradients"]


def test_what_a_student_cannot_use_is_a_learner_error(exercise):
    student = Student(exercise, LocalAnswer(lambda x, **_: 1 / 0))
    with pytest.raises(LearnerError, match="ZeroDivisionError") as caught:
        student(gaussian(3))
    assert caught.value.failure.kind == "ZeroDivisionError"


def test_the_inputs_of_a_check_are_never_modified(variant):
    kept = gaussian(3)

    def keeps(student):
        """leaves its input alone"""
        assert_same(student(kept), 2 * gaussian(3))

    exercise = one_check(variant, keeps)
    assert check(exercise, lambda x, *, plus=0.0: x.mul_(2)).state == "failed"
    assert torch.equal(kept, gaussian(3))
    assert check(exercise, double.solution).state == "passed"
