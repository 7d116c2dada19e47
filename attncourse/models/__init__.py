"""Whole models: parameters and wiring only. What they compute stands in ``mechanisms``."""
