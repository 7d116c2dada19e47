"""Words on a terminal or in a file whose encoding lacks some of their signs."""

import codecs
import unicodedata
from typing import Any

ERRORS = "attncourse.legible"  # what Python calls the way below of doing without a sign

# one character each, so that tables keep their columns
_NEAREST = {
    **dict(zip("✔✘○–—−", "+xo---", strict=True)),
    **dict(zip("★☆×·•…", "*.x.*.", strict=True)),
    **dict(zip("‘’“”≤≥→←√∞", "''\"\"<>><V8", strict=True)),
}


def without(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written in place of signs that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


codecs.register_error(ERRORS, without)


def tolerate(stream: Any) -> None:
    """Let a stream write what it can in place of what its encoding lacks, and never fail."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=ERRORS)


def say(text: str) -> None:
    """Print a text, in signs that are there."""
    try:
        print(text)
    except UnicodeEncodeError as error:
        print(text.encode(error.encoding, ERRORS).decode(error.encoding))


def _plain(sign: str) -> str:
    """A character of ASCII for a sign: the nearest, the letter without its accent, or ?."""
    letter = unicodedata.normalize("NFKD", sign)[0]
    return _NEAREST.get(sign, letter if letter.isascii() else "?")
