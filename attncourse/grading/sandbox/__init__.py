"""Confining what runs submissions: levels, and what each prevents."""

from attncourse.grading.sandbox.levels import (
    LEVELS,
    PREVENTS,
    WARNING,
    IsolationError,
    Level,
    available,
    choose,
    doctor,
    missing,
)

__all__ = [
    "LEVELS",
    "PREVENTS",
    "WARNING",
    "IsolationError",
    "Level",
    "available",
    "choose",
    "doctor",
    "missing",
]
