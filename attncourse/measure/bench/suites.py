"""The suites of the bench, by name; cases are made when a suite is."""

from collections.abc import Callable

from attncourse.measure.bench.case import Suite


def scaling() -> Suite:
    """Every mechanism over the length, against PyTorch's attention over all pairs."""
    from attncourse.measure.bench import exact, linear, sparse

    return Suite("scaling", exact.SDPA, exact.CASES + sparse.CASES + linear.CASES)


def decode() -> Suite:
    """One new token against PyTorch's attention to as many cached ones."""
    from attncourse.measure.bench import decode

    lengths = 1024, 2048, 4096, 8192, 16384
    return Suite("decode", decode.SDPA, decode.CASES, lengths, quick_lengths=lengths[:2])


SUITES: dict[str, Callable[[], Suite]] = {"scaling": scaling, "decode": decode}
