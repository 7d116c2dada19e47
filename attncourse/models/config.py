"""The sizes that every model has, checked when they are written down."""

from dataclasses import dataclass, fields

from attncourse.core.numbers import plain_number


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """A stack of `layers` layers of width d, with h heads and a feed-forward width d_ff.

    Raises TypeError unless every size is an integer, ValueError unless each is at least 1 and h
    divides d.
    """

    d: int
    h: int
    d_ff: int
    layers: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is not int:
                continue
            size = plain_number(field.name, int, value)
            if size < 1:
                raise ValueError(f"{field.name} must be at least 1: got {field.name}={size}")
            object.__setattr__(self, field.name, size)
        if self.d % self.h:
            raise ValueError(f"h must divide d: got h={self.h} and d={self.d}")
