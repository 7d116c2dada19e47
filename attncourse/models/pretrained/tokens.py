"""Tokenisers from the packages' own data, and tokens as words that a person can read."""

from collections.abc import Sequence
from typing import Any


def byte_level_tokenizer(fields: dict[str, Any]) -> str:
    """SmolLM2's tokeniser from the fields of its GGUF file, as JSON.

    Byte-level BPE: digits are split off one by one, then words with the space before them; no
    space is put in front of the text. Tokens of another type than 1 are special.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    special = [word for word, kind in zip(words, kinds, strict=True) if kind != 1]
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    return made.to_str()


def readable(pieces: Sequence[str]) -> list[str]:
    """Pieces of a text, in their order, as labels: words without their space, "-case" inside one.

    "-" stands before a piece that goes on with the word before it; a space alone is ␣, a line's
    end ↵, a piece of a character ⟨?⟩.
    """
    labels, before = [], " "
    for piece in pieces:
        joined = before[-1:].isalnum() and piece[:1].isalnum()
        labels.append(("-" if joined else "") + _visible(piece))
        before = piece or before
    return labels


def _visible(piece: str) -> str:
    shown = (piece.strip(" ") or piece.replace(" ", "␣")).replace("\n", "↵").replace("\t", "⇥")
    return shown.replace("\ufffd", "⟨?⟩")
