"""Tokenisers give the numbers of programs that were written without them."""

import itertools
import json

import pytest
import regex
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from attncourse.models.pretrained import packages
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.pretrained.tokens import readable

TEXTS = [
    prose(),
    "The trophy doesn't fit; it's 1024 x 3.5 cm.",
    "  two  spaces\n\n\tand a tab ",
    "naïve café, 北京, 🦊🦊, ½",
    "def f(x):\n    return x ** 2\n",
]
# GPT-2's: words with the space before them
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def of_bytes():
    """The character that stands for each byte in GPT-2's vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return dict(zip(shown + hidden, map(chr, shown + [256 + i for i in range(68)]), strict=True))


@pytest.fixture(scope="module")
def by_hand():
    """Byte-level BPE as Sennrich et al. write it: merge the pair of the lowest rank."""
    data = json.loads(SmolLM.load().tokenizer.to_str())["model"]
    numbers, ranks = data["vocab"], {tuple(pair): i for i, pair in enumerate(data["merges"])}
    letters = of_bytes()

    def encode(text):
        found = []
        for part in regex.split(r"(\p{N})", text):
            for word in regex.findall(PATTERN, part):
                found += merged([letters[byte] for byte in word.encode()])
        return [numbers[piece] for piece in found]

    def merged(pieces):
        while len(pieces) > 1:
            pairs = list(itertools.pairwise(pieces))
            best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
            if best not in ranks:
                break
            i = pairs.index(best)
            pieces = [*pieces[:i], "".join(best), *pieces[i + 2 :]]
        return pieces

    return encode


def test_smollm_tokens_are_those_of_bpe_by_hand(by_hand):
    model = SmolLM.load()
    for text in TEXTS:
        assert model.encode(text) == by_hand(text)
        assert model.decode(model.encode(text)) == text


def test_minilm_tokens_are_those_of_berts_own_program():
    model = MiniLM.load()
    vocabulary = packages.weights_file(packages.MINILM, "vocab.txt")
    theirs = BertTokenizerLegacy(str(vocabulary))
    for text in TEXTS:
        assert model.encode(text) == theirs.encode(text)


def test_labels_are_words():
    assert readable(["The", " suit", "case", " isn", "'t", " 4", "2", "."]) == [
        *("The", "suit", "-case", "isn", "'t", "4", "-2", ".")
    ]
    assert readable(["a", "  ", "\n", "\t", "\ufffd"]) == ["a", "␣␣", "↵", "⇥", "⟨?⟩"]


def test_no_marker_of_a_tokeniser_is_shown():
    for model in (SmolLM.load(), MiniLM.load()):
        for text in TEXTS:
            shown = " ".join(model.words(text))
            assert not set("ĠĊ▁\ufffd") & set(shown)
            assert "##" not in shown


def test_minilm_labels_say_where_a_word_goes_on():
    words = MiniLM.load().words("Attentional ## don't")[1:-1]
    assert words == ["attention", "-al", "#", "#", "don", "'", "t"]
