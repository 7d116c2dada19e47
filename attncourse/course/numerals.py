"""Numbers that are asked for: computed from an expression, written in words, read as typed."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

WITHIN = 0.05  # of the right number; what is asked is the size, not the last digit
LARGE = 10**7  # from here on a number is written with a power of ten

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
_POWER = re.compile(r"\s*[×x*·]\s*10\s*(?:\^|\*\*)?\s*\{?([-+]?\d+)\}?")
_NUMBER = re.compile(
    r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?(?:/\d+(?:\.\d*)?)?", re.IGNORECASE
)


class _Names(Mapping[str, Any]):
    """What an expression may name: the functions of `math`, this library's, and torch."""

    def __getitem__(self, name: str) -> Any:
        if hasattr(math, name):
            return getattr(math, name)
        import attncourse

        if hasattr(attncourse, name):
            return getattr(attncourse, name)
        if name == "torch":
            import torch

            return torch
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(math))

    def __len__(self) -> int:
        return len(vars(math))


def computed(expression: str) -> float:
    """The value of an expression of the bank; an int where it is one.

    >>> computed("kv_cache_bytes(80, 4096, 8, 128, 2) / 2**30")
    1.25
    """
    value = eval(expression, {}, _Names())
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"an expression gives a finite number: got {value!r}")
    return value


def written(value: float, digits: int) -> str:
    """A number as a reader wants it: whole ones whole, very large ones with a power of ten.

    >>> written(131040, 2), written(0.8808, 3), written(8.4e22, 2)
    ('131,040', '0.881', '8.4 × 10²²')
    """
    if abs(value) >= LARGE:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"
    if isinstance(value, int) or value == 0:
        return f"{value:,}"
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def read(text: str) -> float | None:
    """The number that somebody typed, with or without its unit; None where there is none.

    >>> read("1,048,576 weights"), read("8.4 × 10^22"), read("1/8"), read("many")
    (1048576.0, 8.4e+22, 0.125, None)
    """
    plain = _POWER.sub(r"e\1", text.translate(_LOWERED))
    plain = re.sub(r"(?<=\d)[, _](?=\d{3}(?!\d))", "", plain)
    plain = re.sub(r"(?<=\d),(?=\d)", ".", plain)
    found = _NUMBER.search(re.sub(r"\s*/\s*", "/", plain))
    if not found:
        return None
    above, _, below = found[0].partition("/")
    if below and float(below) == 0:
        return None
    return float(above) / float(below or 1)


def right(given: float, value: float) -> bool:
    """Is a number near enough?"""
    return abs(given - value) <= WITHIN * abs(value)
