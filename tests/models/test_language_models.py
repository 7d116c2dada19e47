"""What the chapter on language rests on: numbers in words, spans, pooling, short texts."""

import pytest
import torch
from torch.testing import assert_close

from attncourse import attention
from attncourse.measure.alignment import alignment_error_rate, translation_scores
from attncourse.measure.experiment import measured
from attncourse.models import number_words, pooling, spans
from attncourse.models.reading import attention_pooling, best_span
from attncourse.models.short_texts import beside, facts, short_texts, vectors, words
from attncourse.testing import gaussian

KINDS = [
    number_words.Translator,
    number_words.ConvolutionTranslator,
    number_words.WordTranslator,
    number_words.FixedVectorTranslator,
]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def built(kind):
    torch.manual_seed(0)
    return kind(width=8)


# Numbers in words


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (1, "one", "eins"),
        (16, "sixteen", "sechzehn"),
        (30, "thirty", "dreißig"),
        (101, "one hundred one", "ein hundert eins"),
        (121, "one hundred twenty one", "ein hundert ein und zwanzig"),
        (1000, "one thousand", "ein tausend"),
        (
            *(87_654, "eighty seven thousand six hundred fifty four"),
            "sieben und achtzig tausend sechs hundert vier und fünfzig",
        ),
        (101_001, "one hundred one thousand one", "ein hundert ein tausend eins"),
    ],
)
def test_numbers_are_said_as_they_are_said(number, english, german):
    assert " ".join(number_words.english(number)) == english
    assert " ".join(number_words.german(number)[0]) == german


def test_links_lead_from_each_german_word_to_what_it_renders():
    for number in number_words.held_out(100):
        source = number_words.english(number)
        target, found = number_words.german(number)
        assert len(target) == len(found)
        for word, places in zip(target, found, strict=True):
            if word == "und":
                assert places[1] == places[0] + 1
            else:
                rendered = number_words.WORDS[source[places[0]]]
                assert len(places) == 1
                assert word == rendered or (word, rendered) == ("eins", "ein")
        assert {place for places in found for place in places} == set(range(len(source)))


@pytest.mark.parametrize("number", [0, 1_000_000, -3])
def test_other_numbers_are_refused(number):
    with pytest.raises(ValueError, match=rf"from 1 to 999,999: got {number}$"):
        number_words.english(number)


def test_numbers_are_held_out():
    generator = torch.Generator().manual_seed(1)
    shown = number_words.numbers(300, held_out=False, generator=generator)
    assert not any(number % 7 == 0 for number in shown)
    assert all(number % 7 == 0 for number in number_words.held_out(50))
    assert {len(str(number)) for number in shown} == {1, 2, 3, 4, 5, 6}


# Translators


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_numbers_is_its_rows(kind):
    model, drawn = built(kind), [487_206, 7, 91]
    source, mask, target = number_words.encoded(drawn)
    before = target.clamp(min=0)
    logits, weights = model(source, mask, before)
    assert_close(weights.sum(dim=-1), torch.ones(3, before.shape[1]))
    for row, number in enumerate(drawn):
        one, its, _ = number_words.encoded([number])
        alone, looked = model(one, its, before[row : row + 1])
        assert_close(logits[row], alone[0])
        assert_close(weights[row, :, : one.shape[1]], looked[0])
        assert not weights[row, :, one.shape[1] :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_sees_those_after_it(kind):
    model = built(kind)
    source, mask, target = number_words.encoded([487_206])
    logits, _ = model(source, mask, target)
    other = target.clone()
    other[:, 4:] = 0
    assert torch.equal(model(source, mask, other)[0][:, :4], logits[:, :4])
    assert not torch.equal(model(source, mask, other)[0], logits)


def test_the_context_is_the_mean_of_the_memory_under_the_weights():
    model, memory = built(number_words.Translator), gaussian(2, 5, 8).float()
    mask = (torch.arange(5) < torch.tensor([[5], [3]]))[:, None]
    context, weights = model.look_up(gaussian(2, 3, 8).float(), memory, mask)
    assert_close(context, torch.einsum("bnm,bmd->bnd", weights, memory))
    assert not weights[1, :, 3:].any()


def test_a_fixed_vector_is_all_that_the_writer_has():
    model = built(number_words.FixedVectorTranslator)
    memory, mask = gaussian(2, 5, 8).float(), torch.ones(2, 1, 5, dtype=torch.bool)
    context, weights = model.look_up(gaussian(2, 3, 8).float(), memory, mask)
    assert torch.equal(context[:, 0], context[:, 2])
    assert_close(context[:, 0], torch.cat([memory[:, -1, :4], memory[:, 0, 4:]], dim=-1))
    assert_close(weights, torch.full((2, 3, 5), 0.2))


def test_the_alignment_goes_to_the_largest_weight_of_each_word():
    weights = torch.tensor([[[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]])
    found = number_words.alignment(weights, [["sieben", "und"]])
    assert found.long().tolist() == [[[0, 1, 0], [1, 0, 0], [0, 0, 0]]]


def test_a_translator_learns_and_one_that_knows_all_scores_best():
    model = number_words.trained(number_words.ConvolutionTranslator, 60, seed=0)
    untrained = number_words.trained(number_words.ConvolutionTranslator, 1, seed=0)
    drawn = number_words.held_out(40)
    with torch.no_grad():
        assert model.loss(drawn) < 0.8 * untrained.loss(drawn)
    scores = translation_scores(model, drawn)
    assert set(scores) == {"exact", "bleu", "aer"}
    assert all(0 <= score <= 1 for score in scores.values())


def test_training_leaves_the_random_numbers_of_others_alone():
    state = torch.get_rng_state()
    number_words.trained(number_words.WordTranslator, 1, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_alignment_error_rate_equals_that_of_sets():
    found, sure, more = (gaussian(6, 5, seed=i) > 0.5 for i in range(3))
    a, s, p = ({tuple(x) for x in y.nonzero().tolist()} for y in (found, sure, sure | more))
    expected = 1 - (len(a & s) + len(a & p)) / (len(a) + len(s))  # as nltk computes it
    assert alignment_error_rate(found, sure, sure | more) == pytest.approx(expected)


# Spans


def test_a_span_has_one_token_at_least():
    with pytest.raises(ValueError, match="longest must be at least 1: got 0"):
        best_span(torch.zeros(3), torch.zeros(3), longest=0)


def test_answers_stand_where_a_passage_says():
    generator = torch.Generator().manual_seed(0)
    text, asked = spans.passage(list(range(8)), generator)
    assert text.count(".") == spans.SENTENCES == len(asked)
    answers = [text[begin:end] for _, begin, end in asked]
    assert set(answers) <= set(spans.PLACES)
    assert len(set(answers)) == 4


def test_questions_know_the_tokens_of_their_answers():
    model = spans.MiniLM.load()
    held = spans.Questions(2, asked=True, seed=1)
    for row, text in enumerate(held.texts):
        tokens = model.words(text)[held.first[row] : held.last[row] + 1]
        assert " ".join(tokens) in spans.PLACES
    assert held.states.shape[:2] == held.mask.shape


def test_things_that_are_asked_were_not_shown():
    told, held = (spans.Questions(3, asked=asked, seed=4 + asked) for asked in (False, True))
    assert not set(told.asked) & set(held.asked)


# Pooling


def test_a_query_of_zeros_pools_to_the_mean():
    states, mask = gaussian(3, 6, 4), torch.arange(6) < torch.tensor([[6], [2], [1]])
    pooled = attention_pooling(states, torch.zeros(4).double(), mask=mask)
    assert_close(pooled, pooling.mean_pooling(states, mask))


def test_pooling_is_attention_of_one_query():
    states, query = gaussian(6, 4), gaussian(4, seed=1)
    expected = attention(query[None], states, states)[0]
    assert_close(attention_pooling(states, query), expected)


def test_words_that_are_asked_were_not_shown():
    opinions = pooling.Opinions("table", 0)
    for asked, count in ((False, 16), (True, 8)):
        lines, labels = opinions.lines(200, others=2, negated=0.5, asked=asked)
        said = {words(line)[-1] for text in lines for line in text if "was" in line} & {
            *pooling.GOOD,
            *pooling.BAD,
        }
        assert len(said) == 2 * count
        assert 60 < int(labels.sum()) < 140
        assert all(len(text) == 3 for text in lines)


def test_good_and_bad_are_as_many_and_none_is_neutral():
    assert len(set(pooling.GOOD)) == len(set(pooling.BAD)) == 24
    spoken = {*pooling.GOOD, *pooling.BAD}
    assert not any(spoken & set(words(line)) for line in pooling.neutral())


@pytest.mark.by_turns
def test_a_judge_says_what_a_pooling_gives_it():
    _, judge = pooling.judged(pooling.Judge, "layer 6", others=0, seed=0, steps=60)
    for text, wanted in (("The film was superb.", "good"), ("The film was dreadful.", "bad")):
        said, word = pooling.opinion_of(text, judge)
        assert said == wanted
        assert word in words(text)
    turned = pooling.opinion_of("The film was superb.", judge, lambda states, query: -states[-2])
    assert turned[0] == "bad"


# Short texts


def test_facts_have_questions_and_answers_of_their_own():
    columns = facts()
    assert [len(column) for column in columns] == [24, 24, 24]
    assert [len(set(column)) for column in columns[:2]] == [24, 24]
    for fact, _, answer in zip(*columns, strict=True):
        assert answer.lower() in fact.lower()
    assert len(beside()) == 260


def test_texts_are_of_two_kinds():
    kinds = [text.kind for text in short_texts()]
    assert kinds.count("report") == kinds.count("tale") == 6
    assert all(len(text.sentences) == 5 for text in short_texts())


@pytest.mark.parametrize("features", ["words", "table", "layer 6"])
def test_vectors_have_length_one(features):
    found = vectors(["The trophy is big.", "It is the trophy.", "A dog barks."], features)
    assert_close(found.norm(dim=-1), torch.ones(3))
    assert found[0] @ found[1] > found[0] @ found[2]


# What was written down


def test_what_was_written_down_is_found_again():
    found = measured("language").results
    for task, others, negated in (("1 sentences", 0, 0.0), ("4 sentences, half negated", 3, 0.5)):
        share = pooling.counts_judged(others=others, negated=negated, seed=0)
        assert share == pytest.approx(found["counted words"][task][0], abs=0.02)
    for name, make in {"mean": pooling.MeanJudge, "attention": pooling.Judge}.items():
        share, _ = pooling.judged(make, "layer 6", others=3, seed=0)
        assert share == pytest.approx(found["layer 6"]["4 sentences"][name][0], abs=0.05)


def test_a_reader_whose_keys_know_their_sentence_answers_and_a_blind_one_does_not():
    told, held = (spans.Questions(12, asked=asked, seed=int(asked)) for asked in (False, True))
    sees = spans.answered(spans.trained(spans.SpanReader(), told, seed=0, steps=60), held)
    blind = spans.answered(spans.trained(spans.BlindReader(), told, seed=0, steps=60), held)
    assert sees > 0.5 > 0.3 > blind
    assert min(measured("language").results["answers"]["its sentence"]) > 0.7


def test_translators_differ_as_the_chapter_says():
    found = measured("language").results
    exact = {
        name: [run["exact"] for run in found[name]]
        for name in ("GRU states", "convolution", "words alone", "fixed vector")
    }
    assert min(exact["GRU states"] + exact["convolution"]) > max(exact["fixed vector"]) + 0.2
    assert min(exact["fixed vector"]) > max(exact["words alone"])
    assert max(run["aer"] for run in found["GRU states"]) < 0.01
