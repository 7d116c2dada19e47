"""Exercises of the chapter ``scaling-study``."""
