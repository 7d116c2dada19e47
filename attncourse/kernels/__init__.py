"""Kernels in Triton, written to be read: each is the inner loop of one mechanism, tile by tile."""
