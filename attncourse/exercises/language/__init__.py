"""Exercises of the chapter *Language*."""
