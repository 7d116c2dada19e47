"""Exercises of the chapter *Generation*."""
