"""Exercises of the chapter *A debugging clinic*: working-looking functions, each with a bug."""
