"""Grading submissions in worker processes, through pytest."""
