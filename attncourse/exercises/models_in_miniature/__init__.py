"""Exercises of the chapter *Models in miniature*."""
