"""Small trainings: what was written down is found again in small, and what they rest on."""

import math
from collections import Counter

import pytest
import torch

from attncourse import Encoder, EncoderConfig
from attncourse.measure.experiment import measured
from attncourse.models import small_runs
from attncourse.models.digits import digits
from attncourse.models.letters import ALPHABET, between_loss, letters, table_loss, windows
from attncourse.models.pretraining import masking_rule, next_token_loss
from attncourse.models.wiring import FAMOUS, LAMDA, attention_part, count_parameters, network_part


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_digits_are_as_they_were_collected():
    images, labels = digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.min() == 0
    assert images.max() == 1
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images[0, 0, 0] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_a_table_of_no_letter_is_the_entropy_of_letters():
    told, _ = letters()
    counts = Counter(told.tolist())
    p = [count / len(told) for count in counts.values()]
    entropy = -sum(x * math.log(x) for x in p)
    assert table_loss(told, told, 1) == pytest.approx(entropy, abs=2e-3)


def test_the_tables_say_what_was_written_down():
    told, held = letters()
    found = measured("models-in-miniature").results
    for order, loss in found["writers"]["tables"].items():
        if int(order) < 4:
            assert table_loss(told, held, int(order)) == pytest.approx(loss, abs=1e-3)
    loss, guessed = between_loss(told, held)
    table = found["table of neighbours"]
    assert (loss, guessed) == pytest.approx((table["loss"], table["guessed"]), abs=1e-3)


def test_a_table_of_two_letters_by_hand():
    told, held = torch.tensor([1, 2, 1, 2, 1, 3]), torch.tensor([1, 2])
    alone = {1: (3 + 3 / 33) / 9, 2: (2 + 3 / 33) / 9}
    pair = (2 + 2 * alone[2]) / 5
    wanted = -(math.log(alone[1]) + math.log(pair)) / 2
    assert table_loss(told, held, 2) == pytest.approx(wanted)


def test_windows_are_pieces_of_the_text():
    text = torch.arange(20)
    pieces = windows(text, 50, 4, torch.Generator().manual_seed(0))
    assert pieces.shape == (50, 4)
    assert (pieces.diff(dim=-1) == 1).all()
    assert pieces.min() == 0
    assert pieces.max() == 19


def test_a_writer_gets_below_the_letters_counted_alone():
    told, held = letters()
    for step, model in small_runs.train_writer(told, 60, seed=1):
        if step == 0:
            first = small_runs.writer_loss(model, held)
    assert first == pytest.approx(math.log(len(ALPHABET)), abs=0.2)
    assert small_runs.writer_loss(model, held) < table_loss(told, held, 1)


def test_a_reader_learns_which_letters_are_frequent():
    told, held = letters()
    for hidden in (0.8, 1.0):
        scores = small_runs.reader_scores(
            small_runs.train_reader(told, 40, seed=0, hidden=hidden), held
        )
        assert set(scores) == {"loss", "guessed", "kept", "corrected"}
        assert 2.5 < scores["loss"] < 3.3
        assert 0.1 < scores["guessed"] < 0.25


def test_topics_are_told_by_a_head_and_not_from_scratch():
    features, labels = small_runs.sentence_features(), small_runs.topics()[1]
    assert torch.bincount(labels).tolist() == [40, 40, 40, 40]
    learn, ask = small_runs.fifty(0)
    said = small_runs.ridge_head(
        features["layer 6"][learn], labels[learn], features["layer 6"][ask]
    )
    assert (said == labels[ask]).float().mean() > 0.9
    assert small_runs.topics_from_scratch(0, steps=20) < 0.45


@pytest.mark.parametrize(("name", "least"), [("convolution", 0.5), ("nearest neighbour", 0.75)])
def test_fifty_digits_are_enough_for_those_that_know_about_pixels(name, least):
    assert small_runs.digits_told(name, 50, 0, 60) > least


def test_a_vision_transformer_learns_digits():
    assert small_runs.digits_told("vision transformer", 500, 0, 100) > 0.2


def test_what_was_written_down_says_what_the_chapter_says():
    found = measured("models-in-miniature").results
    transformer, convolution, neighbour = found["digits"].values()
    for size in ("50", "500", "1500"):
        for shares in zip(transformer[size], convolution[size], neighbour[size], strict=True):
            assert shares[0] < min(shares[1:])
    assert max(found["scratch"]) < 0.4
    table = found["table of neighbours"]["loss"]
    for ruled, hidden in zip(found["80/10/10"], found["all hidden"], strict=True):
        assert table + 0.15 < ruled["loss"] < hidden["loss"] - 0.15
        assert hidden["kept"] < 0.5 < 0.9 < ruled["kept"]


def test_masking_keeps_to_its_law():
    generator = torch.Generator().manual_seed(3)
    shape = (400, 50)
    tokens = torch.randint(10, 60, shape, generator=generator)
    chance, fate = (torch.rand(shape, generator=generator) for _ in range(2))
    others = torch.randint(100, 160, shape, generator=generator)
    shown, asked = masking_rule(tokens, chance, fate, others, mask_id=9)
    assert shown[~asked].equal(tokens[~asked])
    assert asked.float().mean().item() == pytest.approx(0.15, abs=0.01)
    hidden, kept = shown[asked] == 9, shown[asked] == tokens[asked]
    assert hidden.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert (shown[asked][~hidden & ~kept] >= 100).all()


def test_one_token_has_no_next_one():
    with pytest.raises(ValueError, match="there must be a next token, n at least 2: got n=1"):
        next_token_loss(torch.zeros(1, 4), torch.tensor([2]))


def test_famous_counts():
    counts = {name: count_parameters(config) for name, config in FAMOUS.items()}
    assert counts == {
        **{"GPT-1": 116_534_784, "GPT-2": 124_439_808, "GPT-2 XL": 1_557_611_200},
        **{"GPT-3": 174_604_259_328, "LLaMA-7B": 6_738_415_616, "SmolLM2": 134_515_008},
    }
    assert 64 * (attention_part(LAMDA) + network_part(LAMDA)) == 137_438_953_472


def test_a_config_has_every_size_and_no_other():
    config = dict(FAMOUS["GPT-2"])
    del config["g"]
    message = "config must have the 12 sizes and switches: see 'g'"
    with pytest.raises(ValueError, match=message):
        count_parameters(config)


def test_hidden_letters_need_a_sign_of_their_own():
    model = Encoder(
        EncoderConfig(vocabulary=small_runs.V + 1, length=4, d=8, h=2, d_ff=8, layers=1)
    )
    assert model(torch.tensor([small_runs.MASK])).shape == (1, 8)
