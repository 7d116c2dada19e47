"""The sizes that every model has, checked when they are written down."""

from dataclasses import dataclass, fields


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
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{field.name} must be an integer: got {value!r}")
            if value < 1:
                raise ValueError(f"{field.name} must be at least 1: got {field.name}={value}")
        if self.d % self.h:
            raise ValueError(f"h must divide d: got h={self.h} and d={self.d}")
