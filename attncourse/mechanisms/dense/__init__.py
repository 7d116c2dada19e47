"""Attention as every textbook has it: scores, softmax, heads, layers."""
