"""Texts to measure on, of this course, which no model was trained on."""

from functools import cache
from pathlib import Path


@cache
def prose() -> str:
    """768 tokens of SmolLM2's; the same text is the book's data/perplexity.txt."""
    return Path(__file__).with_name("perplexity.txt").read_text(encoding="utf-8")


@cache
def sentences() -> list[str]:
    """A hundred plain sentences; the same are the book's data/sentences.txt."""
    text = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8")
    return text.splitlines()
