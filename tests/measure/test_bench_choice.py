"""What a person asks the bench for: by a function, by a name in the tables, by a part of either."""

import pytest

import attncourse
from attncourse.measure.bench.choice import chosen, names_of
from attncourse.measure.bench.suites import SUITES


def every_suite():
    return [make("cpu") for make in SUITES.values()]


def mechanisms(*words):
    return {case.mechanism for suite in chosen(every_suite(), words) for case in suite.cases}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("sliding_window_attention", {"window 256", "window 256, causal"}),
        ("window 256", {"window 256"}),
        ("bigbird_attention", {"BigBird, blocks of 64"}),
        ("strided_attention", {"strided, root of n / 2"}),
        ("attention", {"full"}),
        ("full", {"full"}),
        ("linformer", {"Linformer 256"}),
        ("nystrom", {"Nyström 64", "Nyström 256"}),
        ("nystrom 64", {"Nyström 64"}),
        ("NYSTRÖM 256", {"Nyström 256"}),
        ("Nystro\u0308m 256", {"Nyström 256"}),
        ("performer 256", {"Performer 256"}),
        ("Performer", {"Performer 256", "Performer 256, causal"}),
        ("Full", {"full"}),
        ("8 bits", {"decode, cache in 8 bits"}),
    ],
)
def test_a_word_names_a_function_a_mechanism_or_a_part_of_some(word, found):
    assert mechanisms(word) == found


def test_several_words_name_what_each_of_them_does():
    assert mechanisms("linear", "full") == {"linear", "full"}


def test_of_a_mechanism_all_implementations_are_measured_once_and_nothing_else():
    [suite] = chosen(every_suite(), ["window 256"])
    assert [case.implementation for case in suite.cases] == ["attncourse", "PyTorch, masked"]
    assert suite.name == "scaling"


def test_without_a_word_all_is_measured():
    assert chosen(every_suite(), []) == every_suite()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("slidng_window_atention", "did you mean sliding_window_attention?"),
        ("windw 256", "did you mean window 256?"),
    ],
)
def test_a_word_that_names_nothing_is_an_error_that_offers_the_nearest_name(word, sentence):
    with pytest.raises(ValueError, match=r"\?$") as caught:
        chosen(every_suite(), ["linear", word])
    assert str(caught.value) == f"no mechanism is called {word}: {sentence}"


def test_a_word_that_is_near_to_nothing_is_an_error():
    with pytest.raises(ValueError, match="^no mechanism is called qqq$"):
        chosen(every_suite(), ["qqq"])


def test_every_case_of_ours_is_found_by_the_public_name_of_its_function():
    ours = [
        names for suite in every_suite() for case in suite.cases if len(names := names_of(case)) > 1
    ]
    assert ours
    assert {name for _, name in ours} <= set(attncourse.__all__)
