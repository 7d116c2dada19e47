"""Exercises of the chapter ``sharing-and-fusion``."""
