"""Wrong attempts that nobody prepared for, and what may be said of each.

A module holds `ATTEMPTS` of some exercises: by the exercise's name, a function and the mistakes
that it may be told to have made. Where none may be named, what broke must be said.
"""
